package engine_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A tally counts what a loop did.
type tally struct{ checks, admitted int }

func (t *tally) add(allowed bool) {
	t.checks++
	if allowed {
		t.admitted++
	}
}

// A loop is one goroutine's work in a round: it asks until it is told to stop.
type loop func(stop *atomic.Bool) tally

// patience is how many questions a loop asks between two looks at whether to stop.
const patience = 64

// spreadLoop asks what a walker supplies.
func spreadLoop(w *walker, check checkFunc) loop {
	return func(stop *atomic.Bool) (done tally) {
		for !stop.Load() {
			for range patience {
				done.add(w.ask(check))
			}
		}
		return done
	}
}

// roundLoop is the same for the other walker: through an interface each question would
// cost a call more.
func roundLoop(w *roundWalker, check checkFunc) loop {
	return func(stop *atomic.Bool) (done tally) {
		for !stop.Load() {
			for range patience {
				done.add(w.ask(check))
			}
		}
		return done
	}
}

// A row is one contestant in one setting, and what each round measured.
type row struct {
	name    string
	peer    bool
	loops   []loop // one for each core
	confirm func(testing.TB, tally)
	ns      []float64 // for a check, of time that passed on the wall
	allocs  []float64 // for a check
}

// round runs the loops for a while, on as many cores, and measures. Before that it runs them
// for a shorter while: what others have left is not theirs to pay for, be it garbage or the
// contents of the caches.
func (r *row) round(t testing.TB, length time.Duration) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(len(r.loops)))
	runtime.GC()
	r.run(length / 10)
	before, begin := mallocs(), time.Now()
	done := r.run(length)
	elapsed, allocated := time.Since(begin), mallocs()-before
	r.confirm(t, done)
	r.ns = append(r.ns, float64(elapsed)/float64(done.checks))
	r.allocs = append(r.allocs, float64(allocated)/float64(done.checks))
}

// run runs each loop in a goroutine of its own for a while.
func (r *row) run(length time.Duration) (all tally) {
	var stop atomic.Bool
	var running sync.WaitGroup
	tallies := make([]tally, len(r.loops))
	time.AfterFunc(length, func() { stop.Store(true) })
	for i, ask := range r.loops {
		running.Go(func() { tallies[i] = ask(&stop) })
	}
	running.Wait()
	for _, one := range tallies {
		all.checks += one.checks
		all.admitted += one.admitted
	}
	return all
}

// mallocs is how many objects were allocated so far.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
