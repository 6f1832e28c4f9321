package judge

import (
	"errors"
	"math"
	"time"
	"unsafe"

	"github.com/rlserver/rlserver/engine"
)

// A fixed_window admits at most limit units in each window, of windows that are aligned to the
// Unix epoch, or to the calendar, by the server's clock. How far that is ahead of the client's is known within
// bounds, from what the server said its time was. So of each request the first and the last
// window are known in which it can have been decided. Mostly they are the same. Around the begin of a
// window they differ by one, and requests for which they differ by more are left out.
//
// Claim: of any windows that follow each other, the requests that were certainly decided in one
// of them are at most the limit's times their number. These are the requests within a window, and
// those between two of the windows, wherever they were decided. The most by which any windows
// up to w exceed that is
//
//	E(w) = max(0, E(w−1) + between(w−1, w)) + within(w) − limit
//
// and a server that keeps its limit has E(w) ≤ 0. Where a key is always used up, E stays near 0 even if
// all of its units are admitted at the begin of windows, so one too many shows.
type window struct {
	number  int64 // of the last window in which something was decided
	before  int64 // E of the window before, in requests
	within  int64 // requests
	between int32 // requests
	chain   int32 // how many windows E of the window before is about
}

const windowBytes = int64(unsafe.Sizeof(window{}))

// windows is the windows of all keys.
type windows struct {
	all      []window
	period   int64 // ns; of the calendar, the longest
	calendar engine.Calendar
	most     int64 // requests in a window
	cost     int64
	tick     int64
	drift    bool
	// The server's clock was ahead of the client's by low … high, at an instant of the client's.
	low, high, at int64
	doubt         error
}

func newWindows(r *Rule, keys int64) *windows {
	return &windows{
		all:      make([]window, keys),
		period:   engine.WindowMillis(int64(r.Limit.Period())) * int64(time.Millisecond),
		calendar: r.Limit.Calendar(),
		most:     r.Limit.Limit() / r.Cost,
		cost:     r.Cost,
		tick:     int64(r.Tick),
		drift:    r.Remote,
		low:      math.MinInt64,
		high:     math.MaxInt64,
		doubt:    errNoTime,
	}
}

// ahead is the bounds on how far the server's clock is ahead at an instant of the client's.
func (w *windows) ahead(at int64) (low, high int64) {
	if !w.drift || w.doubt != nil {
		return w.low, w.high
	}
	drift := max(at-w.at, w.at-at) >> driftShift
	return w.low - drift - 1, w.high + drift + 1
}

// sawTime narrows the bounds. The server rounds its clock down, here as in a decision.
func (w *windows) sawTime(sent, received, unix int64) {
	low, high := w.ahead(received)
	low, high = max(low, unix-received), min(high, unix+w.tick-sent)
	switch {
	case low > high:
		w.doubt = errTimeSet
	case !errors.Is(w.doubt, errTimeSet):
		w.low, w.high, w.at, w.doubt = low, high, received, nil
	}
}

func (w *windows) state() (int64, error) { return 0, w.doubt }

func (w *windows) weigh(line []admission, tell func(Violation)) {
	if w.doubt != nil {
		return
	}
	for i := range line {
		a := &line[i]
		low, _ := w.ahead(a.sent)
		_, high := w.ahead(a.received)
		c := &w.all[a.key]
		c.add(w.number(a.sent+low-w.tick), w.number(a.received+high), w.most)
		if over, chain := c.over(w.most); over > 0 {
			allowed := int64(chain) * w.most
			tell(Violation{Key: a.key, Admitted: (allowed + over) * w.cost, Allowed: allowed * w.cost, Span: time.Duration(int64(chain) * w.period)})
		}
	}
}

// number is the number of the window that an instant of the server's (ns) is in.
func (w *windows) number(at int64) int64 {
	switch w.calendar {
	case engine.NoCalendar:
		return at / w.period
	case engine.Week: // the epoch was a Thursday
		return (at/int64(24*time.Hour) + 3) / 7
	case engine.Month, engine.Year:
	}
	year, month, _ := time.Unix(0, at).UTC().Date()
	if w.calendar == engine.Year {
		return int64(year)
	}
	return int64(year)*12 + int64(month)
}

// over is E of the last window, and how many windows it is about.
func (c *window) over(most int64) (over int64, chain int32) {
	if carried := c.before + int64(c.between); carried > 0 {
		return carried + c.within - most, c.chain + 1
	}
	return c.within - most, 1
}

// add adds a request that was decided in one of the windows first … last.
func (c *window) add(first, last, most int64) {
	if last > c.number {
		before, chain := -most, int32(1) // of a window without requests
		if last == c.number+1 {
			before, chain = c.over(most)
		}
		*c = window{number: last, before: before, chain: chain}
	}
	switch {
	case first == c.number:
		c.within++
	case last == c.number && first == last-1:
		c.between++
	case last == c.number-1 && first == last:
		c.before++
	}
}
