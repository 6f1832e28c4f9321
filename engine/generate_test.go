package engine

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Random questions for the oracle and the properties. Everything drawn is inside the
// domain, and much of it at its borders: a generator that only draws ordinary numbers
// meets no rounding and no overflow.

// TestMain sets what rapid does unless the command line says otherwise: more cases than its 100,
// as a case takes a fraction of a millisecond, and the same ones in every run; and no file left
// in the tree. With -rapid.seed 0 the cases are new ones.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(fewer(2000)), "rapid.seed": "1", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// drawLimit draws a limit; one that a log accepts has no burst of its own.
func drawLimit(t *rapid.T, a Algorithm) Limit {
	for {
		limit := rapid.OneOf(
			rapid.Int64Range(1, 12),
			rapid.SampledFrom([]int64{1, 7, 1000, LogLimitMax, UnitsMax}),
		).Draw(t, "limit")
		period := time.Duration(rapid.OneOf(
			rapid.Int64Range(int64(PeriodMin), int64(20*PeriodMin)), // odd nanoseconds
			rapid.SampledFrom([]int64{int64(PeriodMin), int64(time.Second), int64(time.Minute), int64(FillMax / 100), int64(PeriodMax)}),
		).Draw(t, "period"))
		burst := int64(0)
		if a.HasBurst() {
			burst = rapid.OneOf(
				rapid.Just(int64(0)),
				rapid.Int64Range(1, 12),
				rapid.SampledFrom([]int64{100, UnitsMax}), // 100 of FillMax/100: exactly the longest fill
			).Draw(t, "burst")
		} else {
			limit = min(limit, a.limitMax(int64(period), LogLimitMax))
		}
		if a.row().hasCalendar && rapid.IntRange(0, 3).Draw(t, "calendar") == 0 {
			c := rapid.SampledFrom([]Calendar{Week, Month, Year}).Draw(t, "of the calendar")
			if l, err := NewCalendarLimit(limit, c); err == nil {
				return l
			}
		}
		// What is left out: more than a unit a nanosecond, more than 100 years to fill.
		// A limit that the algorithm does not accept.
		if l, err := NewLimit(limit, period, burst); err == nil && a.CheckLimit(&l, LogLimitMax) == nil {
			return l
		}
	}
}

func drawOp(t *rapid.T) Op {
	return rapid.SampledFrom([]Op{OpCheck, OpCheck, OpCheck, OpPeek, OpRefund, OpForce}).Draw(t, "op")
}

// drawCost draws small costs, costs about the most that can be taken, and absurd ones.
func drawCost(t *rapid.T, l Limit) int64 {
	cost := rapid.OneOf(
		rapid.Int64Range(1, 3),
		rapid.Int64Range(l.Burst()-1, l.Burst()+1),
		rapid.Int64Range(1, l.Burst()),
		rapid.SampledFrom([]int64{1, UnitsMax}),
	).Draw(t, "cost")
	return min(max(cost, 1), UnitsMax)
}

func drawStart(t *rapid.T) int64 {
	return rapid.SampledFrom([]int64{noon, noon, 0, NowMicrosMax - daysMicros(400), NowMicrosMax}).Draw(t, "start")
}

// drawNow steps the clock: not at all, by 1 µs, to the instants that the last decision
// named and 1 µs to either side of them, by about a period, by years and, if asked for,
// backwards by any of these.
func drawNow(t *rapid.T, now int64, l Limit, last Decision, backwards bool) int64 {
	near := rapid.Int64Range(-1, 1)
	step := int64(0)
	switch rapid.IntRange(0, 8).Draw(t, "jump") {
	case 0, 1, 2:
	case 3:
		step = 1
	case 4, 5:
		step = ceilMicros(last.RetryAfter) + near.Draw(t, "near retry_after")
	case 6:
		step = ceilMicros(last.ResetAfter) + near.Draw(t, "near reset_after")
	case 7:
		step = rapid.Int64Range(0, 2*l.Period().Microseconds()).Draw(t, "periods")
	case 8:
		step = daysMicros(rapid.Int64Range(1, 40*365).Draw(t, "days"))
	}
	step = max(step, 0)
	if backwards && rapid.IntRange(0, 7).Draw(t, "back") == 0 {
		step = -step - 1
	}
	return min(max(now+step, 0), NowMicrosMax)
}

// A question is one call to a store.
type question struct {
	op        Op
	cost, now int64
}

// A life is what happened to one key with one limit under a clock that never steps back.
type life struct {
	algorithm Algorithm
	limit     Limit
	asked     []question
	now       int64    // of the last question
	last      Decision // its answer
}

// drawLife draws a life; most properties are about the instant at which it ends.
func drawLife(t *rapid.T) life {
	a := rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
	f := life{algorithm: a, limit: drawLimit(t, a), now: drawStart(t)}
	s := mustStore()
	for range rapid.IntRange(1, 30).Draw(t, "questions") {
		f.now = drawNow(t, f.now, f.limit, f.last, false)
		q := question{drawOp(t), drawCost(t, f.limit), f.now}
		f.asked, f.last = append(f.asked, q), f.ask(s, q)
	}
	return f
}

// ask puts one question to a store that holds the life's key.
func (f life) ask(s *Store, q question) Decision {
	d, err := ask(s, q.op, "key", f.algorithm, f.limit, q.cost, q.now)
	if err != nil {
		panic(err)
	}
	return d
}

// replay lives the life again: each question about how it ends gets a store of its own.
func (f life) replay() *Store {
	s := mustStore()
	for _, q := range f.asked {
		f.ask(s, q)
	}
	return s
}
