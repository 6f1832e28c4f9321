package engine

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// What users rely on, each as one sentence, over random lives of a key.

// Over any interval a meter admits at most burst + elapsed·rate units, and what rounding adds to a
// burst of single units: less than one unit, and 1 ns for each.
func TestMeterNeverExceedsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom([]Algorithm{TokenBucket, LeakyBucket}).Draw(t, "algorithm")
		l := drawLimit(t, a)
		admitted := admissions(t, a, l)
		for i := range admitted {
			units := int64(0)
			for _, last := range admitted[i:] {
				units += last.units
				// units − burst ≤ (elapsed + rounding)·limit/period, without the division
				elapsed := (last.at - admitted[i].at) * 1000
				most := sum(product(l.Burst(), int64(l.Period())), product(elapsed+l.Burst()-1, l.Limit()))
				whole := sum(product(l.Burst()+1, int64(l.Period())), product(elapsed, l.Limit()))
				if took := product(units, int64(l.Period())); took.Cmp(most) > 0 || took.Cmp(whole) >= 0 {
					t.Fatalf("%+v admitted %d units from %d to %d µs", l, units, admitted[i].at, last.at)
				}
			}
		}
	})
}

// In no window of one period, wherever it begins, does a log or a counter admit more than limit units.
func TestLogNeverExceedsItsLimitInAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom([]Algorithm{SlidingWindowLog, SlidingWindowCounter}).Draw(t, "algorithm")
		l := drawLimit(t, a)
		admitted := admissions(t, a, l)
		for i, first := range admitted { // the fullest windows begin at an admission
			units := int64(0)
			for _, unit := range admitted[i:] {
				if (unit.at-first.at)*1000 < int64(l.Period()) {
					units += unit.units
				}
			}
			if units > l.Limit() {
				t.Fatalf("%+v admitted %d units within a period from %d µs", l, units, first.at)
			}
		}
	})
}

// admissions is what a greedy caller gets: many checks, most of them at the first instant
// at which they can pass.
func admissions(t *rapid.T, a Algorithm, l Limit) []logged {
	s, now, last := mustStore(), drawStart(t), Decision{}
	var admitted []logged
	for range rapid.IntRange(1, 60).Draw(t, "questions") {
		now = drawNow(t, now, l, last, false)
		cost := drawCost(t, l)
		d, err := s.Check("key", a, l, cost, now)
		if err != nil {
			t.Fatal(err)
		}
		if last = d; d.Allowed {
			admitted = append(admitted, logged{now, cost})
		}
	}
	return admitted
}

// A request is denied one microsecond before its retry_after and admitted at it.
func TestDeniedJustBeforeRetryAfterAdmittedAtIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		q := question{OpCheck, drawCost(t, f.limit), f.now}
		s := f.replay()
		d := f.ask(s, q)
		if d.Allowed {
			return
		}
		if d.RetryAfter == Never {
			if q.now = NowMicrosMax; f.ask(s, q).Allowed {
				t.Fatalf("never, and yet admitted: %+v, then %+v", d, q)
			}
			return
		}
		admit := q.now + ceilMicros(d.RetryAfter)
		if admit > NowMicrosMax {
			return
		}
		if q.now = admit - 1; f.ask(s, q).Allowed {
			t.Fatalf("admitted 1 µs before retry_after: %+v", d)
		}
		if q.now = admit; !f.ask(s, q).Allowed {
			t.Fatalf("denied at retry_after: %+v", d)
		}
	})
}

// A peek changes nothing and predicts the check.
func TestPeekChangesNothingAndPredictsCheck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		s, cost := f.replay(), drawCost(t, f.limit)
		before := contents(s, f.now)
		peek := f.ask(s, question{OpPeek, cost, f.now})
		if after := contents(s, f.now); !maps.Equal(before, after) {
			t.Fatalf("the peek changed %v to %v", before, after)
		}
		check := f.ask(s, question{OpCheck, cost, f.now})
		if peek.Allowed {
			// Rounding can make a request 1 ns dearer, for which a unit is missing that was just there.
			rounded := f.algorithm.row().hasBurst && f.limit.over > 0
			if left := peek.Remaining - cost; check.Remaining != left && (!rounded || check.Remaining != left-1) {
				t.Fatalf("%d taken of %+v left %+v", cost, peek, check)
			}
			check.Remaining, check.ResetAfter = peek.Remaining, peek.ResetAfter
		}
		if check != peek {
			t.Fatalf("peeked %+v, checked %+v", peek, check)
		}
	})
}

// A check and then a refund of the same cost leave every answer as it was.
func TestCheckThenRefundIsTheIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		s, cost := f.replay(), drawCost(t, f.limit)
		before := f.ask(s, question{OpPeek, 1, f.now})
		if !f.ask(s, question{OpCheck, cost, f.now}).Allowed {
			return
		}
		d := f.ask(s, question{OpRefund, cost, f.now})
		after := f.ask(s, question{OpPeek, 1, f.now})
		if before != after || d.Remaining != before.Remaining || d.ResetAfter != before.ResetAfter {
			t.Fatalf("before %+v, refunded %+v, after %+v", before, d, after)
		}
	})
}

// A denial, a peek and an error change nothing (invariant 5).
func TestDenialChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		s := f.replay()
		before := contents(s, f.now)
		for range 5 {
			q := question{OpCheck, drawCost(t, f.limit), f.now}
			if !f.ask(s, question{OpPeek, q.cost, q.now}).Allowed {
				f.ask(s, q)
			}
		}
		for _, q := range []question{{OpCheck, 0, f.now}, {OpCheck, UnitsMax + 1, f.now}, {OpRefund, 1, -1}} {
			if _, err := ask(s, q.op, "key", f.algorithm, f.limit, q.cost, q.now); err == nil {
				t.Fatalf("accepted %+v", q)
			}
		}
		if after := contents(s, f.now); !maps.Equal(before, after) {
			t.Fatalf("%v became %v", before, after)
		}
	})
}

// An idle key answers every question, of every algorithm, as an absent key does, whether
// or not its memory has been reclaimed (invariant 4).
func TestIdleIsAbsent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		rest := f.now
		if info, found := f.replay().Lookup("key", f.now); found {
			rest = info.IdleMicros
		}
		if rest > NowMicrosMax {
			return
		}
		now := rapid.Int64Range(rest, min(rest+2, NowMicrosMax)).Draw(t, "now")
		a := rapid.SampledFrom(Algorithms()).Draw(t, "asked")
		other := life{algorithm: a, limit: drawLimit(t, a)}
		q := question{drawOp(t), drawCost(t, other.limit), now}
		kept, swept, absent := f.replay(), f.replay(), mustStore()
		swept.Sweep(1000, now)
		if swept.Len() != 0 {
			t.Fatalf("a sweep at %d µs left a key whose rest is at %d µs", now, rest)
		}
		want := fmt.Sprintf("%+v %v", other.ask(absent, q), infos(absent, now))
		for _, s := range []*Store{kept, swept} {
			if got := fmt.Sprintf("%+v %v", other.ask(s, q), infos(s, now)); got != want {
				t.Fatalf("%v %+v when idle: %s; absent: %s", a, q, got, want)
			}
		}
	})
}

// infos is all that can be looked up of the key, less its memory.
func infos(s *Store, now int64) []KeyInfo {
	var all []KeyInfo
	if info, found := s.Lookup("key", now); found {
		info.Bytes = 0
		all = append(all, info)
	}
	return all
}

// A live key is denied to every other algorithm and is not changed by the attempt.
func TestLiveKeyRefusesOtherAlgorithms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		s := f.replay()
		before := contents(s, f.now)
		if len(before) == 0 {
			return
		}
		a := rapid.SampledFrom(Algorithms()).Draw(t, "asked")
		if a == f.algorithm {
			return
		}
		l := drawLimit(t, a)
		if _, err := ask(s, drawOp(t), "key", a, l, drawCost(t, l), f.now); !errors.Is(err, ErrWrongType) {
			t.Fatalf("%v on a key of %v: %v", a, f.algorithm, err)
		}
		if after := contents(s, f.now); !maps.Equal(before, after) {
			t.Fatalf("%v became %v", before, after)
		}
	})
}

// Remaining is within 0 … Limit, spans are not negative, and a request is allowed or has a
// retry_after, never both.
func TestDecisionsAreWithinTheirRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		s := mustStore()
		for _, q := range f.asked {
			d := f.ask(s, q)
			waits := d.RetryAfter > 0 || d.RetryAfter == Never
			most := f.limit.Burst()
			if d.Limit != most || d.Remaining < 0 || d.Remaining > most || d.ResetAfter < 0 || d.Delay < 0 ||
				d.Allowed == waits || (d.Allowed && d.RetryAfter != 0) || (!d.Allowed && d.Delay != 0) {
				t.Fatalf("%+v answered %+v", q, d)
			}
			if never := d.RetryAfter == Never; never != (q.op != OpRefund && q.cost > most) {
				t.Fatalf("%+v with a burst of %d answered %+v", q, most, d)
			}
			if f.algorithm != LeakyBucket && d.Delay != 0 {
				t.Fatalf("%v asks for a delay: %+v", f.algorithm, d)
			}
		}
	})
}

// ResetAfter is when Lookup stops finding the key, and not a microsecond earlier.
func TestResetAfterIsWhenLookupStopsFinding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		s := f.replay()
		reset := f.now + ceilMicros(f.last.ResetAfter)
		if reset > f.now {
			info, found := s.Lookup("key", reset-1)
			if !found || info.IdleMicros != reset || info.Algorithm != f.algorithm {
				t.Fatalf("1 µs before reset_after %v: %+v, %v", f.last.ResetAfter, info, found)
			}
		}
		if info, found := s.Lookup("key", reset); found {
			t.Fatalf("at reset_after %v there is %+v", f.last.ResetAfter, info)
		}
	})
}

// logged is units that were admitted at one instant (µs).
type logged struct{ at, units int64 }

func product(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
func sum(a, b *big.Int) *big.Int  { return new(big.Int).Add(a, b) }
