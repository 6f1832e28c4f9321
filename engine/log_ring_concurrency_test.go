package engine

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// Rings that are read, written, sealed and replaced at once.

// A view that still holds after it was read is of one instant, with everything in it
// (invariant 8), while others admit, give units back, and change the period, so that rings
// are sealed and replaced all the time: the newest unit never gets older unless units leave,
// the entries are in order, and no more than the limit is in the shorter window.
func TestViewsThatHoldAreWhole(t *testing.T) {
	collide(t)
	const limit = 5
	for name, refunds := range map[string]bool{"": false, "with refunds": true} {
		s, whole, torn := mustStore(), 0, 0
		var clock atomic.Int64
		clock.Store(noon)
		limits := []Limit{mustLimit(limit, 2*time.Millisecond, 0), mustLimit(limit, 3*time.Millisecond, 0)}
		ringNow := busyKey(s, SlidingWindowLog, limits[0])
		stop := besides(func() {
			now := clock.Add(50)
			if now/50%100 == 0 {
				now = clock.Add(3000) // the log is idle, and begins with the period that comes first
			}
			mustCheck(s, "key", SlidingWindowLog, limits[now/50%40/39], 1, now)
			if refunds && now/50%7 == 0 {
				if _, err := s.Refund("key", SlidingWindowLog, limits[0], 1+now/50%4, now); err != nil {
					t.Error(err)
				}
			}
		})
		newest := int64(0)
		for range rounds(t, fewer(100_000), func() bool { return whole > 0 && torn > 0 }) {
			r := ringNow()
			if r == nil {
				continue
			}
			v := r.view()
			first := v.firstAfter(v.newestAt() - ceilMicros(limits[0].Period()))
			used := v.units(first, v.size()-1)
			var at []int64
			for i := first; i < v.size(); i++ {
				at = append(at, v.at(i))
			}
			if !v.holds() {
				torn++
				continue
			}
			whole++
			if used < 1 || used > limit || !slices.IsSorted(at) || len(at) > limit || at[len(at)-1] != v.newestAt() ||
				v.newestAt() > clock.Load() || !refunds && v.newestAt() < newest {
				t.Fatalf("%s: %d units at %v, newest at %d, before at %d, sealed %v", name, used, at, v.newestAt(), newest, v.sealed())
			}
			newest = v.newestAt()
		}
		stop()
		auditCells(t, s)
	}
}

// A caller that reads a ring while it takes one more entry and is sealed at once sees it before
// the entry, or with it, and never the seal with what stood before it a round ago.
func TestViewOfARingBeingSealed(t *testing.T) {
	collide(t)
	l := mustLimit(3, time.Millisecond, 0)
	seen := map[string]int{}
	for range rounds(t, fewer(20_000), func() bool { return len(seen) == 3 }) {
		r := firstRing(1, logChange{at: noon, units: 1}, &l)
		for i := range int64(4) { // once round, and on
			v := r.view()
			v.append(logChange{first: 1, at: noon + (i+1)*ms, units: 1})
		}
		v := r.view()
		r.end.Store(r.after(v.gapAt)) // from the round before
		last := v.newestAt()
		together(2, func(worker int) {
			if worker == 1 {
				v := r.view()
				v.append(logChange{first: 1, at: last + ms, units: 1})
				v = r.view()
				v.seal()
				return
			}
			for range 10 {
				switch v := r.view(); {
				case v.sealed() && v.newestAt() == last+ms:
					seen["sealed"]++
				case !v.sealed() && v.newestAt() == last+ms:
					seen["appended"]++
				case !v.sealed() && v.newestAt() == last:
					seen["before"]++
				default:
					t.Errorf("sealed %v, newest at %d µs after the last", v.sealed(), v.newestAt()-last)
				}
			}
		})
	}
}

// Under a clock that all see step, the units of any one period are exactly as many as fit,
// however many take them at once and however the ring is at that time. Of a counter a step is a slice.
func TestNoWindowHoldsMore(t *testing.T) {
	collide(t)
	for a, stepsInPeriod := range map[Algorithm]int{SlidingWindowLog: 10, SlidingWindowCounter: CounterSlices} {
		contended := uint64(0)
		for round := range rounds(t, 5, func() bool { return contended > 0 }) {
			limit := int64(1 + round*7)
			contended += noWindowHoldsMore(t, a, mustLimit(limit, time.Duration(stepsInPeriod)*time.Millisecond, 0))
		}
	}
}

func noWindowHoldsMore(t *testing.T, a Algorithm, l Limit) (contended uint64) {
	const steps = 600
	s, counted := mustStore(), int(l.Period()/time.Millisecond)
	if a == SlidingWindowCounter {
		counted++
	}
	var admitted [steps]atomic.Int64
	for step := range admitted {
		now := noon + int64(step)*ms
		want := 1 + int64(step)*5%l.limit // not all at once, so that windows overlap
		together(workers, func(int) {
			for admitted[step].Load() < want && mustCheck(s, "key", a, l, 1, now).Allowed {
				admitted[step].Add(1)
			}
		})
		window := int64(0)
		for i := max(0, step-counted+1); i <= step; i++ {
			window += admitted[i].Load()
		}
		if window > l.limit || window < l.limit && admitted[step].Load() < want {
			t.Fatalf("%v, limit %d, step %d: %d units in the window, %d of this step, wanted %d", a, l.limit, step, window, admitted[step].Load(), want)
		}
	}
	auditCells(t, s)
	return s.Stats().Contended
}
