package engine

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// The domain. Outside it NewLimit and the store answer an *ArgumentError.
const (
	// UnitsMax bounds limit, burst and cost, in units.
	UnitsMax = 1_000_000_000
	// PeriodMin and PeriodMax bound a limit's period.
	PeriodMin = time.Millisecond
	PeriodMax = 366 * 24 * time.Hour
	// FillMax bounds the time that an empty bucket takes to fill: 100 years of 365.25 days.
	// With NowMicrosMax it keeps every stored instant within int64.
	FillMax = 36525 * 24 * time.Hour
	// NowMicrosMax is the last instant at which a decision can be made, in microseconds
	// since the Unix epoch: int64 nanoseconds less FillMax, in the year 2162.
	NowMicrosMax = (math.MaxInt64 - int64(FillMax)) / 1000
	// LogLimitMax is the highest limit that a sliding_window_log can be allowed: it must
	// fit in the bits that a logged entry spends on counting (log_ring.go).
	LogLimitMax = 500_000
	// LogLimitDefault is the highest limit of a sliding_window_log unless a store is
	// told otherwise. A log keeps every admitted unit, so its limit bounds its memory.
	LogLimitDefault = 100_000
	// KeyBytesMax is the longest key, in bytes; the shortest has one.
	KeyBytesMax = 1024
)

// ArgumentError says which argument was wrong, how, and what is accepted.
type ArgumentError struct {
	Argument string // the argument's name: "key", "algorithm", "limit", "period", "burst", "cost", …
	Problem  string // a sentence that names the value and the accepted range
}

func (e *ArgumentError) Error() string { return e.Argument + " " + e.Problem }

func outOfRange(argument string, value, low, high int64) error {
	return &ArgumentError{argument, fmt.Sprintf("%d is out of range: accepted is a whole number from %d to %d", value, low, high)}
}

// CheckUnits reports whether value is within 1 … UnitsMax, the range of limit, burst and
// cost; the *ArgumentError it returns otherwise names argument.
func CheckUnits(argument string, value int64) error {
	if value < 1 || value > UnitsMax {
		return outOfRange(argument, value, 1, UnitsMax)
	}
	return nil
}

// CheckKey reports whether key is of an accepted length, 1 … KeyBytesMax bytes; any bytes.
func CheckKey(key string) error {
	if len(key) < 1 || len(key) > KeyBytesMax {
		return &ArgumentError{"key", fmt.Sprintf("is %d bytes long: accepted is 1 to %d bytes", len(key), KeyBytesMax)}
	}
	return nil
}

// CheckState reports whether name is of an accepted length for the name of a state, 1 …
// StateBytesMax bytes. Each key is the name of one.
func CheckState(name string) error {
	if len(name) < 1 || len(name) > StateBytesMax {
		return &ArgumentError{"key", fmt.Sprintf("of a state is %d bytes long: accepted is 1 to %d bytes", len(name), StateBytesMax)}
	}
	return nil
}

// A Limit is "so many units per period", with the most that can be taken at once. The
// zero Limit is not valid; NewLimit makes one.
type Limit struct {
	limit  int64 // units per period, 1 … UnitsMax
	period int64 // ns, PeriodMin … PeriodMax
	burst  int64 // units, 1 … UnitsMax
	// unit is the price of one unit, E = ceil(period/limit) in ns.
	// Invariant: unit ≥ 1, because period in ns ≥ limit.
	unit int64
	// over is by how much limit units, each paid for by itself, cost more than a period:
	// limit·E − period ns. Invariant: 0 ≤ over < limit.
	over uint32
	// calendar is NoCalendar but for a limit of NewCalendarLimit.
	calendar Calendar
	special  special
	// capacity is the highest debt of a meter in ns: see Slack.
	// Invariant: price of burst ≤ capacity ≤ FillMax.
	capacity int64
}

// special is what of a limit not every algorithm accepts.
type special uint8

const (
	specialBurst    special = 1 << iota // a burst other than the limit
	specialCalendar                     // a period of the calendar
)

// NewLimit makes a limit of so many units per period, of which burst can be taken at
// once. A burst of 0 means the default, the limit itself.
//
// limit and burst are 1 … UnitsMax units, period is PeriodMin … PeriodMax and in
// nanoseconds at least limit, and the price of burst is at most FillMax. Anything
// else is an *ArgumentError that names the argument and what is accepted.
func NewLimit(limit int64, period time.Duration, burst int64) (Limit, error) {
	if err := CheckUnits("limit", limit); err != nil {
		return Limit{}, err
	}
	if period < PeriodMin || period > PeriodMax {
		return Limit{}, &ArgumentError{"period", fmt.Sprintf("%v is out of range: accepted is 1ms to 366d", period)}
	}
	if int64(period) < limit {
		return Limit{}, &ArgumentError{"limit", fmt.Sprintf(
			"%d is more than one unit a nanosecond: accepted is 1 to %d for this period", limit, int64(period))}
	}
	l := Limit{limit: limit, period: int64(period), burst: burst, unit: (int64(period) + limit - 1) / limit}
	l.over = uint32(limit*l.unit - l.period)
	if burst == 0 {
		l.burst = limit // whose price is the period
	} else if err := CheckUnits("burst", burst); err != nil {
		return Limit{}, err
	} else if l.Price(burst) > int64(FillMax) {
		return Limit{}, &ArgumentError{"burst", fmt.Sprintf(
			"%d takes more than 100 years to fill at this rate: accepted is 1 to %d for this limit and period", burst, l.units(int64(FillMax)))}
	}
	if l.burst != l.limit {
		l.special = specialBurst
	}
	l.capacity = min(l.burst*l.unit, l.price(l.burst+1)-1, int64(FillMax))
	return l, nil
}

// Price is what a meter's debt grows by for so many units, ceil(cost·period/limit) ns, and at
// most the highest int64. It is rounded once a request: so a rate is never exceeded, and falls
// short by less than 1 ns a request. It is what a refund takes off as well, so that a check and
// its refund leave nothing behind.
func (l *Limit) Price(cost int64) int64 {
	if cost > math.MaxInt64/l.unit {
		return math.MaxInt64
	}
	return l.price(cost)
}

// price is Price where cost·E is known to be within int64. Of it, what is rounded up cost times is
// taken back, but for less than 1 ns.
func (l *Limit) price(cost int64) int64 {
	if l.over == 0 {
		return cost * l.unit
	}
	return cost*l.unit - cost*int64(l.over)/l.limit
}

// Slack is the highest debt with which a meter admits so many units, in ns, or −1 for more than
// the burst. The debt after it is at most the capacity: the burst, asked for in requests of one
// unit, whose prices are rounded, but always less than one unit more than the burst.
func (l *Limit) Slack(cost int64) int64 {
	if cost > l.burst {
		return -1
	}
	return l.capacity - l.price(cost)
}

// units is how many units a span of ns, 0 … FillMax, is worth, rounded down: at most as many as
// the longest burst.
func (l *Limit) units(span int64) int64 {
	high, low := bits.Mul64(uint64(span), uint64(l.limit))
	units, _ := bits.Div64(high, low, uint64(l.period))
	return int64(units)
}

// Limit is the number of units per period.
func (l Limit) Limit() int64 { return l.limit }

// Period is the time over which Limit units pass.
func (l Limit) Period() time.Duration { return time.Duration(l.period) }

// Burst is the most units that can be taken at once.
func (l Limit) Burst() int64 { return l.burst }
