package lua

import (
	"fmt"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// BenchmarkDenyCache measures what the cache costs a check that is admitted: to look for it, and
// to learn its answer. Redis's part is some thousands of ns.
func BenchmarkDenyCache(b *testing.B) {
	limit, _ := engine.NewLimit(10, 10*time.Hour, 0)
	for _, denied := range []int{0, 1, 100_000} {
		l := &Limiter{denials: newDenyCache(100_000), started: time.Now()}
		l.Tune(Tuning{DenyCacheMax: time.Hour})
		q := engine.Question{Algorithm: engine.TokenBucket, Limit: limit, Cost: 1}
		q.Decision = engine.Decision{RetryAfter: time.Hour, ResetAfter: 10 * time.Hour}
		for i := range denied {
			q.Key = fmt.Sprint("denied:", i)
			l.denials.learn(&q, 0, 0, evidence{}, true)
		}
		questions := make([]engine.Question, 1000)
		for i := range questions {
			questions[i] = q
			questions[i].Key, questions[i].Decision = fmt.Sprint("admitted:", i), engine.Decision{Allowed: true, ResetAfter: time.Hour}
		}
		b.Run(fmt.Sprint("denied keys ", denied), func(b *testing.B) {
			b.ReportAllocs()
			for n := range b.N {
				if i := n % len(questions); l.Known(questions[i : i+1]) {
					b.Fatal("an admitted key is known")
				}
				l.denials.learn(&questions[n%len(questions)], time.Duration(n), time.Duration(n+1), evidence{}, true)
			}
		})
	}
}
