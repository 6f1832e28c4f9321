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
		cache.learn(&q, sent, sent+way, evidence{holds: limit.Period() - time.Duration(now-oldest)*time.Microsecond}, true)
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
	if c.learn(&q, 10, 10, evidence{}, true); !answers(c, 20) {
		t.Error("a denial was not learned")
	}
	if c.begin("k"); answers(c, 20) {
		t.Error("a denial was not dropped")
	}
	if c.learn(&q, 22, 22, evidence{}, true); answers(c, 22) {
		t.Error("a denial was learned while the key was being reset")
	}
	c.end("k", 30)
	if c.learn(&q, 25, 25, evidence{}, true); answers(c, 40) {
		t.Error("a denial was learned that was sent before the key was reset")
	}
	if c.learn(&q, 35, 35, evidence{}, true); !answers(c, 40) {
		t.Error("a denial after the reset was not learned")
	}
	if c.answer(&q, time.Hour+100, time.Minute) {
		t.Error("a denial was answered from that is older than accepted")
	}
}

// What others have done to a key is seen in time, whatever is asked meanwhile; and what says
// nothing any more is not kept.
func TestDenyCacheAges(t *testing.T) {
	limit, _ := engine.NewLimit(10, 10*time.Hour, 0)
	q := engine.Question{Key: "k", Algorithm: engine.TokenBucket, Limit: limit, Cost: 5}
	learn := func(c *denyCache, debt, sent, answered time.Duration) {
		q.Decision = engine.Decision{Allowed: debt <= 5*time.Hour, ResetAfter: debt, RetryAfter: max(debt-5*time.Hour, 0)}
		q.Op = engine.OpPeek
		c.learn(&q, sent, answered, evidence{}, true)
		q.Op = engine.OpCheck
	}
	const ms = time.Millisecond
	answers := func(c *denyCache, now, longest time.Duration) bool {
		again := q
		return c.answer(&again, now, longest)
	}
	c := newDenyCache(100)
	learn(c, 9*time.Hour, 0, 10*ms)
	learn(c, 8*time.Hour, 9*ms, 20*ms) // seems to have been decided before
	if !answers(c, 30*ms, 30*ms) || answers(c, 31*ms, 30*ms) {
		t.Error("a denial that another does not confirm does not age from its own instant")
	}
	learn(c, 9*time.Hour, 40*ms, 50*ms)
	learn(c, 9*time.Hour, 49*ms, 60*ms)
	if !answers(c, 79*ms, 30*ms) || answers(c, 80*ms, 30*ms) {
		t.Error("a denial that another confirms does not age from the other's instant")
	}
	learn(c, 9*time.Hour, 90*ms, 100*ms)
	learn(c, 6*time.Hour, 100*ms, 110*ms) // others have given back
	if q.Cost = 4; answers(c, 110*ms, time.Hour) {
		t.Error("a denial is answered from that a later answer has refuted")
	}
	q.Cost = 5
	if learn(c, time.Hour, 120*ms, 130*ms); c.size.Load() != 1 {
		t.Error("a debt that has an hour to go was dropped")
	}
	if learn(c, 0, 140*ms, 150*ms); c.size.Load() != 0 {
		t.Error("an entry without a debt was kept")
	}
}

// Another algorithm's answer about a key, or that the key is another's, ends what is known of it.
func TestDenyCacheOfAnotherAlgorithm(t *testing.T) {
	limit, _ := engine.NewLimit(1, time.Hour, 0)
	q := engine.Question{Key: "k", Algorithm: engine.TokenBucket, Limit: limit, Cost: 1}
	denial := engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
	answers := func(c *denyCache, a engine.Algorithm) bool {
		again := q
		again.Algorithm = a
		return c.answer(&again, 100, time.Hour)
	}
	for _, a := range engine.Algorithms() {
		for _, b := range engine.Algorithms() {
			c := newDenyCache(100)
			q.Algorithm, q.Decision = a, denial
			c.learn(&q, 10, 20, evidence{holds: time.Hour}, true)
			if q.Algorithm = b; a == b {
				c.refused(&q, 30)
				if answers(c, a) {
					t.Errorf("%v: known although the key is another's", a)
				}
				continue
			}
			if c.refused(&q, 30); !answers(c, a) || answers(c, b) {
				t.Errorf("%v is not known, or %v is, after a question of %v was refused", a, b, b)
			}
			c.learn(&q, 40, 50, evidence{holds: time.Hour}, true)
			if answers(c, a) || !answers(c, b) {
				t.Errorf("%v is known, or %v is not, after a denial of %v", a, b, b)
			}
			q.Algorithm, q.Op, q.Decision = a, engine.OpPeek, engine.Decision{Allowed: true, Remaining: 1}
			if c.learn(&q, 60, 70, evidence{}, true); answers(c, b) {
				t.Errorf("%v is known although %v has found no key", b, a)
			}
			q.Op = engine.OpCheck
		}
	}
}

// A question that comes after others of its connection about the same key is not answered before
// them.
func TestKnownKeepsTheOrderOfAConnection(t *testing.T) {
	limit, _ := engine.NewLimit(1, time.Hour, 0)
	l := &Limiter{denials: newDenyCache(100), started: time.Now()}
	l.Tune(Tuning{DenyCacheMax: time.Hour})
	check := engine.Question{Key: "k", Algorithm: engine.TokenBucket, Limit: limit, Cost: 1}
	check.Decision = engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
	l.denials.learn(&check, 0, 0, evidence{}, true)
	other := check
	other.Key = "other"
	if !l.Known([]engine.Question{check}) || !l.Known([]engine.Question{other, check}) {
		t.Error("a denial is not known")
	}
	refund, reset := check, engine.Question{Key: "k", Reset: true}
	refund.Op = engine.OpRefund
	for _, before := range []engine.Question{check, refund, reset} {
		if l.Known([]engine.Question{before, other, check}) {
			t.Errorf("a check is answered before what was asked before it: %+v", before)
		}
	}
	if hits := l.denials.hits.Load(); hits != 2 {
		t.Errorf("%d hits are counted; want 2", hits)
	}
}

// What may be of an earlier state than another answer is not learned.
func TestDenyCacheLearnsNothingUncertain(t *testing.T) {
	hour, _ := engine.NewLimit(1, time.Hour, 0)
	long, _ := engine.NewLimit(1, 2*time.Hour, 0)
	denial := engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
	question := func(key string, l engine.Limit) *engine.Question {
		return &engine.Question{Key: key, Algorithm: engine.SlidingWindowLog, Limit: l, Cost: 1, Decision: denial}
	}
	learn := func(c *denyCache, q *engine.Question, sent, answered time.Duration, used int64) {
		c.learn(q, sent, answered, evidence{time.Hour, used}, true)
	}
	knows := func(c *denyCache, q *engine.Question) bool {
		again := *q
		return c.answer(&again, 100, time.Hour)
	}
	c, k, other := newDenyCache(1), question("k", hour), question("other", hour)
	learn(c, k, 10, 50, 1)
	learn(c, other, 60, 70, 1) // takes the room
	if learn(c, k, 40, 80, 1); knows(c, k) {
		t.Error("a denial was learned that may be of before one that is not remembered any more")
	}
	c = newDenyCache(1)
	learn(c, k, 10, 50, 3)
	learn(c, question("k", long), 40, 60, 2)
	if knows(c, k) || knows(c, question("k", long)) {
		t.Error("of two denials that do not tell which is later, one is known")
	}
	q := question("k", hour)
	q.Algorithm, q.Decision = engine.TokenBucket, engine.Decision{RetryAfter: 10, ResetAfter: 10}
	if learn(c, q, 70, 80, 0); c.size.Load() != 0 {
		t.Error("a debt was learned that may be paid")
	}
}

// The cache stays as small as it was made.
func TestDenyCacheIsBounded(t *testing.T) {
	for _, most := range []int{1, 31, 33, 1000, 20_000} {
		fillDenyCache(t, most)
	}
	c := newDenyCache(0)
	c.learn(&engine.Question{Algorithm: engine.TokenBucket, Decision: engine.Decision{RetryAfter: 1, ResetAfter: 1}}, 0, 0, evidence{}, true)
	if len(c.shards[0].entries) != 0 {
		t.Error("a cache for nothing has an entry")
	}
}

func fillDenyCache(t *testing.T, most int) {
	limit, _ := engine.NewLimit(1, time.Hour, 0)
	c := newDenyCache(most)
	for i := range 10 * most {
		q := engine.Question{Key: fmt.Sprint("k", i), Algorithm: engine.LeakyBucket, Limit: limit, Cost: 1}
		q.Decision = engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
		c.learn(&q, time.Duration(i), time.Duration(i), evidence{}, true)
	}
	kept := 0
	for i := range c.shards {
		kept += len(c.shards[i].entries)
	}
	if int64(kept) != c.size.Load() || kept > most || kept < most*9/10 {
		t.Errorf("%d denials are kept and %d counted; want %d at most", kept, c.size.Load(), most)
	}
}
