package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A mirror is a second store that is told of the changes of a first.
type mirror struct {
	t      interface{ Fatalf(string, ...any) }
	of, to *Store
	told   int
	mu     sync.Mutex
}

// newMirror begins to follow a store: what there is already is dumped.
func newMirror(t interface{ Fatalf(string, ...any) }, of *Store, now int64) *mirror {
	m := &mirror{t: t, of: of, to: mustStore()}
	of.Track(true)
	m.dump(m.to.Apply, now)
	return m
}

func (m *mirror) dump(apply func(*Change, int64) error, now int64) {
	for cursor := uint64(0); ; {
		cursor = m.of.Dump(cursor, 100, now, func(c *Change) {
			if err := apply(c, now); err != nil {
				m.t.Fatalf("%+v: %v", *c, err)
			}
		})
		if cursor == 0 {
			return
		}
	}
}

// follow applies the changes since the last time.
func (m *mirror) follow(now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told += m.of.Drain(func(c *Change) {
		if err := m.to.Apply(c, now); err != nil {
			m.t.Fatalf("%+v: %v", *c, err)
		}
	})
}

// compare asks both stores the same questions about keys. The instants rise, for a key that is
// idle at one may be dropped for all before.
func (m *mirror) compare(keys []string, limits []Limit, now int64) {
	for _, at := range []int64{now, now + 1, now + sec, now + daysMicros(1)} {
		for _, key := range keys {
			for _, a := range Algorithms() {
				for _, l := range limits {
					want, wantErr := ask(m.of, OpPeek, key, a, l, 1, at)
					got, err := ask(m.to, OpPeek, key, a, l, 1, at)
					if got != want || !sameError(err, wantErr) {
						m.t.Fatalf("%.40q, %v %+v, at %d:\n the first: %+v %v\nthe mirror: %+v %v", key, a, l, at, want, wantErr, got, err)
					}
				}
			}
		}
	}
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// keysOfEveryKind are keys of all classes of slots, and spread ones.
func keysOfEveryKind(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("key:", i)
		switch i % 8 {
		case 1:
			keys[i] = strings.Repeat("long ", i%200+1) + keys[i]
		case 2:
			keys[i] = string(make([]byte, 8+i%50)) + keys[i]
		}
		keys[i] = keys[i][:min(len(keys[i]), KeyBytesMax)]
	}
	return keys
}

// Whatever happens to keys one after another, a store that is told of it has the same answers.
func TestMirrorAnswersAsTheStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, keys := mustStore(), keysOfEveryKind(24)
		now := noon
		var limits []Limit
		var owners []Algorithm
		for range 3 {
			a := rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
			limits, owners = append(limits, drawLimit(t, a)), append(owners, a)
		}
		var last Decision
		act := func(i int) {
			which := rapid.IntRange(0, 2).Draw(t, "which")
			key := keys[rapid.IntRange(0, len(keys)-1).Draw(t, "key")]
			switch rapid.IntRange(0, 19).Draw(t, "act") {
			case 0:
				s.Reset(key, now)
			case 1:
				s.Sweep(1000, now-2*sec)
			case 2:
				if i%7 == 0 {
					s.Flush()
				}
			case 3: // keys that come and make tables grow
				for n := range 40 {
					_, _ = ask(s, OpCheck, fmt.Sprint("crowd:", i, n), TokenBucket, mustLimit(5, time.Hour, 0), 1, now)
				}
			default:
				// Not backwards: what is idle for one may be dropped by the other.
				now = drawNow(t, now, limits[which], last, false)
				last, _ = ask(s, drawOp(t), key, owners[which], limits[which], drawCost(t, limits[which]), now)
			}
		}
		for i := range rapid.IntRange(0, 20).Draw(t, "before") {
			act(i)
		}
		m := newMirror(t, s, now)
		for i := range rapid.IntRange(1, 60).Draw(t, "acts") {
			act(i)
			if rapid.IntRange(0, 3).Draw(t, "follow") == 0 {
				m.follow(now)
			}
		}
		m.follow(now)
		m.compare(keys, limits, now)
		if m.of.Drain(func(*Change) {}) != 0 {
			t.Fatalf("changes are told that nobody made")
		}
	})
}

// A log is told of by what is new in it, and what is told twice changes nothing.
func TestDrainTellsWhatIsNewInALog(t *testing.T) {
	s := mustStore()
	m := newMirror(t, s, noon)
	l := mustLimit(10_000, time.Hour, 0)
	for i := range int64(5000) {
		mustCheck(s, "log", SlidingWindowLog, l, 1, noon+i*sec/10)
	}
	m.follow(noon)
	var again []Change
	for i := range int64(10) {
		mustCheck(s, "log", SlidingWindowLog, l, 2, noon+500*sec+i*sec)
		s.Drain(func(c *Change) {
			if len(c.Log.Entries) > 3 {
				t.Fatalf("%d entries are told for one that is new", len(c.Log.Entries))
			}
			kept := *c
			kept.Key, kept.Log.Entries = strings.Clone(c.Key), slices.Clone(c.Log.Entries)
			again = append(again, kept)
		})
	}
	for range 2 {
		for _, c := range again {
			if err := m.to.Apply(&c, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(entriesOf(ringIn(m.to))); n != 5010 {
		t.Fatalf("the mirror has %d entries", n)
	}
	m.compare([]string{"log"}, []Limit{l, mustLimit(100, time.Minute, 0)}, noon+510*sec)
}

// ringIn is the ring of a store's only log.
func ringIn(s *Store) (r *ring) {
	eachHeld(s, func(_ *table, _ *slot, st int64) { r = s.space.Load().logs.load(st) })
	return r
}

// What a caller has been told was done is told by a Drain that begins after that, whatever
// else happens: many writers, tables that grow and shrink, keys that are swept, reset and
// evicted. With -soak the test fails if these did not happen.
func TestDrainMissesNothing(t *testing.T) {
	collide(t)
	most := 2
	if *soak {
		most = 20
	}
	for round := range most {
		drainMissesNothing(t, uint64(round))
	}
}

func drainMissesNothing(t *testing.T, seed uint64) {
	s := mustStore()
	tight := seed%2 == 0 // evictions, or else keys that are idle soon
	passing := mustLimit(1000, time.Second, 0)
	if tight {
		s.SetMaxMemory(1 << 19)
		passing = mustLimit(1, time.Hour, 0)
	}
	m := newMirror(t, s, noon)
	keys := keysOfEveryKind(300)
	l, log := mustLimit(UnitsMax/10, 366*days, 0), mustLimit(LogLimitMax, time.Hour, 0)
	var clock, crowd atomic.Int64
	clock.Store(noon)
	stopFollowing := besides(func() { m.follow(clock.Load()) })
	stopSweeping := besides(func() { s.Sweep(5000, clock.Load()-ms) })
	together(4, func(worker int) {
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		for range fewer(3000) {
			// A worker has keys of its own, so that it knows what becomes of them.
			key := keys[random.IntN(len(keys)/4)*4+worker]
			now := clock.Add(100)
			switch random.IntN(40) {
			case 0:
				s.Reset(key, now)
			case 1: // many that make tables grow, and shrink again
				for range 300 {
					mustCheck(s, fmt.Sprint("crowd:", crowd.Add(1)), TokenBucket, passing, 1, now)
				}
			case 2:
				_, _ = ask(s, OpRefund, key, TokenBucket, l, 3, now)
			default:
				if len(key)%3 == 0 {
					_, _ = ask(s, OpCheck, "log:"+key[:min(len(key), 900)], SlidingWindowLog, log, 1, now)
					_, _ = ask(s, OpCheck, "counter:"+key[:min(len(key), 900)], SlidingWindowCounter, log, 1, now)
				}
				if _, err := ask(s, OpCheck, key, TokenBucket, l, 1000, now); err != nil {
					t.Errorf("%.40q: %v", key, err)
				}
			}
			if random.IntN(20) == 0 {
				m.follow(now)
				want, _ := s.Lookup(key, now)
				got, _ := m.to.Lookup(key, now)
				// Eviction by another worker may come between the two.
				if want.IdleMicros > got.IdleMicros && !tight {
					t.Errorf("%.40q is idle at %d, and the mirror was told of %d", key, want.IdleMicros, got.IdleMicros)
				}
			}
		}
	})
	stopSweeping()
	stopFollowing()
	now := clock.Load()
	m.follow(now)
	m.compare(keys, []Limit{l, log}, now)
	if stats := s.Stats(); *soak && (stats.Rebuilt == 0 || !tight && stats.Reclaimed == 0 || tight && stats.Evicted == 0) {
		t.Fatalf("nothing has been shown: %+v", stats)
	}
	for key := range contents(m.to, now) {
		if _, ok := s.Lookup(key, now); !ok {
			t.Errorf("%.40q is gone and the mirror has it", key)
		}
	}
}

// A log or a counter that many callers write to is read as it was at one instant.
func TestDrainReadsBusyLogs(t *testing.T) {
	collide(t)
	for _, limit := range []int64{1, 3, 40, 5000} {
		for _, a := range []Algorithm{SlidingWindowLog, SlidingWindowCounter} {
			s := mustStore()
			m := newMirror(t, s, noon)
			l := mustLimit(limit, 2*time.Millisecond, 0)
			var clock atomic.Int64
			clock.Store(noon)
			stop := besides(func() {
				m.follow(clock.Load())
				m.dump(mustStore().Apply, clock.Load())
			})
			together(3, func(worker int) {
				random := rand.New(rand.NewPCG(uint64(limit), uint64(worker)))
				for range fewer(40_000) {
					mustCheck(s, "log", a, l, 1, clock.Add(1+random.Int64N(3)))
				}
			})
			stop()
			m.follow(clock.Load())
			m.compare([]string{"log"}, []Limit{l, mustLimit(limit, time.Second, 0)}, clock.Load())
		}
	}
}

// A caller that stalls between a change and its mark, while the slot moves to another table and
// its old table is dropped, marks it all the same; and a mover takes marks along.
func TestMarksMoveWithTheirSlots(t *testing.T) {
	s := mustStore()
	m := newMirror(t, s, noon)
	plant(s, 0, "stalls")
	plant(s, 0, "marked")
	m.follow(noon)
	sp := s.space.Load()
	p := newProbe(0, "stalls")
	first := sp.first(&p)
	stalls, _, _ := first.seek(&p, false)
	marked := newProbe(0, "marked")
	other, _, _ := first.seek(&marked, false)

	before := stalls.state.Load()
	if !first.swap(stalls, before, before+int64(time.Second)) || !first.swap(other, other.state.Load(), stateIdle) {
		t.Fatal("not changed")
	}
	sp.mark(first, other)
	moveOn(s, first)
	if sp.first(&p) == first {
		t.Fatal("the table is still there")
	}
	sp.mark(first, stalls)
	told := map[string]int64{}
	for o := sp.orphans.Swap(nil); o != nil; o = o.next { // the keys' hashes are the test's own
		s.drain.sp, s.drain.visit = sp, func(c *Change) { told[strings.Clone(c.Key)] = c.Word }
		orphan := newProbe(0, o.key)
		s.drain.find(&orphan, sp.first(&orphan))
	}
	if want := map[string]int64{"stalls": before + int64(time.Second), "marked": 0}; fmt.Sprint(told) != fmt.Sprint(want) {
		t.Fatalf("told of %v; want %v", told, want)
	}
}

// A store that is loaded aside takes the place of what there was when it is done.
func TestLoader(t *testing.T) {
	s, l := mustStore(), mustLimit(10, time.Hour, 0)
	mustCheck(s, "old", TokenBucket, l, 1, noon)
	load := s.Load()
	for _, c := range []Change{{Key: "gone", Algorithm: TokenBucket, Word: (noon + sec) * 1000}, {}, {Key: "new", Algorithm: LeakyBucket, Word: (noon + sec) * 1000}, {Key: "rests", Algorithm: TokenBucket, Word: 1}} {
		if err := load.Apply(&c, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.Lookup("old", noon); !ok {
		t.Fatal("the old is gone before the new is there")
	}
	load.Done()
	if all := contents(s, noon); len(all) != 1 || all["new"].owner != LeakyBucket {
		t.Fatalf("there is %v", all)
	}
}

// A change that no store can have told is refused, and changes nothing.
func TestApplyRefuses(t *testing.T) {
	const p = int64(time.Second)
	one := []LogEntry{{noon, 1}}
	for _, c := range []Change{
		{Key: strings.Repeat("k", StateBytesMax+1)},
		{Key: "k", Algorithm: algorithmEnd},
		{Key: "k", Algorithm: TokenBucket},
		{Key: "k", Algorithm: LeakyBucket, Word: -1},
		{Key: "k", Algorithm: TokenBucket, Word: math.MaxInt64},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: 1, Entries: one}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p, Oldest: noon + 1, Entries: one}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p, Entries: []LogEntry{{noon, 1}, {noon - 1, 1}}}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p, Entries: []LogEntry{{noon, 0}}}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p, Entries: []LogEntry{{noon, LogLimitMax}, {noon, logUnitsMask + 1 - LogLimitMax}}}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p, Entries: []LogEntry{{noon, logUnitsMask + 1}}}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: p, Entries: []LogEntry{{-1, 1}}}},
		{Key: "k", Algorithm: SlidingWindowLog, Log: LogChange{Period: int64(PeriodMax), Entries: []LogEntry{{0, 1}, {noon, 1}}}},
	} {
		s := mustStore()
		if err := s.Apply(&c, 0); err == nil || argumentOf(err) == "" {
			t.Errorf("%+v: %v", c, err)
		}
		if s.Len() != 0 {
			t.Errorf("%+v left a key", c)
		}
	}
}
