package engine_test

import (
	"sync/atomic"
	"testing"

	"github.com/rlserver/rlserver/engine"
)

// A workload is which keys are asked for, and where they come from.
type workload struct {
	name string
	keys int
	held []string // nil where they are received
}

// workloads are what contestants are compared in. There is one with a hot key only, because
// that key is in the cache wherever it comes from.
func workloads() []workload {
	return []workload{
		{"received keys", spreadKeys, nil},
		{"held keys", spreadKeys, heldKeys(spreadKeys)},
		{"hot key", 1, nil},
	}
}

// has says whether a contestant runs here: plain mutex and map are the hot key's baseline.
func (w workload) has(c contestant) bool { return c.name != nameMutex || w.keys == 1 }

// BenchmarkCheck measures a check of a token bucket that exists, by every contestant. Every
// check is admitted, see generousLimit. Run it with -cpu 1,2: as many goroutines check at
// the same time.
func BenchmarkCheck(b *testing.B) {
	for _, in := range workloads() {
		for _, c := range contestants {
			if in.has(c) {
				b.Run(in.name+"/"+c.name, func(b *testing.B) { benchmarkCheck(b, in, c) })
			}
		}
	}
}

// touch asks for every key once, all at the first instant, so that none is new later.
func touch(check checkFunc, keys int) {
	var s scratch
	var d engine.Decision
	for i := range keys {
		check(s.key(uint64(i)), firstNow, &d)
	}
}

func benchmarkCheck(b *testing.B, in workload, c contestant) {
	check := c.make(generousLimit)
	touch(check, in.keys)
	var admitted atomic.Int64
	var goroutines atomic.Uint64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := newWalker(goroutines.Add(1), in.keys, in.held)
		var done tally
		for pb.Next() {
			done.add(w.ask(check))
		}
		admitted.Add(int64(done.admitted))
	})
	if got := admitted.Load(); got != int64(b.N) {
		b.Fatalf("%d of %d checks were admitted; the benchmark is of checks that all are", got, b.N)
	}
}
