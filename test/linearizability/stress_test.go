package linearizability

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// Where histories are long, they are counted and not ordered: however calls overlap, a key
// whose time stands still admits exactly what its limit says.

// spend lets goroutines spend one key's limit after another's, while the tables around them
// grow and shrink and are scanned. It is the caller's to repeat until all of that has
// happened.
func spend(t *testing.T, random *rand.Rand, a engine.Algorithm, cost int64) evidence {
	t.Helper()
	units, keys := int64(scaled(20_000)), scaled(12)
	s, l, goroutines := mustStore(0), mustLimit(units, time.Hour), 2+random.IntN(7)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.NumCPU()) + random.IntN(2)*goroutines))
	here := inhabit(t, s)
	before := s.Stats()

	stopTurnover := turnover(t, s)
	var walked atomic.Uint64
	stopScans := besides(func() { here.scan(t, s); walked.Add(1) })
	for i := range keys {
		key := pad(fmt.Sprint("spent", i), moving.keyLengths[random.IntN(len(moving.keyLengths))])
		var admitted atomic.Int64
		together(goroutines, func() {
			for mustCheck(t, s, key, a, l, cost, noon).Allowed {
				admitted.Add(1)
			}
		})
		if got := admitted.Load(); got != units/cost {
			t.Errorf("%v: %d goroutines were admitted %d times for %d of %d units, want %d", a, goroutines, got, cost, units, units/cost)
		}
		if d, err := s.Peek(key, a, l, 1, noon); err != nil || d.Remaining != units%cost {
			t.Errorf("%v: %d units remain (%v), want %d", a, d.Remaining, err, units%cost)
		}
	}
	stopScans()
	stopTurnover()
	here.scan(t, s)

	seen := gather(before, s.Stats())
	seen[calls], seen[scans] = uint64(keys)*uint64(units/cost+int64(goroutines)), walked.Load()
	return seen
}

// residents are keys that stay while others come and go around them, and what a scan says of
// them, but for their memory.
type residents map[string]engine.KeyInfo

// inhabit makes residents in tables of several widths.
func inhabit(t *testing.T, s *engine.Store) residents {
	t.Helper()
	const count = 500
	here, lengths := residents{}, []int{4, 10, 14, 16, 20, 40, 70, 200}
	for i := range count {
		key, a := pad(fmt.Sprintf("r%x", i), lengths[i%len(lengths)]), engine.Algorithms()[i%len(engine.Algorithms())]
		d := mustCheck(t, s, key, a, mustLimit(1, time.Hour), 1, noon)
		here[key] = engine.KeyInfo{Key: key, Algorithm: a, IdleMicros: noon + d.ResetAfter.Microseconds()}
	}
	return here
}

// scan goes over the store and meets every resident once, as it was.
func (r residents) scan(t *testing.T, s *engine.Store) {
	t.Helper()
	const pace = 50 // keys a call, so that much can happen between two
	met := map[string]bool{}
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		cursor = s.Scan(cursor, pace, noon, func(info engine.KeyInfo) {
			want, resident := r[info.Key]
			info.Bytes = 0
			switch {
			case !resident:
			case met[info.Key]:
				t.Errorf("scan met %.20q twice", info.Key)
			case info != want:
				t.Errorf("scan met %.20q as %+v", info.Key, info)
			}
			met[info.Key] = resident
		})
	}
	for key := range r {
		if !met[key] {
			t.Errorf("scan missed %.20q, which was there throughout", key)
		}
	}
}

// turnover lets keys come, become idle and be reclaimed, by a clock of their own that began so long
// ago that it does not come to noon.
func turnover(t *testing.T, s *engine.Store) (stop func()) {
	t.Helper()
	const batch = 200
	step := time.Millisecond.Microseconds()
	var now atomic.Int64
	now.Store(noon - 30*24*time.Hour.Microseconds())
	next, growing := 0, true
	stopInserts := besides(func() {
		if len(moving.fillers) < int(s.Len())+batch {
			growing = false
		} else if s.Len() < int64(len(moving.fillers)/8) {
			growing = true
		}
		at := now.Add(step)
		if !growing {
			return // let the clock go on and the sweeper catch up
		}
		for range batch {
			key, a := moving.fillers[next%len(moving.fillers)], engine.Algorithms()[next%len(engine.Algorithms())]
			mustCheck(t, s, key, a, limits[0], 1, at)
			next++
		}
	})
	stopSweeps := besides(func() { s.Sweep(200, now.Load()-step-1) }) // behind the batch under way
	return func() {
		stopInserts()
		stopSweeps()
	}
}

// flushAll lets goroutines spend a key's limit again and again, as flushes forgive it. A
// flush forgives at most one limit.
func flushAll(t *testing.T, random *rand.Rand, a engine.Algorithm) evidence {
	t.Helper()
	const units, attempts = 3, 3000
	s, l := mustStore(0), mustLimit(units, time.Hour)
	stopTurnover := turnover(t, s)
	var flushed, admitted atomic.Int64
	stopFlushes := besides(func() {
		flushed.Add(1) // before: nothing is forgiven that is not counted
		s.Flush()
		time.Sleep(20 * time.Microsecond)
	})
	together(2+random.IntN(7), func() {
		for range attempts {
			if mustCheck(t, s, "flushed", a, l, 1, noon).Allowed {
				admitted.Add(1)
			}
		}
	})
	stopFlushes()
	stopTurnover()
	if got, most := admitted.Load(), units*(flushed.Load()+1); got < units || got > most {
		t.Errorf("%v: %d admitted with %d flushes, want %d to %d", a, got, flushed.Load(), units, most)
	}
	s.Flush()
	if n := s.Len(); n != 0 {
		t.Errorf("%v: %d keys are left after a flush", a, n)
	}
	return evidence{calls: attempts, flushes: uint64(flushed.Load())}
}

// mustCheck fails the test on an error, which nothing here should meet.
func mustCheck(t *testing.T, s *engine.Store, key string, a engine.Algorithm, l engine.Limit, cost, now int64) engine.Decision {
	d, err := s.Check(key, a, l, cost, now)
	if err != nil {
		t.Errorf("%.20q: %v", key, err)
	}
	return d
}

// together runs f in so many goroutines at once and waits for them.
func together(goroutines int, f func()) {
	var start, done sync.WaitGroup
	start.Add(1)
	for range goroutines {
		done.Go(func() {
			start.Wait()
			f()
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
			runtime.Gosched()
		}
	})
	return func() {
		stopped.Store(true)
		done.Wait()
	}
}
