package engine

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// The figures of these benchmarks are to be compared within one run only.

const benchKeys = 100_000

func benchNames() []string {
	names := make([]string, benchKeys)
	for i := range names {
		names[i] = fmt.Sprintf("user:%011d", i)
	}
	return names
}

func benchLimit(b *testing.B, limit int64) Limit {
	l, err := NewLimit(limit, time.Minute, 0)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// BenchmarkCheck measures a check: spread over 100,000 keys, and on one hot key. Run it
// with -cpu 1,2.
func BenchmarkCheck(b *testing.B) {
	names := benchNames()
	for _, a := range Algorithms() {
		for _, keys := range []int{benchKeys, 1} {
			b.Run(fmt.Sprintf("%v/keys=%d", a, keys), func(b *testing.B) {
				s, err := NewStore(Options{})
				if err != nil {
					b.Fatal(err)
				}
				l := benchLimit(b, 100)
				now := time.Now().UnixMicro()
				for _, name := range names[:keys] { // first touches are another benchmark's
					if _, err := s.Check(name, a, l, 1, now); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					r := rand.New(rand.NewPCG(1, rand.Uint64()))
					for pb.Next() {
						if _, err := s.Check(names[r.IntN(keys)], a, l, 1, now); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkMutexMap is the baseline: a mutex around a map, and the meter's step.
func BenchmarkMutexMap(b *testing.B) {
	names := benchNames()
	for _, keys := range []int{benchKeys, 1} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			var mu sync.Mutex
			states := map[string]state{}
			l := benchLimit(b, 100)
			now := time.Now().UnixNano()
			for _, name := range names[:keys] {
				states[name], _ = meterStep(opCheck, state{}, l, now, 1)
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				r := rand.New(rand.NewPCG(1, rand.Uint64()))
				for pb.Next() {
					name := names[r.IntN(keys)]
					mu.Lock()
					st, d := meterStep(opCheck, states[name], l, now, 1)
					if d.Allowed {
						states[name] = st
					}
					mu.Unlock()
				}
			})
		})
	}
}
