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

// Where the tables of all shards are a small part of the bound, new keys never exceed it, also while
// tables are replaced.
func TestKeysNeverExceedTheBound(t *testing.T) {
	if checkInvariants {
		t.Skip("ten seconds with the checks of invariants; make test runs it")
	}
	const bound = 16 << 20
	s, l, peak := bounded(bound), mustLimit(2000, time.Hour, 0), int64(0)
	for i := range 1_200_000 {
		key, a := kinds["token buckets"](i)
		if d, err := s.Check(key, a, l, 1, noon+int64(i)); err != nil || !d.Allowed {
			t.Fatalf("%d: %+v, %v", i, d, err)
		}
		peak = max(peak, bytesOf(s))
	}
	if peak > bound || peak < bound*7/8 {
		t.Errorf("up to %d of %d bytes were in use", peak, bound)
	}
}

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

// While keys are idle, next to no other one has to go, whatever the kind of the key that comes.
func TestIdleKeysGoFirst(t *testing.T) {
	for _, a := range Algorithms() {
		const bound = 1 << 18
		s, short, long := bounded(bound), mustLimit(10, time.Second, 0), mustLimit(10, time.Hour, 0)
		filled := 0
		for ; s.Stats().Evicted == 0; filled++ {
			mustCheck(s, fmt.Sprint("old:", filled), another(a), short, 1, noon+int64(filled))
		}
		before, now := s.Stats(), noon+100*sec
		for i := range filled / 4 {
			mustCheck(s, fmt.Sprint("new:", i), a, long, 1, now+int64(i))
		}
		st := s.Stats()
		reclaimed, evicted := int(st.Reclaimed-before.Reclaimed), int(st.Evicted-before.Evicted)
		if reclaimed < filled/20 || evicted > reclaimed/100 {
			t.Errorf("%v: %d idle keys were reclaimed, and %d others, with %d before", a, reclaimed, evicted, filled)
		}
		live := 0
		for i := range filled / 4 {
			if _, found := s.Lookup(fmt.Sprint("new:", i), now+sec); found {
				live++
			}
		}
		if want := filled/4 - evicted; live < want {
			t.Errorf("%v: %d keys are left, want %d", a, live, want)
		}
	}
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
	for asked := 0; s.Len() > 1; asked++ { // each question pays for some steps only
		if asked == 20 {
			t.Fatalf("other keys are left: %+v", s.Stats())
		}
		if _, err := s.Check("user:123", SlidingWindowLog, l, 1, noon+units); !errors.Is(err, ErrNoMemory) {
			t.Fatal(err)
		}
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

// Sweeps alone bring a store below a bound that is lowered, whatever it holds, and each of them
// does no more than it may. Of the keys those stay that are live for longest.
func TestSweepsReachALoweredBound(t *testing.T) {
	const keys, step = 20_000, 1000
	for _, a := range Algorithms() {
		for _, share := range []int64{2, 10} {
			s := mustStore()
			for i := range int64(keys) {
				l := mustLimit(1, time.Duration(3600+i%1000)*time.Second, 0)
				mustCheck(s, fmt.Sprint("user:", i), a, l, 1, noon)
			}
			bound, sweeps := bytesOf(s)/share, 0
			s.SetMaxMemory(bound)
			for ; bytesOf(s) > bound; sweeps++ {
				if before := s.Len(); s.Sweep(step, noon) < step/4 || before-s.Len() > 8*step {
					t.Fatalf("%v, 1/%d: after %d sweeps %+v, before the last %d keys", a, share, sweeps, s.Stats(), before)
				}
				if sweeps == 20*keys/step {
					t.Fatalf("%v, 1/%d: %+v", a, share, s.Stats())
				}
			}
			sum, n := int64(0), int64(0)
			s.Scan(0, math.MaxInt, noon, func(k KeyInfo) { sum, n = sum+(k.IdleMicros-noon)/sec-3600, n+1 })
			// All live for 3600 … 4599 seconds; chosen blindly, the mean of those that stay would be in the middle.
			st := s.Stats()
			if least := 1000 - 600/share; sum/n < least && a != FixedWindow || n < keys/share/4 || st.Evicted+st.Reclaimed+uint64(n) != keys {
				t.Errorf("%v, 1/%d: %d keys stay, which live for 3600 + %d s on the average, want %d; %+v", a, share, n, sum/n, least, st)
			}
			auditTables(t, s)
			auditCells(t, s)
		}
	}
}

// The order holds across kinds of key: keys that are live for long make those go that are idle
// soon, be these of another algorithm or of another length, and get as much of the memory as if
// they were alone.
func TestKindsMakeRoomForEachOther(t *testing.T) {
	if checkInvariants {
		t.Skip("one goroutine asks, so there is no race to show, and it would take a minute")
	}
	const bound = 1 << 20
	kept := func(s *Store, name string) (n int) {
		s.Scan(0, math.MaxInt, noon, func(k KeyInfo) {
			if strings.HasSuffix(k.Key, name) {
				n++
			}
		})
		return n
	}
	keys := map[string]int{"token buckets": 40_000, "long keys": 20_000, "logs": 20_000} // more than fit
	fill := func(s *Store, kind, name string, period time.Duration) {
		for i := range keys[kind] {
			key, a := kinds[kind](i)
			_, err := s.Check(key+name, a, mustLimit(1, period, 0), 1, noon)
			if err != nil && (a != SlidingWindowLog || !errors.Is(err, ErrNoMemory)) {
				t.Fatal(err)
			}
		}
	}
	for late := range keys {
		alone := bounded(bound)
		fill(alone, late, "late", days)
		for soon := range keys {
			s := bounded(bound)
			fill(s, soon, "soon", time.Hour)
			fill(s, late, "late", days)
			got, want := kept(s, "late"), kept(alone, "late")
			if got < want*3/4 || kept(s, "soon") > got/10 {
				t.Errorf("%s after %s: %d are kept, alone %d; of the others %d", late, soon, got, want, kept(s, "soon"))
			}
		}
	}
}

// A refusal looks at a few slots where there is something to drop, and at none where there is not,
// and whatever it drops is not looked for again.
func TestRefusalsAreBounded(t *testing.T) {
	const keys = 100_000
	s, l := mustStore(), mustLimit(10, time.Hour, 0)
	for i := range int64(keys) {
		mustCheck(s, fmt.Sprint("user:", i), TokenBucket, l, 1, noon+i)
	}
	s.SetMaxMemory(bytesOf(s) / 2)
	sp := s.space.Load()
	// place is how far the round has come, in slots looked at and slots moved.
	place := func() (slots int64) {
		number, slot := sp.round.cursor.Load()>>32, sp.round.cursor.Load()&(1<<32-1)
		for i := range number {
			if t, _ := sp.shelf(i); t != nil {
				slots += int64(t.n)
			}
		}
		if t, _ := sp.shelf(number); t.next.Load() != nil {
			slots += min(t.cursor.Load(), int64(t.n))
		}
		return slots + int64(slot)
	}
	before, refused := place(), int64(0)
	for ; refused < 100; refused++ {
		if _, err := s.Check("log", SlidingWindowLog, l, 1, noon); !errors.Is(err, ErrNoMemory) {
			t.Fatal(err)
		}
	}
	if each := (place() - before) / refused; each > 4*evictSlots || each == 0 {
		t.Errorf("a refusal takes %d slots", each)
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
	for _, bound := range []int64{1 << 18, math.MaxInt64} {
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
