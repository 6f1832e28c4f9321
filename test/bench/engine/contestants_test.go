package engine_test

import (
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"golang.org/x/time/rate"

	"github.com/rlserver/rlserver/engine"
)

// A checkFunc asks for one unit of a key at an instant in µs. All contestants are called
// through one, so all pay the same for the call. The answer is written where the caller
// wants it: to hand it on through one more function costs as much as a lookup in the cache.
type checkFunc func(key string, now int64, d *engine.Decision)

// A contestant is a way to keep token buckets for string keys.
type contestant struct {
	name string
	// peer says that it is what a Go program would use instead of the store.
	peer bool
	make func(engine.Limit) checkFunc
}

// The contestants' names, as they stand in tables.
const (
	nameStore   = "store"
	nameRate    = "mutex+map of rate.Limiter"
	nameSyncMap = "sync.Map"
	nameXsync   = "xsync.Map"
	nameMutex   = "mutex+map"
	nameNothing = "supply only"
)

// contestants are all that can be asked. The last is the harness itself.
var contestants = []contestant{
	{nameStore, false, func(l engine.Limit) checkFunc { return storeCheck(newStore(), engine.TokenBucket, l) }},
	{nameRate, true, rateLimiters},
	{nameSyncMap, true, syncMap},
	{nameXsync, true, xsyncMap},
	{nameMutex, false, mutexMap},
	{nameNothing, false, func(engine.Limit) checkFunc { return nothing }},
}

// generousLimit admits every check and leaves every key with a debt: it gives a unit a
// second, and a key has to be asked a billion times before it is empty. So every check
// writes, which is the dearest case, and neither the clocks of two goroutines nor the
// order of their checks make a difference to what is done. The admitted share is 1.
var generousLimit = mustLimit(1, time.Second, 1_000_000_000)

func mustLimit(limit int64, period time.Duration, burst int64) engine.Limit {
	l, err := engine.NewLimit(limit, period, burst)
	if err != nil {
		panic(err)
	}
	return l
}

func newStore() *engine.Store {
	s, err := engine.NewStore(engine.Options{})
	if err != nil {
		panic(err)
	}
	return s
}

func storeCheck(s *engine.Store, a engine.Algorithm, l engine.Limit) checkFunc {
	return func(key string, now int64, d *engine.Decision) {
		if err := s.Ask(engine.OpCheck, key, a, &l, 1, now, d); err != nil {
			panic(err)
		}
	}
}

// gcra takes cost units from a bucket that is full from instant t (ns) on, and gives the
// instant that follows: the store's arithmetic, so that only the map differs. A bucket at
// t = 0 is as good as new.
func gcra(t int64, l *gcraLimit, now, cost int64, d *engine.Decision) (next int64) {
	debt := max(t-now, 0)
	slack := l.Slack(cost)
	after := debt + l.Price(cost)
	*d = engine.Decision{Allowed: true, Limit: l.Burst()}
	next = now + after
	if wait := debt - slack; slack < 0 || wait > 0 {
		d.Allowed, d.RetryAfter = false, time.Duration(wait)
		if slack < 0 {
			d.RetryAfter = engine.Never
		}
		next, after = t, debt
	}
	high, low := bits.Mul64(uint64(max(l.capacity-after, 0)), uint64(l.Limit.Limit()))
	remaining, _ := bits.Div64(high, low, uint64(l.period))
	d.Remaining = int64(remaining)
	d.ResetAfter = time.Duration(after)
	return next
}

// gcraLimit is a limit as gcra needs it, in ns. The fields are read from memory, so that
// the division is one: by a constant it would be a multiplication.
type gcraLimit struct {
	engine.Limit
	period, capacity int64
}

func newGcraLimit(l engine.Limit) *gcraLimit {
	return &gcraLimit{Limit: l, period: int64(l.Period()), capacity: l.Slack(1) + l.Price(1)}
}

// takeFrom takes one unit from a state that others may be taking from too.
func takeFrom(state *atomic.Int64, l *gcraLimit, now int64, d *engine.Decision) {
	for {
		old := state.Load()
		next := gcra(old, l, now*1000, 1, d)
		if !d.Allowed || state.CompareAndSwap(old, next) {
			return
		}
	}
}

// rateLimiters answers only whether; that is all that a rate.Limiter says.
func rateLimiters(l engine.Limit) checkFunc {
	var mu sync.Mutex
	perSecond := rate.Limit(float64(l.Limit()) / l.Period().Seconds())
	limiters := map[string]*rate.Limiter{}
	return func(key string, now int64, d *engine.Decision) {
		mu.Lock()
		limiter, ok := limiters[key]
		if !ok {
			limiter = rate.NewLimiter(perSecond, int(l.Burst()))
			limiters[strings.Clone(key)] = limiter
		}
		mu.Unlock()
		d.Allowed = limiter.AllowN(time.UnixMicro(now), 1)
	}
}

func syncMap(l engine.Limit) checkFunc {
	var states sync.Map
	limit := newGcraLimit(l)
	return func(key string, now int64, d *engine.Decision) {
		state, ok := states.Load(key)
		if !ok {
			state, _ = states.LoadOrStore(strings.Clone(key), new(atomic.Int64))
		}
		takeFrom(state.(*atomic.Int64), limit, now, d)
	}
}

func xsyncMap(l engine.Limit) checkFunc {
	states := xsync.NewMap[string, *atomic.Int64]()
	limit := newGcraLimit(l)
	return func(key string, now int64, d *engine.Decision) {
		state, ok := states.Load(key)
		if !ok {
			state, _ = states.LoadOrStore(strings.Clone(key), new(atomic.Int64))
		}
		takeFrom(state, limit, now, d)
	}
}

// mutexMap is the plainest of all: the same step under a mutex, in a map of states.
func mutexMap(l engine.Limit) checkFunc {
	var mu sync.Mutex
	states := map[string]*int64{}
	limit := newGcraLimit(l)
	return func(key string, now int64, d *engine.Decision) {
		mu.Lock()
		state, ok := states[key]
		if !ok {
			state = new(int64)
			states[strings.Clone(key)] = state
		}
		*state = gcra(*state, limit, now*1000, 1, d)
		mu.Unlock()
	}
}

// nothing is the harness alone. It reads from the key, as every contestant must, so that the time
// to bring a held key into the cache is the harness's.
func nothing(key string, _ int64, d *engine.Decision) { d.Allowed = key[0] != 0 }

// TestContestantsAgree makes sure that like is compared with like. A contestant that keeps the
// store's state answers as the store does, with keys that are new, full and empty, and a clock that
// turns back now and then. A rate.Limiter says only whether, and understands a clock that turns
// back in its own way, so it is asked with one that does not.
func TestContestantsAgree(t *testing.T) {
	for _, c := range contestants {
		switch c.name {
		case nameRate:
			agree(t, c, 0, func(d engine.Decision) any { return d.Allowed })
		case nameSyncMap, nameXsync, nameMutex:
			agree(t, c, 2_003, func(d engine.Decision) any { return d })
		}
	}
}

// agree asks a contestant and the store the same, by a clock that turns back by up to so
// many µs, and compares what counts.
func agree(t *testing.T, c contestant, back int64, counts func(engine.Decision) any) {
	t.Helper()
	l := mustLimit(7, time.Second, 5)
	theirs, ours := c.make(l), contestants[0].make(l)
	draw, now := rand.New(rand.NewPCG(1, 2)), int64(firstNow)
	answered := map[bool]int{}
	var s scratch
	var got, want engine.Decision
	for range 20_000 {
		key := s.key(draw.Uint64N(20))
		now += draw.Int64N(12_011) - back
		ours(key, now, &want)
		if theirs(key, now, &got); counts(got) != counts(want) {
			t.Fatalf("%s answers %+v, the store %+v", c.name, got, want)
		}
		answered[want.Allowed]++
	}
	if answered[true] < 1000 || answered[false] < 1000 {
		t.Errorf("%s: %v: that proves little", c.name, answered)
	}
}
