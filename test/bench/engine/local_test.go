package engine_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/bench"
)

// callers is how many goroutines call the engine at the same time.
const callers = 5000

// localLimit and localPeriod are what each key may have.
const (
	localLimit  = 100
	localPeriod = time.Minute
)

// published is what a well-known Python library reports of its algorithms with as many callers,
// measured on a machine of its own: µs, µs, calls a second, and MB for 100,000 keys.
var published = map[engine.Algorithm]struct{ p50, p99, perSec, mb float64 }{
	engine.TokenBucket:      {3.3, 12, 215_962, 37.4},
	engine.SlidingWindowLog: {2.8, 13, 244_598, 43.5},
	engine.LeakyBucket:      {3.3, 11, 193_962, 37.4},
}

// A localRow is an algorithm, or the harness alone, and what each round measured.
type localRow struct {
	name   string
	make   func() checkFunc
	rounds bench.Rounds[span]
}

// BenchmarkLocal prints how long a call takes while 5,000 goroutines call the engine on all cores.
// They take turns after each call, so that all of them are under way at the same time. A call is
// timed from just before to just after it. So the time in which a caller waits for its turn is not
// in it, but for a caller that loses its core in the middle of a call: it waits until the others
// have had theirs, which makes the longest calls.
func BenchmarkLocal(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	algorithms := engine.Algorithms()
	var rows []*localRow
	for _, a := range algorithms {
		rows = append(rows, &localRow{name: a.String(), make: func() checkFunc {
			return storeCheck(newStore(), a, mustLimit(localLimit, localPeriod, 0))
		}})
	}
	rows = append(rows, &localRow{name: "the harness, doing nothing", make: func() checkFunc { return nothing }})
	keys := heldKeys(spreadKeys)
	for range rounds {
		for i, row := range rows {
			call := &calling{check: row.make(), keys: keys, admitted: make([]atomic.Int32, len(keys))}
			row.rounds = append(row.rounds, call.run(length))
			if i < len(algorithms) {
				call.judge(t, row.name)
			}
		}
	}
	tab := bench.NewTable(fmt.Sprintf("in process, %d concurrent callers, %d keys, %d per %v, %d cores; medians of %d rounds of %v",
		callers, len(keys), localLimit, localPeriod, runtime.NumCPU(), rounds, length),
		"", "p50 µs", "p99 µs", "p99.9 µs", "max ms", "calls/s", "MB of the process with 100,000 keys", "of which for the keys")
	for i, row := range rows {
		figures := fmt.Sprintf("%s|%.2f|%.2f|%.2f|%.1f|%.0f", row.name, row.microseconds(func(s span) time.Duration { return s.P50 }),
			row.microseconds(func(s span) time.Duration { return s.P99 }), row.microseconds(func(s span) time.Duration { return s.P999 }),
			row.microseconds(func(s span) time.Duration { return s.Max })/1000, row.rounds.Median(func(s span) float64 { return s.PerSec }))
		if i == len(algorithms) {
			tab.Add("%s||", figures)
			continue
		}
		const mb = 1e6
		r := bench.InChild[fillResult](t, job{Fill: &fillJob{algorithms[i], localLimit, spreadKeys, 1}})
		tab.Add("%s|%.1f|%.1f", figures, float64(r.After)/mb, float64(r.After-r.Before)/mb)
		if p, known := published[algorithms[i]]; known {
			tab.Add("a Python library's, as published|%.1f|%.0f|||%.0f|%.1f|", p.p50, p.p99, p.perSec, p.mb)
		}
	}
	tab.Print(os.Stdout)
}

func (row *localRow) microseconds(figure func(span) time.Duration) float64 {
	return row.rounds.Median(func(s span) float64 { return float64(figure(s)) / float64(time.Microsecond) })
}

// A calling is one round of one row.
type calling struct {
	check    checkFunc
	keys     []string
	admitted []atomic.Int32 // of each key
	elapsed  time.Duration
}

// run has all callers call for a while.
func (c *calling) run(length time.Duration) span {
	runtime.GC() // what the row before has left
	var all histogram
	var guard sync.Mutex
	var calling sync.WaitGroup
	var stop atomic.Bool
	ready := make(chan struct{})
	for i := range callers {
		calling.Go(func() {
			<-ready
			draw := random(mix(uint64(i)))
			var took [patience]time.Duration
			for !stop.Load() {
				for at := range took {
					took[at] = c.call(int(draw.below(uint64(len(c.keys)))))
					runtime.Gosched()
				}
				guard.Lock()
				for _, d := range took {
					all.add(d)
				}
				guard.Unlock()
			}
		})
	}
	begin := time.Now()
	close(ready)
	time.AfterFunc(length, func() { stop.Store(true) })
	calling.Wait()
	c.elapsed = time.Since(begin)
	return all.span("", c.elapsed)
}

// call asks for one unit of a key, and returns how long that took.
func (c *calling) call(key int) time.Duration {
	var d engine.Decision
	begin := time.Now() // the clock that the engine is asked with, too
	c.check(c.keys[key], begin.UnixMicro(), &d)
	took := time.Since(begin)
	if d.Allowed {
		c.admitted[key].Add(1)
	}
	return took
}

// judge fails if a key had more than its limit, and what came back meanwhile.
func (c *calling) judge(t testing.TB, name string) {
	t.Helper()
	most := 2*localLimit + int32(c.elapsed/(localPeriod/localLimit)) // a fixed window may end meanwhile
	if name != engine.FixedWindow.String() {
		most -= localLimit
	}
	for key := range c.admitted {
		if n := c.admitted[key].Load(); n > most {
			t.Fatalf("%s: %d units of %s were admitted in %v; the limit allows %d", name, n, c.keys[key], c.elapsed, most)
		}
	}
}
