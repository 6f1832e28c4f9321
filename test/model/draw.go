package model

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Step is one question about one of a sequence's keys.
type Step struct {
	Key string
	Question
}

// A Script draws a sequence of steps over the whole domain. What it draws from is small, so that keys meet the same limits
// again, and sometimes from the edges of what is accepted.
type Script struct {
	*rand.Rand
	name       string
	keys       int
	algorithms []engine.Algorithm
	limits     []engine.Limit
	now        int64 // µs
	pace       int64 // µs that the clock goes on at most, mostly
	newest     int64 // µs, that it has read
	Backward   bool  // it may step back, by less than Lag
	Wild       bool  // the clock may jump to anywhere
	steady     bool  // it goes on evenly, and little is given back
	// calendar is that of some questions of a fixed_window.
	calendar engine.Calendar
	// LogLimitMax is the highest limit of a log, one of LogLimits.
	LogLimitMax int64
}

// LogLimits are the highest limits of logs that sequences are drawn for: one that nobody reaches,
// and two that logs of several periods have more units than, which Redis keeps as short and as
// long logs.
var LogLimits = []int64{engine.LogLimitDefault, 8, 500}

// Noon is an ordinary instant (µs), in November 2023.
const Noon = int64(1_700_000_000_000_000)

// Lag is how far (µs) a reading of the clock may be behind the newest for a store, which drops
// keys that have been idle for 2 s when it rebuilds their table.
const Lag = int64(1_900_000)

// NewScript draws what a sequence is made of.
func NewScript(r *rand.Rand, name string) *Script {
	s := &Script{Rand: r, name: name, keys: 1 + r.IntN(4), Backward: r.IntN(3) == 0, Wild: r.IntN(6) == 0, now: Noon + r.Int64N(1e12)}
	s.LogLimitMax = LogLimits[r.IntN(2)]
	all := engine.Algorithms()
	s.algorithms = all
	if r.IntN(3) > 0 { // keys are of one algorithm, mostly
		s.algorithms = all[r.IntN(len(all)):][:1]
	}
	s.calendar = engine.Calendar(max(r.IntN(6)-2, 0))
	period := time.Duration(0)
	for range 1 + r.IntN(3) {
		l := s.limit()
		s.limits = append(s.limits, l)
		period = max(period, l.Period())
	}
	s.pace = max(period.Microseconds()/(1+s.Int64N(50)), 2)
	if r.IntN(3) == 0 {
		s.MixPeriods()
	}
	switch r.IntN(12) {
	case 0:
		s.now = s.Int64N(1000)
	case 1:
		s.now = engine.NowMicrosMax - s.Int64N(2000)
	}
	return s
}

// StepsBack says whether the clock may.
func (s *Script) StepsBack() bool { return s.Backward || s.Wild }

// limit draws a limit from the whole domain, small ones more often.
func (s *Script) limit() engine.Limit {
	for {
		limit := 1 + s.Int64N(12)
		period := time.Duration(1+s.IntN(100)) * time.Second
		burst := int64(0)
		switch s.IntN(6) {
		case 0: // anything
			limit, period = s.upTo(engine.UnitsMax), s.span()
		case 1:
			period = s.span()
		case 2:
			limit = s.upTo(2000)
		}
		if s.IntN(3) == 0 {
			burst = s.upTo(engine.UnitsMax)
		}
		if l, err := engine.NewLimit(limit, period, burst); err == nil {
			return l
		}
	}
}

// upTo is a number from 1 to most, of any size alike.
func (s *Script) upTo(most int64) int64 {
	size := int64(1)
	for size < most && s.IntN(8) > 0 {
		size *= 1 + s.Int64N(9)
	}
	return 1 + s.Int64N(min(size, most))
}

// span is a period, to the nanosecond.
func (s *Script) span() time.Duration {
	switch s.IntN(4) {
	case 0:
		return engine.PeriodMin + time.Duration(s.IntN(5))
	case 1:
		return engine.PeriodMax - time.Duration(s.IntN(5))
	}
	return engine.PeriodMin + time.Duration(s.Int64N(int64(engine.PeriodMax-engine.PeriodMin)))>>s.IntN(30)
}

// Next draws a step.
func (s *Script) Next() Step {
	s.tick()
	q := Question{Now: s.now, Op: Check, Algorithm: s.algorithms[s.IntN(len(s.algorithms))], Limit: s.limits[s.IntN(len(s.limits))]}
	switch n := s.IntN(20); {
	case n < 3:
		q.Op = Peek
	case n < 6 && (!s.steady || s.IntN(20) == 0):
		q.Op = Refund
	case n < 7 && (!s.steady || s.IntN(20) == 0):
		q.Op = Force
	case n == 7 && s.IntN(3) == 0 && (!s.steady || s.IntN(100) == 0):
		q.Op = Reset
	}
	if limit, period := q.Limit.Limit(), q.Limit.Period(); !q.Algorithm.HasBurst() {
		q.Limit, _ = engine.NewLimit(limit, period, 0)
		if q.Algorithm == engine.FixedWindow && s.calendar != engine.NoCalendar && s.IntN(2) == 0 {
			q.Limit, _ = engine.NewCalendarLimit(limit, s.calendar)
		} else if q.Algorithm.CheckLimit(&q.Limit, s.LogLimitMax) != nil {
			q.Limit, _ = engine.NewLimit(min(limit, s.LogLimitMax), period, 0)
		}
	}
	q.LogLimitMax = s.LogLimitMax
	q.Cost = 1
	switch s.IntN(8) {
	case 0:
		q.Cost = s.upTo(engine.UnitsMax)
	case 1, 2:
		if s.steady {
			break
		}
		q.Cost = 1 + s.Int64N(min(q.Limit.Burst()+1, engine.UnitsMax))
	}
	return Step{fmt.Sprintf("%s:%d", s.name, s.IntN(s.keys)), q}
}

// tick moves the clock.
func (s *Script) tick() {
	switch n := s.IntN(40); {
	case n < 10: // it stands
	case n < 12:
		s.now += s.Int64N(20 * s.pace)
	case n < 14 && s.Wild:
		s.now -= s.Int64N(2 * s.pace)
	case n < 14 && s.Backward:
		s.now = max(s.now-s.Int64N(2*s.pace), s.newest-Lag)
	case n == 14 && s.Wild:
		s.now = s.Int64N(engine.NowMicrosMax + 1)
	case n < 19 && !s.steady: // to where something ends, or next to it
		s.now = max(s.end()+s.Int64N(3)-1, s.now)
	default:
		s.now += s.Int64N(s.pace)
	}
	s.now = min(max(s.now, 0), engine.NowMicrosMax)
	s.newest = max(s.newest, s.now)
}

// end is an instant at which something ends, for one of the limits.
func (s *Script) end() int64 {
	l := s.limits[s.IntN(len(s.limits))]
	span := l.Period().Microseconds()
	switch s.IntN(6) {
	case 0, 1:
		return s.now + span/l.Limit()*(1+s.Int64N(3))
	case 2: // a slice of a counter
		period := microsOf(l.Period())
		return leavesAt(sliceOf(s.now, period), s.Int64N(slices64+2)-1, period)
	case 3:
		if c, err := engine.NewCalendarLimit(1, s.calendar); err == nil {
			return windowEnd(s.now*1000, &c) / 1000
		}
	}
	return s.now + span
}

// FillLogs makes the sequence one of long logs, which Redis keeps in another way than short ones.
func (s *Script) FillLogs() {
	s.keys, s.algorithms, s.Backward, s.Wild, s.steady = 1+s.IntN(2), []engine.Algorithm{engine.SlidingWindowLog}, s.IntN(2) == 0, false, true
	s.limits, s.LogLimitMax = nil, LogLimits[2*s.IntN(2)]
	period := time.Duration(1+s.IntN(60)) * time.Second
	for range 1 + s.IntN(3) {
		l, _ := engine.NewLimit(300+s.Int64N(3000), period, 0) // always within the domain
		s.limits = append(s.limits, l)
		period = period * time.Duration(60+s.IntN(40)) / 100
	}
	s.pace = s.limits[0].Period().Microseconds() / s.limits[0].Limit() * (1 + s.Int64N(3))
}

// MixPeriods makes the sequence one of limits of which the periods differ, up to a hundredfold, on
// one or two logs or counters: a short one that admits, again and again, within the window of a long one.
func (s *Script) MixPeriods() {
	s.keys, s.algorithms, s.limits = 1+s.IntN(2), []engine.Algorithm{engine.SlidingWindowLog}, nil
	if s.IntN(3) == 0 {
		s.algorithms = []engine.Algorithm{engine.SlidingWindowCounter}
	}
	period, shortest := time.Duration(1+s.IntN(100))*time.Second+time.Duration(s.IntN(2)*s.IntN(1000)), engine.PeriodMax
	for range 2 + s.IntN(4) {
		l, _ := engine.NewLimit(1+s.Int64N(12), period/time.Duration(1+s.IntN(10)*s.IntN(11)), 0) // at least 10 ms
		s.limits = append(s.limits, l)
		shortest = min(shortest, l.Period())
	}
	s.pace = max(shortest.Microseconds()/(1+s.Int64N(8)), 2)
}
