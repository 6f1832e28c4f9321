package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bounded is a store with a bound on its memory.
func bounded(bytes int64) *Store {
	s := mustStore()
	s.SetMaxMemory(bytes)
	return s
}

// bytesOf is what counts against the bound, without the time that Stats takes.
func bytesOf(s *Store) int64 { return s.space.Load().bytes() }

// keys of different kinds, all fresh.
var kinds = map[string]func(i int) (string, Algorithm){
	"token buckets": func(i int) (string, Algorithm) { return fmt.Sprint("user:", i), TokenBucket },
	"long keys": func(i int) (string, Algorithm) {
		return fmt.Sprint(strings.Repeat("path/", 19), i), LeakyBucket
	},
	"logs": func(i int) (string, Algorithm) { return fmt.Sprint("user:", i), SlidingWindowLog },
	"logs of many units": func(i int) (string, Algorithm) {
		return fmt.Sprint("user:", i%40), SlidingWindowLog
	},
	"a mix": func(i int) (string, Algorithm) {
		return fmt.Sprint(strings.Repeat("path/", i%4), "user:", i), Algorithms()[i%len(Algorithms())]
	},
	"token buckets and then logs": func(i int) (string, Algorithm) {
		if i < 15_000 {
			return fmt.Sprint("user:", i), TokenBucket
		}
		return fmt.Sprint("user:", i), SlidingWindowLog
	},
}

// Many times as much as fits goes through a store, and what it keeps stays below the bound,
// but for tables under replacement where logs have taken the room that is left for these:
// a tenth more. That is above what the smallest tables of all shards take.
func TestBoundHolds(t *testing.T) {
	const bound, keys = 1 << 18, 30_000
	for name, kind := range kinds {
		s, l, peak, refused := bounded(bound), mustLimit(2000, time.Hour, 0), int64(0), 0
		for i := range keys/2 + fewer(keys/2) {
			key, a := kind(i)
			d, err := s.Check(key, a, l, 1, noon+int64(i))
			if errors.Is(err, ErrNoMemory) && a == SlidingWindowLog {
				refused++
			} else if err != nil || !d.Allowed {
				t.Fatalf("%s, %d: %+v, %v", name, i, d, err)
			}
			peak = max(peak, bytesOf(s))
		}
		most := int64(bound)
		if name == "token buckets and then logs" {
			most += bound / 10
		}
		if st := s.Stats(); peak > most || st.Evicted == 0 && name != "logs of many units" || st.Bytes() < bound/2 || refused > keys/20 {
			t.Errorf("%s: at most %.3f of the bound; %+v, %d refused", name, float64(peak)/bound, st, refused)
		}
		auditTables(t, s)
		auditCells(t, s)
	}
}

// At the bound every shard keeps its share of the keys, for as long as new ones come.
func TestShardsKeepTheirShares(t *testing.T) {
	const bound = 1 << 20
	s, l := bounded(bound), mustLimit(10, time.Hour, 0)
	for i := range int64(fewer(600_000)) {
		mustCheck(s, fmt.Sprint("user:", i), TokenBucket, l, 1, noon+i)
	}
	keys, mean := map[uint16]int64{}, s.Len()/shardCount
	s.space.Load().each(func(shard uint16, t *table) { keys[shard] += t.live.Load() })
	for shard, n := range keys {
		if n < mean/3 || n > mean*3 {
			t.Errorf("shard %d has %d keys, the mean is %d", shard, n, mean)
		}
	}
	if len(keys) != shardCount || mean < bound/100/shardCount {
		t.Errorf("%d shards with %d keys on the average", len(keys), mean)
	}
}

// While keys are idle, no other one has to go: two are reclaimed for one that comes, and where a
// sample is all of a table its idle keys go first. A log needs room besides,
// for which samples of any tables are taken.
func TestIdleKeysGoFirst(t *testing.T) {
	for _, a := range Algorithms() {
		const bound = 1 << 18
		s, short, long := bounded(bound), mustLimit(10, time.Second, 0), mustLimit(10, time.Hour, 0)
		filled := 0
		for ; s.Stats().Evicted == 0; filled++ {
			mustCheck(s, fmt.Sprint("old:", filled), a, short, 1, noon+int64(filled))
		}
		before, now, spared := s.Stats(), noon+100*sec, 0
		st := before
		for i := range filled / 2 {
			key := fmt.Sprint("new:", i)
			isIdle, last := idleBeside(s, key, now), st
			mustCheck(s, key, a, long, 1, now+int64(i))
			st = s.Stats()
			if n := int(st.Evicted - last.Evicted); a != SlidingWindowLog && isIdle > 0 && n > max(0, 2-isIdle) {
				t.Fatalf("%v: %d keys were evicted, with %d idle ones beside them", a, n, isIdle)
			}
			if isIdle >= 2 && st.Reclaimed > last.Reclaimed {
				spared++
			}
		}
		reclaimed, evicted := int(st.Reclaimed-before.Reclaimed), int(st.Evicted-before.Evicted)
		if reclaimed < filled/4 || spared < shardCount/8 || evicted > shardCount {
			t.Errorf("%v: %d idle keys were reclaimed, in %d steps, and %d others, with %d before", a, reclaimed, spared, evicted, filled)
		}
		live := 0
		for i := range filled / 2 {
			if _, found := s.Lookup(fmt.Sprint("new:", i), now+sec); found {
				live++
			}
		}
		if want := filled/2 - evicted; live < want {
			t.Errorf("%v: %d keys are left, want %d", a, live, want)
		}
	}
}

// idleBeside is how many keys of the table that the key belongs to are idle at an
// instant (µs), or 0 if there are more keys in it than one sample has.
func idleBeside(s *Store, key string, now int64) (rested int) {
	p, live := newProbe(s.hasher.hash(key), key), 0
	t := s.space.Load().first(&p)
	if t == nil || t.n > evictSlots {
		return 0
	}
	for i := range t.n {
		if rest, ok := s.space.Load().idleAt(t.slot(i), t.slot(i).state.Load()); ok && rest > now*1000-idleLag {
			live++
		} else if ok {
			rested++
		}
	}
	if live >= evictSample {
		return 0
	}
	return rested
}

// Of live keys, the one that is idle soonest in a sample goes: those that stay live longer than
// the others, by far.
func TestKeysThatAreIdleSoonestGoFirst(t *testing.T) {
	for _, a := range Algorithms() {
		const bound, hour = 1 << 18, int64(3600)
		s, random := bounded(bound), rand.New(rand.NewPCG(1, 2))
		const keys = 20_000
		all := int64(0) // how long all of them live, µs
		for i := range keys {
			l := mustLimit(1, time.Duration(1+random.Int64N(hour))*time.Second, 0)
			all += ceilMicros(mustCheck(s, fmt.Sprint("user:", i), a, l, 1, noon).ResetAfter)
		}
		sum, n := int64(0), int64(0)
		s.Scan(0, math.MaxInt, noon, func(k KeyInfo) { sum, n = sum+k.IdleMicros-noon, n+1 })
		// Were they chosen blindly, those that stay would live as long as all in the mean.
		if longer := float64(sum/n) / float64(all/keys); longer < 1.5 || n < 500 {
			t.Errorf("%v: %d keys live %.2f times as long as all", a, n, longer)
		}
	}
}

// ErrNoMemory comes for logs only, when the others have been forgotten and the rest is not
// enough. It changes nothing of the log, nor of any other key.
func TestNoMemory(t *testing.T) {
	const bound = 100_000
	s, l := bounded(bound), mustLimit(LogLimitMax, time.Hour, 0)
	mustCheck(s, "user:other", SlidingWindowLog, l, 1, noon)
	mustCheck(s, "user:token", TokenBucket, l, 1, noon)
	units, err := int64(0), error(nil)
	for ; err == nil; units++ { // one log that takes all
		_, err = s.Check("user:123", SlidingWindowLog, l, 1, noon+units)
	}
	if units--; !errors.Is(err, ErrNoMemory) || units < bound/2/16 || bytesOf(s) > bound {
		t.Fatalf("after %d units: %v", units, err)
	}
	if info, found := s.Lookup("user:other", noon); found {
		t.Errorf("another log was not forgotten first: %+v", info)
	}
	before, stats := contents(s, noon), s.Stats()
	for i := range int64(10) {
		d, err := s.Check("user:123", SlidingWindowLog, l, 1, noon+units+i)
		if !errors.Is(err, ErrNoMemory) || d != (Decision{}) {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	if after := contents(s, noon); !reflect.DeepEqual(after, before) || s.Stats() != stats {
		t.Errorf("from %+v to %+v", stats, s.Stats())
	}
	// The log answers as before, and less of it needs no more room.
	if d, err := s.Peek("user:123", SlidingWindowLog, l, 1, noon+units); err != nil || d.Remaining != LogLimitMax-units {
		t.Errorf("%+v, %v; want %d units taken", d, err, units)
	}
	if d, err := s.Refund("user:123", SlidingWindowLog, l, units/2, noon+units); err != nil || d.Remaining != LogLimitMax-units+units/2 {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := s.Check("user:123", SlidingWindowLog, l, 1, noon+units); err != nil || !d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
	if !mustCheck(s, "user:456", TokenBucket, l, 1, noon).Allowed {
		t.Error("a token bucket was refused")
	}
	auditCells(t, s)
}

// A bound that is lowered holds when about as many keys have come as there were, and until
// then none of them waits for more than its share of the work.
func TestLoweredBound(t *testing.T) {
	const keys = 20_000
	for _, share := range []int64{2, 10} {
		s, l := mustStore(), mustLimit(10, time.Hour, 0)
		for i := range int64(keys) {
			mustCheck(s, fmt.Sprint("user:", i), TokenBucket, l, 1, noon+i)
		}
		before := s.Stats()
		bound := before.Bytes() / share
		s.SetMaxMemory(bound)
		came, chain := int64(0), 0
		for ; bytesOf(s) > bound && came < 3*keys; came++ {
			mustCheck(s, fmt.Sprint("new:", came), TokenBucket, l, 1, noon+keys+came)
			if came%100 == 0 {
				s.space.Load().each(func(_ uint16, t *table) { chain = max(chain, len(tablesFrom(t))) })
			}
		}
		// Each table is replaced some times until it is small enough. More than that, or
		// successors of successors, and a key would be moved again and again.
		if rebuilt := s.Stats().Rebuilt - before.Rebuilt; came > 3*keys/2 || chain > 3 || rebuilt > 30*shardCount {
			t.Errorf("1/%d: %d keys came, up to %d tables in a row, %d rebuilt", share, came, chain, rebuilt)
		}
		if st := s.Stats(); st.Bytes() > bound || st.Keys < keys/share/4 {
			t.Errorf("1/%d: bound %d, %+v", share, bound, st)
		}
		auditTables(t, s)
	}
}

// Without a bound, or with one taken back, nothing is forgotten.
func TestNoBound(t *testing.T) {
	s, l := bounded(1<<18), mustLimit(10, time.Hour, 0)
	s.SetMaxMemory(0)
	for i := range int64(30_000) {
		mustCheck(s, fmt.Sprint("user:", i), TokenBucket, l, 1, noon+i)
	}
	if st := s.Stats(); st.Evicted != 0 || st.Keys != 30_000 {
		t.Errorf("%+v", st)
	}
}

// A bound below what an empty store takes: token buckets are still decided on, each with
// the smallest table that there is, and logs are refused.
func TestBoundBelowTheEmptyStore(t *testing.T) {
	s, l := bounded(1), mustLimit(10, time.Hour, 0)
	empty := bytesOf(s)
	for i := range int64(5000) {
		if !mustCheck(s, fmt.Sprint("user:", i), TokenBucket, l, 1, noon+i).Allowed {
			t.Fatalf("key %d was denied", i)
		}
		if i%10 > 0 {
			continue
		}
		if d, err := s.Check(fmt.Sprint("log:", i), SlidingWindowLog, l, 1, noon+i); !errors.Is(err, ErrNoMemory) || d != (Decision{}) {
			t.Fatalf("log %d: %+v, %v", i, d, err)
		}
	}
	if most := empty + 4*shardCount*newTable(nil, 0, slotsMin).bytes(); bytesOf(s) > most || s.Len() == 0 {
		t.Errorf("%d bytes, %d keys; want at most %d bytes", bytesOf(s), s.Len(), most)
	}
	auditTables(t, s)
	auditCells(t, s)
}

// Everything at once at the bound: keys of all kinds come, change, are given back, reset,
// swept and scanned, and nothing of what is counted gets lost.
func TestBoundUnderCollisions(t *testing.T) {
	collide(t)
	for _, bound := range []int64{1 << 19, math.MaxInt64} {
		s, l := bounded(bound), mustLimit(20, 50*time.Millisecond, 0)
		var clock, peak atomic.Int64
		clock.Store(noon)
		names := slices.Sorted(func(yield func(string) bool) {
			for name := range kinds {
				if !yield(name) {
					return
				}
			}
		})
		for round := range rounds(t, 3, func() bool { return s.Stats().Contended > 0 }) {
			together(workers, func(worker int) {
				random := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
				for range 3000 {
					now := clock.Add(random.Int64N(40))
					key, a := kinds[names[random.IntN(len(names)-1)]](random.IntN(50_000) * random.IntN(2))
					var err error
					switch random.IntN(20) {
					case 0:
						s.Reset(key, now)
					case 1:
						s.Sweep(20, now-3*sec)
					case 2:
						s.Scan(random.Uint64N(cursorEnd), 10, now, func(KeyInfo) {})
					case 3, 4:
						_, err = s.Refund(key, a, l, 1+random.Int64N(3), now)
					default:
						_, err = s.Check(key, a, l, 1+random.Int64N(3), now)
					}
					if err != nil && !errors.Is(err, ErrWrongType) && !errors.Is(err, ErrNoMemory) {
						t.Error(err)
					}
					peak.Store(max(peak.Load(), bytesOf(s)))
				}
			})
		}
		st := s.Stats()
		if bound == math.MaxInt64 && st.Evicted > 0 || bound < math.MaxInt64 && (st.Evicted == 0 || peak.Load() > 3*bound) {
			t.Errorf("bound %d: at most %d, %+v", bound, peak.Load(), st)
		}
		auditTables(t, s)
		auditCells(t, s)
	}
}
