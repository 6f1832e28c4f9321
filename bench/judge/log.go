package judge

import (
	"time"
	"unsafe"
)

// A sliding_window_log admits at most limit units in any window of one period, by the readings of
// its clock. So of any set of requests that cost more than limit, the last was received at least a period
// after the first was sent: the readings of all lie between, and a server that made the last step
// of the set within a period after each of these readings would have counted them all.
//
// A log holds, for each key, when the last requests were sent, as many as the limit admits, in the order of
// sending. They and the one that was sent before them are such a set.
type logCell struct {
	sent        []int64 // a ring, in the order of sending from oldest on
	oldest, len int32
	until       int64 // when the last of all was received; of a key that was given up, givenUp
}

const (
	logCellBytes = int64(unsafe.Sizeof(logCell{}))
	givenUp      = -1
	firstLog     = 16 // instants
)

// logs is the logs of all keys.
type logs struct {
	all     []logCell
	most    int32 // requests in a period
	period  int64 // less the tick, ns
	cost    int64
	drift   bool
	bytes   int64 // of all rings
	givenUp int64 // keys
}

func newLogs(r *Rule, keys int64) *logs {
	return &logs{
		all:    make([]logCell, keys),
		most:   int32(r.Limit.Limit() / r.Cost),
		period: int64(r.Limit.Period() - r.Tick),
		cost:   r.Cost,
		drift:  r.Remote,
	}
}

func (l *logs) weigh(line []admission, tell func(Violation)) {
	for i := range line {
		a := line[i]
		if l.drift {
			a.sent, a.received = a.sent+a.sent>>driftShift, a.received+a.received>>driftShift
		}
		c := &l.all[a.key]
		if c.until == givenUp || !l.grow(c) {
			continue
		}
		c.until = max(c.until, a.received)
		if first, more := c.add(a.sent, l.most); more && c.until-first < l.period {
			span := time.Duration(c.until - first)
			if l.drift {
				span -= span >> driftShift
			}
			tell(Violation{Key: a.key, Admitted: (int64(l.most) + 1) * l.cost, Allowed: int64(l.most) * l.cost, Span: span})
		}
	}
}

// grow makes room for one more instant, or gives the key up.
func (l *logs) grow(c *logCell) bool {
	if int(c.len) < len(c.sent) || c.len == l.most {
		return true
	}
	length := min(max(firstLog, 4*c.len), l.most)
	if l.bytes += 8 * int64(length); l.bytes > logBytesMax {
		l.bytes -= 8 * int64(len(c.sent)+int(length))
		l.givenUp++
		*c = logCell{until: givenUp}
		return false
	}
	l.bytes -= 8 * int64(len(c.sent))
	larger := make([]int64, length)
	n := copy(larger, c.sent[c.oldest:])
	copy(larger[n:], c.sent[:c.oldest])
	c.sent, c.oldest = larger, 0
	return true
}

// add adds a request to a log, of which most are kept. It returns when the one was sent that has to
// go, and whether there is one.
func (c *logCell) add(sent int64, most int32) (first int64, more bool) {
	if c.len == most {
		if most == 0 || sent <= c.sent[c.oldest] {
			return sent, true
		}
		first, more = c.sent[c.oldest], true
		c.oldest = c.next(c.oldest)
		c.len--
	}
	at := c.oldest + c.len
	if at >= int32(len(c.sent)) {
		at -= int32(len(c.sent))
	}
	for n := c.len; n > 0; n-- {
		before := at - 1
		if before < 0 {
			before = int32(len(c.sent)) - 1
		}
		if c.sent[before] <= sent {
			break
		}
		c.sent[at] = c.sent[before]
		at = before
	}
	c.sent[at] = sent
	c.len++
	return first, more
}

// next is the place behind another.
func (c *logCell) next(at int32) int32 {
	if at++; at == int32(len(c.sent)) {
		return 0
	}
	return at
}

func (l *logs) sawTime(_, _, _ int64) {}
func (l *logs) state() (int64, error) { return l.givenUp, nil }
