package lua

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// Questions of many connections about one key are under way at a time, and their answers arrive in
// any order. Still an answer of the cache is what Redis would have said at some moment: no earlier
// than all that has been answered before, and with a wait that is longer by no more than an answer
// was on its way.
func TestDenyCacheKeepsOrder(t *testing.T) {
	const episodes = 4000
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	hits := map[string]int{}
	for n := range episodes {
		e := newEpisode(t, r, store, n)
		for len(e.events) > 0 && !t.Failed() {
			next := e.events[0]
			e.events, e.now = e.events[1:], next.at
			next.happen()
		}
		hits[e.algorithm.String()] += int(e.cache.hits.Load())
		if size := len(e.cache.shards[0].entries); int64(size) != e.cache.size.Load() || size > 1 {
			t.Fatalf("episode %d: %d entries, %d counted", n, size, e.cache.size.Load())
		}
	}
	t.Logf("answered from the cache: %v", hits)
	for _, a := range engine.Algorithms() {
		if hits[a.String()] < episodes/10 {
			t.Errorf("only %d answers about %v are from the cache", hits[a.String()], a)
		}
	}
}

// wayMax is how long a question of an episode takes to Redis at most, and so does its answer back.
const wayMax = 2 * time.Millisecond

// An episode is some questions about one key of a Redis, which is a store with a clock of its own.
type episode struct {
	t         *testing.T
	r         *rand.Rand
	name      string
	store     *engine.Store
	cache     *denyCache
	algorithm engine.Algorithm
	limits    []engine.Limit
	clock     int64         // of Redis (µs) at the instant 0
	now       time.Duration // by the limiter's clock
	events    []event       // that are to come, in order
	decided   []step
	told      int // how many of decided all answers given so far count at least
	replays   int
	log       []string
}

type event struct {
	at     time.Duration
	happen func()
}

// A step is a question that Redis has decided.
type step struct {
	engine.Question
	at time.Duration
}

func newEpisode(t *testing.T, r *rand.Rand, store *engine.Store, n int) *episode {
	all := engine.Algorithms()
	e := &episode{t: t, r: r, name: fmt.Sprint("episode ", n, ":"), store: store, cache: newDenyCache(1), algorithm: all[n%len(all)], clock: noon + int64(n)*10_000_000}
	limit := 1 + r.Int64N(10)
	period := time.Duration(limit) * time.Hour
	if r.IntN(2) == 0 { // units become free while questions are under way
		period = time.Duration(limit) * micros(r, 4*time.Millisecond)
	}
	period = max(period, time.Millisecond)
	for range 1 + r.IntN(2) {
		l, err := engine.NewLimit(limit, period, 0)
		if err != nil {
			t.Fatal(err)
		}
		e.limits = append(e.limits, l)
		limit = 1 + r.Int64N(10)
		period *= time.Duration(1 + r.IntN(2))
	}
	at := time.Duration(0)
	for range 40 {
		at += micros(r, wayMax/time.Duration(1+n%3))
		e.on(at, e.ask)
		if r.IntN(10) == 0 {
			e.on(at, e.evict)
		}
	}
	return e
}

func (e *episode) on(at time.Duration, happen func()) {
	i := len(e.events)
	for i > 0 && e.events[i-1].at > at {
		i--
	}
	e.events = slices.Insert(e.events, i, event{at, happen})
}

func (e *episode) note(format string, args ...any) {
	e.log = append(e.log, fmt.Sprintf("%8v ", e.now)+fmt.Sprintf(format, args...))
}

// ask has a client ask a question.
func (e *episode) ask() {
	r, q := e.r, engine.Question{Key: "k", Algorithm: e.algorithm, Limit: e.limits[e.r.IntN(len(e.limits))]}
	if q.Cost = 1; r.IntN(2) == 0 {
		q.Cost += r.Int64N(q.Limit.Limit())
	}
	switch r.IntN(30) {
	case 0, 1, 2:
		q.Op = engine.OpPeek
	case 3:
		q.Op = engine.OpRefund
	case 4:
		q.Reset = true
	case 5:
		q.Cost = q.Limit.Limit() + 1
	case 6:
		q.Op = engine.OpForce
	case 7, 8:
		part := engine.Part{State: q.Key, Algorithm: q.Algorithm, Limit: q.Limit}
		q.Call = &engine.Call{Op: []engine.Op{engine.OpCheck, engine.OpRefund}[r.IntN(2)], Cost: q.Cost, Parts: []engine.Part{part}}
	}
	if forgives(&q) {
		eachState(&q, e.cache.begin)
	} else if q.Call == nil && q.Op == engine.OpCheck && e.cache.answer(&q, e.now, time.Hour) {
		e.cache.hits.Add(1)
		e.judge(&q)
		return
	}
	sent := e.now
	there := sent + micros(r, wayMax/time.Duration(1+r.IntN(8)))
	e.on(there, func() { e.decide(&q, sent, there) })
}

// evict has the denial of another key take all room.
func (e *episode) evict() {
	q := engine.Question{Key: "other", Algorithm: engine.TokenBucket, Limit: e.limits[0], Cost: 1}
	q.Decision = engine.Decision{RetryAfter: time.Hour, ResetAfter: time.Hour}
	e.cache.learn(&q, e.now, e.now, evidence{}, true)
	e.note("evicted")
}

// decide has Redis decide a question, and its answer return.
func (e *episode) decide(q *engine.Question, sent, there time.Duration) {
	e.put("now", q, e.now)
	e.decided = append(e.decided, step{*q, e.now})
	index, told := len(e.decided), evidence{}
	e.note("decided %d: op %d reset %v cost %d of %d/%v, sent at %v: %+v", index, q.Op, q.Reset, q.Cost, q.Limit.Limit(), q.Limit.Period(), sent, q.Decision)
	if !forgives(q) && !changesUnseen(q) {
		told = evidence{e.holds(q), e.used(q)}
	}
	answered := there + micros(e.r, wayMax/time.Duration(1+e.r.IntN(8)))
	e.on(answered, func() {
		e.note("answered %d", index)
		if changesUnseen(q) {
			e.cache.changed(q, e.now)
		}
		switch {
		case forgives(q):
			e.cache.end(q.Key, e.now)
		case changesUnseen(q):
		default:
			e.cache.learn(q, sent, answered, told, true)
		}
		e.told = max(e.told, index)
	})
}

// put has a key of the store decide a question.
func (e *episode) put(key string, q *engine.Question, at time.Duration) {
	key, now := e.name+key, e.clock+at.Microseconds()
	var err error
	switch {
	case q.Reset:
		e.store.Reset(key, now)
	case q.Call != nil:
		q.Call.Parts[0].State = key
		err = e.store.AskCall(q.Call, now)
		q.Call.Parts[0].State = q.Key
	default:
		err = e.store.Ask(q.Op, key, q.Algorithm, &q.Limit, q.Cost, now, &q.Decision)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// holds is how long from now on what is remaining stays the same.
func (e *episode) holds(q *engine.Question) time.Duration {
	peek := *q
	peek.Op = engine.OpPeek
	low, high := time.Duration(0), q.Limit.Period()+time.Microsecond
	for high-low > time.Microsecond {
		middle := (low + (high-low)/2).Truncate(time.Microsecond)
		if e.put("now", &peek, e.now+middle); peek.Decision.Remaining == q.Decision.Remaining {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// used is how many units count.
func (e *episode) used(q *engine.Question) int64 {
	const most = 1000
	peek := *q
	peek.Op, peek.Cost = engine.OpPeek, 1
	peek.Limit, _ = engine.NewLimit(most, q.Limit.Period(), 0)
	e.put("now", &peek, e.now)
	return most - peek.Decision.Remaining
}

// judge compares an answer of the cache with those that Redis would have given, if it had decided
// only what came before some of the questions that have not been answered.
func (e *episode) judge(q *engine.Question) {
	e.note("from the cache: cost %d of %d/%v: %+v", q.Cost, q.Limit.Limit(), q.Limit.Period(), q.Decision)
	var right []engine.Decision
	for last := e.told; last <= len(e.decided); last++ {
		e.replays++
		key := fmt.Sprint(e.replays)
		for _, s := range e.decided[:last] {
			e.put(key, &s.Question, s.at)
		}
		peek := *q
		peek.Op = engine.OpPeek
		e.put(key, &peek, e.now)
		if later := q.Decision.ResetAfter - peek.Decision.ResetAfter; later >= 0 && later <= 2*wayMax && laterBy(&q.Decision, &peek.Decision, later) {
			e.told = last
			return
		}
		right = append(right, peek.Decision)
	}
	e.t.Errorf("%s, %v\n%s", e.name, e.algorithm, strings.Join(e.log, "\n"))
	e.t.Errorf("the last is not among %+v", right)
}
