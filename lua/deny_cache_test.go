package lua

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

const noon = int64(1_700_000_000_000_000) // µs, in November 2023

// What the cache answers is what a limiter answers that was asked nothing else meanwhile, or a
// wait that is longer by the time that the question was on its way. It denies nothing that would
// pass, and tells no caller to try too early. Where it says nothing, though the request is the
// one that was denied, that request passes.
func TestDenyCacheAnswersRight(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	answered, passed := 0, 0
	for range 20_000 {
		a := engine.Algorithms()[r.IntN(len(engine.Algorithms()))]
		limit, err := engine.NewLimit(1+r.Int64N(8), time.Duration(1+r.IntN(60_000))*time.Millisecond, 0)
		if err != nil {
			t.Fatal(err)
		}
		store, err := engine.NewStore(engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cache, now, sent := newDenyCache(100), noon, time.Duration(0)
		q := engine.Question{Key: "k", Algorithm: a, Limit: limit, Cost: 1 + r.Int64N(limit.Limit())}
		oldest := now
		for first := true; ; first = false { // until the question is denied
			if q.Decision, err = store.Check(q.Key, a, limit, q.Cost, now); err != nil {
				t.Fatal(err)
			}
			if !q.Decision.Allowed {
				break
			}
			if first {
				oldest = now
			}
			now += r.Int64N(limit.Period().Microseconds()/20 + 1)
			if now-oldest >= limit.Period().Microseconds() {
				oldest = now // it has left, and so has the way to know the next one: be careful
			}
		}
		// The question was decided at now, some time after it was sent.
		way := time.Duration(0)
		if r.IntN(2) == 0 {
			way = micros(r, q.Decision.RetryAfter/4)
		}
		there := micros(r, way)
		cache.learn(&q, sent, sent+way, limit.Period()-time.Duration(now-oldest)*time.Microsecond)
		age := way + micros(r, q.Decision.RetryAfter*3/2)
		same := engine.Question{Key: "k", Algorithm: a, Limit: limit, Cost: q.Cost}
		if r.IntN(3) == 0 && rows[a].byDebt {
			same.Cost = 1 + r.Int64N(limit.Limit())
		}
		want, err := store.Peek("k", a, limit, same.Cost, now+(age-there).Microseconds())
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case cache.answer(&same, age, time.Hour):
			answered++
			if got := &same.Decision; !laterBy(got, &want, way-there) {
				t.Fatalf("%v %+v cost %d, %v after being sent and %v on the way: the cache says %+v, right is %+v", a, limit, same.Cost, age, way, got, want)
			}
		case want.Allowed:
			passed++
		case rows[a].byDebt && want.RetryAfter > there:
			t.Fatalf("%v %+v cost %d, %v after being sent and %v on the way: the cache does not know, right is %+v", a, limit, same.Cost, age, way, want)
		}
	}
	t.Logf("%d answered from the cache, %d passed", answered, passed)
	if answered < 1000 || passed < 1000 {
		t.Error("too few of one kind")
	}
}

// micros is a random number of microseconds, less than most if that is any.
func micros(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(max(most.Microseconds(), 1))) * time.Microsecond
}

// laterBy says whether a denial is what is right, but for spans that are longer by so much.
func laterBy(got, right *engine.Decision, span time.Duration) bool {
	same := *got
	if same.RetryAfter != engine.Never {
		same.RetryAfter -= span
	}
	same.ResetAfter -= span
	if span > 0 && same.Remaining < right.Remaining {
		same.Remaining = right.Remaining
	}
	return same == *right
}

// A denial of a question that was sent before a refund or a reset was finished is not learned.
func TestDenyCacheForgets(t *testing.T) {
	limit, _ := engine.NewLimit(1, time.Hour, 0)
	q := engine.Question{Key: "k", Algorithm: engine.TokenBucket, Limit: limit, Cost: 1}
	q.Decision = engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
	answers := func(c *denyCache, now time.Duration) bool {
		again := q
		return c.answer(&again, now, time.Hour)
	}
	c := newDenyCache(100)
	if c.learn(&q, 10, 10, 0); !answers(c, 20) {
		t.Error("a denial was not learned")
	}
	if c.drop("k", 30); answers(c, 40) {
		t.Error("a denial was not dropped")
	}
	if c.learn(&q, 25, 25, 0); answers(c, 40) {
		t.Error("a denial was learned that was sent before the key was reset")
	}
	if c.learn(&q, 35, 35, 0); !answers(c, 40) {
		t.Error("a denial after the reset was not learned")
	}
	if c.answer(&q, time.Hour+100, time.Minute) {
		t.Error("a denial was answered from that is older than accepted")
	}
}

// The cache stays as small as it was made.
func TestDenyCacheIsBounded(t *testing.T) {
	const most = 640
	limit, _ := engine.NewLimit(1, time.Hour, 0)
	c := newDenyCache(most)
	for i := range 100 * most {
		q := engine.Question{Key: fmt.Sprint("k", i), Algorithm: engine.LeakyBucket, Limit: limit, Cost: 1}
		q.Decision = engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
		c.learn(&q, time.Duration(i), time.Duration(i), 0)
	}
	kept := int64(0)
	for i := range c.shards {
		kept += int64(len(c.shards[i].entries))
	}
	if kept != c.size.Load() || kept > most || kept < most/2 {
		t.Errorf("%d denials are kept and %d counted; want at most %d", kept, c.size.Load(), most)
	}
}
