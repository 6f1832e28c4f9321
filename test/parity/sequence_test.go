package parity_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// A step is one question about one of a sequence's keys.
type step struct {
	key string
	model.Question
}

// question is the step as Redis is asked it.
func (s step) question() engine.Question {
	if s.Op == model.Reset {
		return engine.Question{Key: s.key, Reset: true}
	}
	op := map[model.Op]engine.Op{model.Check: engine.OpCheck, model.Peek: engine.OpPeek, model.Refund: engine.OpRefund}[s.Op]
	return engine.Question{Key: s.key, Op: op, Algorithm: s.Algorithm, Limit: s.Limit, Cost: s.Cost}
}

// A script draws a sequence. What it draws from is small, so that keys meet the same limits
// again, and sometimes from the edges of what is accepted.
type script struct {
	*rand.Rand
	name       string
	keys       int
	algorithms []engine.Algorithm
	limits     []engine.Limit
	now        int64 // µs
	pace       int64 // µs that the clock goes on at most, mostly
	newest     int64 // µs, that it has read
	backward   bool  // it may step back, by less than lag
	wild       bool  // it may jump to anywhere
	steady     bool  // it goes on evenly, and little is given back
}

// noon is an ordinary instant, in November 2023.
const noon = int64(1_700_000_000_000_000)

// lag is how far (µs) a reading of the clock may be behind the newest for memory, which may
// have forgotten keys that have been at rest for 2 s.
const lag = int64(1_900_000)

// newScript draws what a sequence is made of.
func newScript(r *rand.Rand, name string) *script {
	s := &script{Rand: r, name: name, keys: 1 + r.IntN(4), backward: r.IntN(3) == 0, wild: r.IntN(6) == 0, now: noon + r.Int64N(1e12)}
	all := engine.Algorithms()
	s.algorithms = all
	if r.IntN(3) > 0 { // keys are of one algorithm, mostly
		s.algorithms = all[r.IntN(len(all)):][:1]
	}
	period := time.Duration(0)
	for range 1 + r.IntN(3) {
		l := s.limit()
		s.limits = append(s.limits, l)
		period = max(period, l.Period())
	}
	s.pace = max(period.Microseconds()/(1+s.Int64N(50)), 2)
	switch r.IntN(12) {
	case 0:
		s.now = s.Int64N(1000)
	case 1:
		s.now = engine.NowMicrosMax - s.Int64N(2000)
	}
	return s
}

// limit draws a limit from the whole domain, small ones more often.
func (s *script) limit() engine.Limit {
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
func (s *script) upTo(most int64) int64 {
	size := int64(1)
	for size < most && s.IntN(8) > 0 {
		size *= 1 + s.Int64N(9)
	}
	return 1 + s.Int64N(min(size, most))
}

// span is a period, to the nanosecond.
func (s *script) span() time.Duration {
	switch s.IntN(4) {
	case 0:
		return engine.PeriodMin + time.Duration(s.IntN(5))
	case 1:
		return engine.PeriodMax - time.Duration(s.IntN(5))
	}
	return engine.PeriodMin + time.Duration(s.Int64N(int64(engine.PeriodMax-engine.PeriodMin)))>>s.IntN(30)
}

// next draws a step.
func (s *script) next() step {
	s.tick()
	q := model.Question{Now: s.now, Op: model.Check, Algorithm: s.algorithms[s.IntN(len(s.algorithms))], Limit: s.limits[s.IntN(len(s.limits))]}
	switch n := s.IntN(20); {
	case n < 3:
		q.Op = model.Peek
	case n < 6 && (!s.steady || s.IntN(20) == 0):
		q.Op = model.Refund
	case n == 6 && s.IntN(3) == 0 && (!s.steady || s.IntN(100) == 0):
		q.Op = model.Reset
	}
	if !q.Algorithm.HasBurst() { // which accepts no burst, and no limit beyond the store's
		limit := min(q.Limit.Limit(), engine.LogLimitDefault)
		q.Limit, _ = engine.NewLimit(limit, q.Limit.Period(), 0)
	}
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
	return step{fmt.Sprintf("%s:%d", s.name, s.IntN(s.keys)), q}
}

// tick moves the clock.
func (s *script) tick() {
	switch n := s.IntN(40); {
	case n < 10: // it stands
	case n < 12:
		s.now += s.Int64N(20 * s.pace)
	case n < 14 && s.wild:
		s.now -= s.Int64N(2 * s.pace)
	case n < 14 && s.backward:
		s.now = max(s.now-s.Int64N(2*s.pace), s.newest-lag)
	case n == 14 && s.wild:
		s.now = s.Int64N(engine.NowMicrosMax + 1)
	case n < 19 && !s.steady: // to where something ends, or next to it
		l := s.limits[s.IntN(len(s.limits))]
		span := l.Period().Microseconds()
		if s.IntN(2) == 0 {
			span = span / l.Limit() * (1 + s.Int64N(3))
		}
		s.now += span + s.Int64N(3) - 1
	default:
		s.now += s.Int64N(s.pace)
	}
	s.now = min(max(s.now, 0), engine.NowMicrosMax)
	s.newest = max(s.newest, s.now)
}
