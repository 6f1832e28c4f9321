package engine_test

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// loadWorkers is how many goroutines share the load.
const loadWorkers = 2

// A loadJob keeps a store under a steady load while it is filled and afterwards, and times
// every check.
type loadJob struct {
	Keys            int
	InsertsPerSec   int
	ChecksPerSec    int
	GarbagePerSec   int           // pieces of garbageBytes
	Steady, Harness time.Duration // how long these phases take
}

// garbageBytes is the size of one piece of garbage. The store leaves none once it is full,
// and without any the collector would never run; a server leaves some.
const garbageBytes = 1024

// A span is the distribution of some, to be printed.
type span struct {
	Name                string
	PerSec              float64
	P50, P99, P999, Max time.Duration
}

// A load is a loadJob under way.
type load struct {
	*loadJob
	store    *engine.Store
	limit    engine.Limit
	inserted atomic.Int64 // keys 0 … inserted−1 are there
}

func (j *loadJob) run() ([][]span, error) {
	l := &load{loadJob: j, store: newStore(), limit: mustLimit(100, 24*time.Hour, 0)}
	nothing := func(string, int64) {}
	return [][]span{
		l.phase("harness alone, no keys", nothing, l.wait(j.Harness)),
		l.phase("growth: checks", l.check, phasePart{"growth: new keys", l.insert}),
		l.phase("steady: checks", l.check, l.litter(j.Steady)),
		l.phase("harness alone, all keys", nothing, l.litter(j.Harness)),
	}, nil
}

// check asks for a unit of a key. It answers at any time, so errors are a fault of the
// program.
func (l *load) check(key string, now int64) {
	if _, err := l.store.Check(key, engine.TokenBucket, l.limit, 1, now); err != nil {
		panic(err)
	}
}

// A phasePart is what a phase does besides the load: the phase ends when it does. It has a
// name if its own times are to be reported.
type phasePart struct {
	name string
	do   func() *histogram
}

// wait does nothing for a while.
func (l *load) wait(length time.Duration) phasePart {
	return phasePart{do: func() *histogram {
		time.Sleep(length)
		return nil
	}}
}

// litter makes garbage for a while.
func (l *load) litter(length time.Duration) phasePart {
	return phasePart{do: func() *histogram {
		var piece atomic.Pointer[[garbageBytes]byte] // so that it is on the heap
		end := time.Now().Add(length)
		pace(l.GarbagePerSec, func() bool { return time.Now().Before(end) }, func(time.Time) {
			piece.Store(new([garbageBytes]byte))
		})
		return nil
	}}
}

// insert asks for each key once, on a schedule, until all are there.
func (l *load) insert() *histogram {
	var s scratch
	return pace(l.InsertsPerSec, func() bool { return l.inserted.Load() < int64(l.Keys) }, func(now time.Time) {
		l.check(s.key(uint64(l.inserted.Load())), now.UnixMicro())
		l.inserted.Add(1)
	})
}

// phase calls ask with keys picked at random from those that are there, on a schedule, as
// long as the other part takes.
func (l *load) phase(name string, ask func(key string, now int64), part phasePart) []span {
	begin := time.Now()
	var stop atomic.Bool
	var running sync.WaitGroup
	workers := make([]*histogram, loadWorkers)
	for i := range workers {
		running.Go(func() {
			draw, s := random(mix(uint64(i))), new(scratch)
			workers[i] = pace(l.ChecksPerSec/loadWorkers, func() bool { return !stop.Load() }, func(now time.Time) {
				n := max(uint64(l.inserted.Load()), 1)
				ask(s.key(draw.below(n)), now.UnixMicro())
			})
		})
	}
	other := part.do()
	stop.Store(true)
	running.Wait()
	all, elapsed := workers[0], time.Since(begin)
	for _, one := range workers[1:] {
		all.merge(one)
	}
	spans := []span{all.span(name, elapsed)}
	if part.name != "" {
		spans = append(spans, other.span(part.name, elapsed))
	}
	return spans
}

func (h *histogram) span(name string, elapsed time.Duration) span {
	return span{name, float64(h.total) / elapsed.Seconds(), h.quantile(0.5), h.quantile(0.99), h.quantile(0.999), h.max}
}

// pace calls do so many times a second while there is more to do, each time as soon as it
// is due, and returns how long the calls took. If one call is late, the next are late too.
func pace(perSec int, more func() bool, do func(now time.Time)) *histogram {
	seen, interval := new(histogram), time.Second/time.Duration(perSec)
	for due := time.Now(); more(); {
		before := time.Now()
		if early := due.Sub(before); early > 0 {
			pause(early)
			continue
		}
		do(before)
		seen.add(time.Since(before))
		due = due.Add(interval)
	}
	return seen
}
