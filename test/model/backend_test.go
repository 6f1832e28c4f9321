package model_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// TestModelOfABackend asks questions whose answers were worked out by hand, of a clock that steps
// back by an hour after the first one.
func TestModelOfABackend(t *testing.T) {
	three := mustLimit(3, 3*sec, 0)
	for a, rows := range map[engine.Algorithm][]row{
		engine.TokenBucket: {
			{0, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "all"},
			{-time.Hour, model.Peek, 1, three, engine.Decision{Limit: 3, RetryAfter: sec, ResetAfter: 3 * sec}, "it owes as much"},
			{-time.Hour + sec, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: sec, ResetAfter: 3 * sec}, "a peek has written nothing"},
			{-time.Hour + 2*sec, model.Check, 2, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: sec, ResetAfter: 2 * sec}, "a denial has"},
			{-time.Hour, model.Refund, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 2 * sec}, "time since the last write does not count"},
			{-time.Hour + 2*sec, model.Peek, 3, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 3}, "idle"},
		},
		engine.SlidingWindowLog: {
			{0, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 3 * sec}, "one of three"},
			{sec, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "full"},
			{-time.Hour, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: 2 * sec, ResetAfter: 3 * sec}, "each is as old as it was"},
			{-time.Hour + 2*sec, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "the first has left"},
		},
		engine.SlidingWindowCounter: { // a unit leaves 65 slices after its slice's begin; noon is 2/3 into one
			{0, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 3_015_625 * time.Microsecond}, "one of three"},
			{sec, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3_046_875 * time.Microsecond}, "full"},
			{-time.Hour, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: 2_015_625 * time.Microsecond, ResetAfter: 3_046_875 * time.Microsecond}, "each is as old as it was"},
		},
		engine.FixedWindow: { // a window of 3 s ends a second after noon, and an hour before
			{0, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: sec}, "all"},
			{-time.Hour - sec, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: 2 * sec, ResetAfter: 2 * sec}, "until a window ends"},
			{-time.Hour + sec, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "the next one"},
		},
	} {
		b := model.NewBackend()
		for i, r := range rows {
			got := b.Ask("key", model.Question{Op: r.op, Algorithm: a, Limit: r.limit, Cost: r.cost, Now: noon + r.at.Microseconds()})
			if want := (model.Answer{Decision: r.want}); got != want {
				t.Errorf("%v, row %d, %s:\n got %v\nwant %v", a, i, r.why, got, want)
			}
		}
	}
}

// Whatever a clock that steps back reads, what is admitted stays within the limit by the time that
// goes by, and a key is free again after a period, however far the clock has stepped. A window goes
// on for up to a period more with each step, and a counter for up to a slice.
func TestStepsBackNeitherForgiveNorHold(t *testing.T) {
	bounds := map[engine.Algorithm]func(l engine.Limit, span int64) int64{ // units within a span (µs)
		engine.TokenBucket:          bucketBound,
		engine.LeakyBucket:          bucketBound,
		engine.SlidingWindowLog:     anyWindowBound,
		engine.SlidingWindowCounter: anyWindowBound,
		engine.FixedWindow:          func(l engine.Limit, span int64) int64 { return l.Limit() * (span/l.Period().Microseconds() + 2) },
	}
	none := func(engine.Limit, int64) time.Duration { return 0 }
	longer := map[engine.Algorithm]func(l engine.Limit, steps int64) time.Duration{
		engine.TokenBucket:          none,
		engine.LeakyBucket:          none,
		engine.SlidingWindowLog:     none,
		engine.FixedWindow:          func(l engine.Limit, steps int64) time.Duration { return time.Duration(steps) * l.Period() },
		engine.SlidingWindowCounter: func(l engine.Limit, _ int64) time.Duration { return l.Period()/engine.CounterSlices + time.Microsecond },
	}
	for _, a := range engine.Algorithms() {
		steps, admitted, denied := 0, 0, 0
		for n := range uint64(300) {
			r := rand.New(rand.NewPCG(*seed, n))
			l := mustLimit(1+r.Int64N(6), time.Duration(1+r.IntN(3000))*ms, 0)
			b, period, key := model.NewBackend(), l.Period().Microseconds(), "key"
			now, behind := noon+r.Int64N(1e9), int64(0) // the time, and how far the clock is behind it
			ask := func(op model.Op, cost int64) engine.Decision {
				return b.Ask(key, model.Question{Op: op, Algorithm: a, Limit: l, Cost: cost, Now: now - behind}).Decision
			}
			var taken []model.Entry
			inWindow := int64(0) // steps
			for range 200 {
				now += r.Int64N(period / 2)
				if r.IntN(4) == 0 {
					steps++
					inWindow++
					behind += r.Int64N(3*period) * (1 + r.Int64N(2)*r.Int64N(1000))
				}
				cost := 1 + r.Int64N(l.Limit())
				ask(model.Peek, cost)
				d := ask(model.Check, cost)
				if !d.Allowed {
					denied++
					continue
				}
				admitted++
				if d.Remaining == l.Limit()-cost {
					inWindow = 0
				}
				taken = append(taken, model.Entry{At: now, Units: cost})
				sum := int64(0)
				for i := len(taken) - 1; i >= 0; i-- {
					span := now - taken[i].At
					if sum += taken[i].Units; sum > bounds[a](l, span) {
						t.Fatalf("%v, sequence %d: %d units of %d in %v within %d µs", a, n, sum, l.Limit(), l.Period(), span)
					}
				}
			}
			held := l.Period() + longer[a](l, inWindow)
			d := ask(model.Check, l.Limit())
			if now += (d.ResetAfter + time.Microsecond - 1).Microseconds(); d.ResetAfter > held+time.Microsecond || !ask(model.Check, l.Limit()).Allowed {
				t.Fatalf("%v, sequence %d: held for %v and not %v: %+v", a, n, d.ResetAfter, held, d)
			}
		}
		if steps < 1000 || admitted < 1000 || denied < 1000 {
			t.Errorf("%v: %d steps back, %d admitted, %d denied: this proves little", a, steps, admitted, denied)
		}
	}
}

// anyWindowBound is the limit for each period that a span (µs) reaches into.
func anyWindowBound(l engine.Limit, span int64) int64 {
	return l.Limit() * (span/l.Period().Microseconds() + 1)
}

// bucketBound is the burst, and what flows within a span (µs).
func bucketBound(l engine.Limit, span int64) int64 {
	return l.Burst() + span*1000/int64(l.Period())*l.Limit() + span*1000%int64(l.Period())*l.Limit()/int64(l.Period())
}
