package engine

import (
	"fmt"
	"math"
	"time"
)

// The domain. Outside it NewLimit and the store answer an *ArgumentError.
const (
	// UnitsMax bounds limit, burst and cost, in units.
	UnitsMax = 1_000_000_000
	// PeriodMin and PeriodMax bound a limit's period.
	PeriodMin = time.Millisecond
	PeriodMax = 366 * 24 * time.Hour
	// FillMax bounds burst·E, the time that an empty bucket takes to fill: 100 years of
	// 365.25 days. With NowMicrosMax it keeps every stored instant within int64.
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

// A Limit is "so many units per period", with the most that can be taken at once. The
// zero Limit is not valid; NewLimit makes one.
type Limit struct {
	limit  int64 // units per period, 1 … UnitsMax
	period int64 // ns, PeriodMin … PeriodMax
	burst  int64 // units, 1 … UnitsMax
	// unit is E = ceil(period / limit) in ns.
	// Invariant: unit ≥ 1, because period in ns ≥ limit.
	unit int64
	// capacity is burst · E in ns.
	// Invariant: 1 ≤ capacity ≤ FillMax.
	capacity int64
}

// NewLimit makes a limit of so many units per period, of which burst can be taken at
// once. A burst of 0 means the default, the limit itself.
//
// limit and burst are 1 … UnitsMax units, period is PeriodMin … PeriodMax and in
// nanoseconds at least limit, and burst·ceil(period/limit) is at most FillMax. Anything
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
	if burst == 0 {
		burst = limit
	} else if err := CheckUnits("burst", burst); err != nil {
		return Limit{}, err
	}
	unit := (int64(period) + limit - 1) / limit
	if burst > int64(FillMax)/unit {
		return Limit{}, &ArgumentError{"burst", fmt.Sprintf(
			"%d takes more than 100 years to fill at this rate: accepted is 1 to %d for this limit and period", burst, int64(FillMax)/unit)}
	}
	return Limit{limit: limit, period: int64(period), burst: burst, unit: unit, capacity: burst * unit}, nil
}

// Limit is the number of units per period.
func (l Limit) Limit() int64 { return l.limit }

// Period is the time over which Limit units pass.
func (l Limit) Period() time.Duration { return time.Duration(l.period) }

// Burst is the most units that can be taken at once.
func (l Limit) Burst() int64 { return l.burst }
