package engine

import (
	"errors"
	"flag"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Goroutines that may collide. Each test asserts a number that a single lost or doubled update
// would change, so its outcome does not depend on whether they did. With -soak a test goes on
// until they have. That a step which loses a race is no step is shown without chance, by
// TestStepOnAChangedState and by the tests of callers that stall.

const workers = 4

var soak = flag.Bool("soak", false, "do more of what may collide, until it has")

// rounds counts the rounds of a test: so many, and with -soak on until all has happened.
func rounds(t *testing.T, fewest int, happened func() bool) iter.Seq[int] {
	const most = 20_000
	return func(yield func(int) bool) {
		for round := 0; round < fewest || *soak && !happened(); round++ {
			if round == max(most, 10*fewest) {
				t.Fatal("the workers never collided: this run proves nothing")
			}
			if !yield(round) {
				return
			}
		}
	}
}

// collide gives every worker a thread of its own for the length of a test: with fewer
// processors the workers would hardly ever meet inside a step.
func collide(t *testing.T) {
	before := runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), workers))
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// together runs f(0) … f(n−1) at once and waits for them.
func together(n int, f func(worker int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for worker := range n {
		done.Go(func() {
			start.Wait()
			f(worker)
		})
	}
	start.Done()
	done.Wait()
}

// besides runs f over and over until the returned stop is called; stop waits for it.
func besides(f func()) (stop func()) {
	var stopped atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for !stopped.Load() {
			f()
		}
	})
	return func() {
		stopped.Store(true)
		done.Wait()
	}
}

// Workers that check one key until they are denied are admitted exactly limit/cost times
// (invariant 2).
func TestStoreAdmitsExactly(t *testing.T) {
	collide(t)
	const limit = 5000
	for _, a := range Algorithms() {
		for _, cost := range []int64{1, 3} {
			t.Run(fmt.Sprintf("%v/cost=%d", a, cost), func(t *testing.T) {
				l, contended := mustLimit(limit, time.Minute, 0), uint64(0)
				for range rounds(t, 3, func() bool { return contended > 0 }) {
					s := mustStore()
					var admitted atomic.Int64
					mustCheck(s, "key", a, l, cost, noon) // the node is there: only steps can collide
					admitted.Add(1)
					together(workers, func(int) {
						for mustCheck(s, "key", a, l, cost, noon).Allowed {
							admitted.Add(1)
						}
					})
					if got := admitted.Load(); got != limit/cost {
						t.Fatalf("admitted %d times, want %d", got, limit/cost)
					}
					if d, _ := s.Peek("key", a, l, 1, noon); d.Remaining != limit%cost {
						t.Fatalf("%d units remain, want %d", d.Remaining, limit%cost)
					}
					contended += s.Stats().Contended
				}
			})
		}
	}
}

// A step on a state that another caller has changed since it was read is no step
// (invariant 2).
func TestStepOnAChangedState(t *testing.T) {
	for _, a := range Algorithms() {
		s, l, d := mustStore(), mustLimit(3, time.Minute, 0), Decision{}
		mustCheck(s, "key", a, l, 1, noon)
		sp, p := s.space.Load(), newProbe(s.hasher.hash("key"), "key")
		table, slot, st, _ := sp.locate(&p, sp.first(&p), noon*1000)
		q := query{OpCheck, a, &l, 1, noon * 1000, nil}
		step := func() (done bool) { done, _ = s.step(sp, table, slot, st, &q, &d); return done }
		switch a.Shape() { // of those in a ring the reference stays the same: a step begins with a view
		case ShapeLog:
			v := sp.logs.load(st).view()
			step = func() bool { return v.append(slidingWindowLogStep(&q, &v, s.logLimitMax, &d)) }
		case ShapeCounter:
			v := sp.logs.load(st).counter()
			step = func() bool { return v.append(slidingWindowCounterStep(&q, &v, &d)) }
		case ShapeWord:
		}
		mustCheck(s, "key", a, l, 1, noon) // the other caller
		if step() {
			t.Errorf("%v: a step on a state that is gone was made", a)
		}
		if d, _ := s.Peek("key", a, l, 1, noon); d.Remaining != 1 {
			t.Errorf("%v: %d units remain, want 1", a, d.Remaining)
		}
		if a.Shape() == ShapeWord && s.Stats().Contended != 1 {
			t.Errorf("%v: %d steps are counted as lost, want 1", a, s.Stats().Contended)
		}
	}
}

func mustCheck(s *Store, key string, a Algorithm, l Limit, cost, now int64) Decision {
	d, err := s.Check(key, a, l, cost, now)
	if err != nil {
		panic(err)
	}
	return d
}

// Workers that take a unit, hold it and refund it are never more than limit at once. The
// refund that empties the key also removes its node, so nodes come and go all the time.
func TestRefundsAdmitNoMoreThanTheLimit(t *testing.T) {
	collide(t)
	for _, a := range Algorithms() {
		for _, limit := range []int64{1, 3} {
			s, l := mustStore(), mustLimit(limit, time.Minute, 0)
			var holders, taken atomic.Int64
			together(workers, func(int) {
				for range 3000 {
					if !mustCheck(s, "key", a, l, 1, noon).Allowed {
						continue
					}
					if holders.Add(1) > limit {
						t.Errorf("%v: more than %d hold a unit", a, limit)
					}
					taken.Add(1)
					holders.Add(-1)
					if _, err := s.Refund("key", a, l, 1, noon); err != nil {
						t.Error(err)
					}
				}
			})
			if d, _ := s.Peek("key", a, l, 1, noon); d.Remaining != limit || s.Len() != 0 || taken.Load() == 0 {
				t.Errorf("%v: in the end %+v, %d keys, %d taken", a, d, s.Len(), taken.Load())
			}
		}
	}
}

// Reclaiming loses no update (invariant 3). In each phase all workers see one instant at
// which the keys are idle, and a sweep at that instant runs beside them: a key must
// admit exactly limit units, whether its node was updated, reclaimed or replaced.
func TestReclaimLosesNoUpdate(t *testing.T) {
	collide(t)
	const phases = 300
	for _, mixed := range []bool{false, true} {
		for i, a := range Algorithms() {
			t.Run(fmt.Sprintf("%v/mixed=%v", a, mixed), func(t *testing.T) {
				s, updated := mustStore(), int64(0)
				// Both must have won some of the races, the sweep and the workers.
				for phase := range rounds(t, phases, func() bool { return s.Stats().Reclaimed > 0 && updated > 0 }) {
					before := s.Stats().Reclaimed
					if mixed { // the first to come takes the key over, the others are refused
						reclaimPhase(t, s, phase, func(worker int) Algorithm { return Algorithms()[(i+phase+worker)%len(Algorithms())] })
					} else {
						reclaimPhase(t, s, phase, func(int) Algorithm { return a })
					}
					updated += reclaimKeys - int64(s.Stats().Reclaimed-before)
				}
			})
		}
	}
}

const reclaimKeys = 16

// reclaimPhase spends each key's whole limit at an instant at which it is idle, beside
// a sweep.
func reclaimPhase(t *testing.T, s *Store, phase int, algorithm func(worker int) Algorithm) {
	t.Helper()
	const limit = 3
	l, now := mustLimit(limit, time.Second, 0), noon+int64(phase)*2*sec
	var admitted [reclaimKeys]atomic.Int64
	together(workers+1, func(worker int) {
		if worker == workers {
			for range 5 {
				s.Sweep(64, now)
			}
			return
		}
		for key := range admitted {
			for range 2 * limit {
				d, err := s.Check(fmt.Sprint("key", key), algorithm(worker), l, 1, now)
				if err != nil && !errors.Is(err, ErrWrongType) {
					t.Error(err)
				}
				if d.Allowed {
					admitted[key].Add(1)
				}
			}
		}
	})
	for key := range admitted {
		if got := admitted[key].Load(); got != limit {
			t.Fatalf("phase %d: key %d admitted %d units, want %d", phase, key, got, limit)
		}
	}
}

// A reset that says that it forgot a live key allows one more whole burst, and nothing else
// does: with requests that take a whole burst, admissions and resets balance exactly.
func TestResetsAndAdmissionsBalance(t *testing.T) {
	collide(t)
	for _, a := range Algorithms() {
		s, l := mustStore(), mustLimit(7, time.Second, 0)
		var admitted, resets atomic.Int64
		reset := func() {
			if s.Reset("key", noon) {
				resets.Add(1)
			}
		}
		stop := besides(func() { reset(); s.Sweep(64, noon) })
		together(workers, func(worker int) {
			for range 3000 {
				if mustCheck(s, "key", a, l, 7, noon).Allowed {
					admitted.Add(1)
				}
				if worker == 0 {
					reset()
				}
			}
		})
		stop()
		live := int64(len(contents(s, noon)))
		if admitted.Load() != resets.Load()+live || s.Len() != live || resets.Load() == 0 {
			t.Errorf("%v: %d admitted, %d resets, %d keys left, Len %d", a, admitted.Load(), resets.Load(), live, s.Len())
		}
	}
}

// At most one open slot holds a key (invariant 1): workers race to touch new keys for the
// first time while others reset and sweep them.
func TestOneSlotPerKey(t *testing.T) {
	collide(t)
	const keys = 200
	l, contended := mustLimit(1, time.Second, 0), uint64(0)
	for round := range rounds(t, fewer(100), func() bool { return contended > 0 }) {
		s := mustStore()
		now := noon + int64(round)
		churn := func() {}
		if round%2 == 1 {
			next := 0
			churn = func() {
				s.Reset(fmt.Sprint(next%keys), now)
				s.Sweep(16, now+2*sec) // to the sweep everything is idle
				next++
			}
		}
		stop := besides(churn)
		var admitted atomic.Int64
		together(workers, func(_ int) {
			a := Algorithms()[round%len(Algorithms())]
			for key := range keys {
				if mustCheck(s, fmt.Sprint(key), a, l, 1, now).Allowed {
					admitted.Add(1)
				}
			}
		})
		stop()
		if got := admitted.Load(); round%2 == 0 && got != keys {
			t.Fatalf("%d keys of one unit admitted %d", keys, got)
		}
		oneSlotPerKey(t, s)
		if round%2 == 0 { // without churn a key is written once: what collided were inserts
			contended += s.Stats().Contended
		}
	}
}

// oneSlotPerKey looks through every table of a store at which nobody works.
func oneSlotPerKey(t *testing.T, s *Store) {
	t.Helper()
	total, seen := int64(0), map[string]bool{}
	eachHeld(s, func(_ *table, slot *slot, _ int64) {
		key := keyOf(slot, slot.meta.Load())
		if seen[key] {
			t.Fatalf("key %q has two slots", key)
		}
		seen[key] = true
		total++
	})
	if s.Len() != total {
		t.Fatalf("Len is %d, there are %d keys", s.Len(), total)
	}
}

// A flush while checks are under way forgives at most one burst for each flush, and leaves
// a store that works.
func TestFlushRacesWithChecks(t *testing.T) {
	collide(t)
	const limit, flushesMax = 3, 2000
	for _, a := range Algorithms() {
		s, l := mustStore(), mustLimit(limit, time.Second, 0)
		var admitted, flushes atomic.Int64
		stop := besides(func() {
			if flushes.Load() < flushesMax {
				flushes.Add(1)
				s.Flush()
			}
		})
		together(workers, func(int) {
			for range 3000 {
				if mustCheck(s, "key", a, l, 1, noon).Allowed {
					admitted.Add(1)
				}
			}
		})
		stop()
		if got, most := admitted.Load(), limit*(flushes.Load()+1); got < limit || got > most {
			t.Errorf("%v: admitted %d with %d flushes, at most %d", a, got, flushes.Load(), most)
		}
		oneSlotPerKey(t, s)
		s.Flush()
		if s.Len() != 0 || s.Stats().Contended != 0 || len(contents(s, 0)) != 0 {
			t.Errorf("%v: after a flush %d keys, %d contended", a, s.Len(), s.Stats().Contended)
		}
		if d := mustCheck(s, "key", a, l, limit, noon); !d.Allowed {
			t.Errorf("%v: after a flush %+v", a, d)
		}
	}
}
