package engine

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// oneShard makes a hash of a number that belongs to shard 0.
func oneShard(i int) uint64 { return spread(uint64(i)) >> shardBits }

// tablesFrom lists a table and those after it.
func tablesFrom(t *table) (tables []*table) {
	for ; t != nil; t = t.next.Load() {
		tables = append(tables, t)
	}
	return tables
}

// moveOn gives a table a successor and moves all of it.
func moveOn(s *Store, t *table) *table {
	sp := s.space.Load()
	next := sp.successor(t, shardOf(s, t), fitting)
	sp.moveAll(t, shardOf(s, t), noon*1000)
	return next
}

// shardOf finds the shard of a table by its shelf.
func shardOf(s *Store, t *table) uint16 {
	for shard := range shardCount {
		if t.shelf == &s.space.Load().shelves[t.class][shard] {
			return uint16(shard)
		}
	}
	panic("the table is on no shelf")
}

// searched is where the search for a key ends that begins with this table. Other than
// settle it moves nothing.
func searched(t *table, p *probe) (*slot, finding) {
	for {
		s, st, what := t.seek(p, false)
		if what == absent || what == found && st >= 0 || t.next.Load() == nil {
			return s, what
		}
		t = t.next.Load()
	}
}

// auditTables looks at a store at which no caller works: what is counted is there, and every
// key is where a search for it ends.
func auditTables(t *testing.T, s *Store) {
	t.Helper()
	sp, bytes, keys := s.space.Load(), int64(classCount*shardCount*8), map[string]bool{}
	sp.each(func(_ uint16, table *table) {
		first := table.shelf.Load()
		if first.done.Load() {
			t.Error("a table that is done is still on its shelf")
		}
		used, live := int64(0), int64(0)
		for i := range table.n {
			s := table.slot(i)
			meta, st := s.meta.Load(), s.state.Load()
			if meta > metaClosed {
				used++
			}
			if !held(st) {
				continue
			}
			live++
			key, p := keyOf(s, meta), probeOf(s, meta, table.class)
			if there, what := searched(first, &p); there != s || what != found || keys[key] {
				t.Errorf("%q: a search ends with %d, seen before: %v", key, what, keys[key])
			}
			keys[key] = true
		}
		if table.used.Load() != used || table.live.Load() != live {
			t.Errorf("%d used and %d live are counted as %d and %d", used, live, table.used.Load(), table.live.Load())
		}
		bytes += table.bytes()
	})
	if st := s.Stats(); st.TableBytes != bytes || st.Keys != int64(len(keys)) {
		t.Errorf("%d bytes and %d keys are counted as %d and %d", bytes, len(keys), st.TableBytes, st.Keys)
	}
}

// Tables grow with the keys, and no key or state gets lost or mixed up.
func TestGrowthKeepsKeys(t *testing.T) {
	const keys, limit = 700, 9
	s, l := mustStore(), mustLimit(limit, time.Hour, 0)
	keyAt := func(class, i int) string {
		least := 1
		if class > 0 {
			least = 8*classWords[class-1] + 1
		}
		return strings.Repeat("k", max(least-4, 0)) + fmt.Sprint(i+1000)
	}
	units := func(i int) int64 { return 1 + int64(i%limit) }
	for class := range classCount {
		for i := range keys {
			if d, err := askAt(s, OpCheck, oneShard(i), keyAt(class, i), Algorithms()[i%len(Algorithms())], l, units(i), noon); err != nil || !d.Allowed {
				t.Fatalf("class %d, key %d: %+v, %v", class, i, d, err)
			}
		}
	}
	for class := range classCount {
		for i := range keys {
			d, err := askAt(s, OpPeek, oneShard(i), keyAt(class, i), Algorithms()[i%len(Algorithms())], l, 1, noon)
			if err != nil || d.Remaining != limit-units(i) {
				t.Fatalf("class %d, key %d: %+v, %v", class, i, d, err)
			}
		}
	}
	// From 4 slots to 1,024 or more is seven times or more.
	if st := s.Stats(); st.Keys != classCount*keys || st.Rebuilt < 7*classCount {
		t.Errorf("%d keys, %d tables rebuilt", st.Keys, st.Rebuilt)
	}
	auditTables(t, s)
}

// slotStates makes a table with slots in each state that a mover can find, and the keys
// that hold a state.
func slotStates(s *Store) (first *table, kept []string) {
	const times = 20
	states := []int64{0, stateIdle, noon * 1000, noon*1000 + 1, (noon + sec) * 1000, stateDead, stateUnborn, (noon - 60*sec) * 1000}
	sp := s.space.Load()
	first = newTable(&sp.shelves[0][0], 0, times*12)
	sp.shelves[0][0].Store(first)
	sp.tableBytes.Add(first.bytes())
	for i := range times * len(states) {
		p, st := newProbe(oneShard(i), fmt.Sprint("user:", 100+i)), states[i%len(states)]
		slot, _, _ := first.seek(&p, false)
		first.claim(slot, &p, uint8(TokenBucket))
		first.swap(slot, 0, st)
		if held(st) && st > noon*1000-idleLag {
			kept = append(kept, p.key)
		}
	}
	half := newProbe(1<<55, "user:099")
	slot, _, _ := first.seek(&half, false)
	beginClaim(first, slot, &half, TokenBucket, 1)
	return first, kept
}

// However a slot is moved, once or again, by one or many at the same time: the keys that hold a
// state not long idle are in the successor once, the others nowhere, and all is closed.
func TestMoveSlot(t *testing.T) {
	collide(t)
	var met atomic.Int64 // how often a mover found a part of the table moved and a part not
	for round := range rounds(t, 100, func() bool { return met.Load() > 0 }) {
		s := mustStore()
		sp := s.space.Load()
		first, kept := slotStates(s)
		next := sp.successor(first, 0, fitting)
		movers := []int{1, workers}[round%2]
		closed := func(i uint64) bool { return first.slot(i).meta.Load() == metaClosed || first.slot(i).state.Load() < 0 }
		together(movers, func(worker int) {
			was := 0
			for i := range first.n {
				if i%8 == 0 {
					runtime.Gosched() // a table is moved in less time than a processor is shared
				}
				i = (i + uint64(worker)*first.n/workers) % first.n
				if closed(i) {
					was++
				}
				sp.moveSlot(first, first.slot(i), 0, noon*1000)
			}
			if was > int(first.n)/2 && was < int(first.n) {
				met.Add(1)
			}
			sp.moveAll(first, 0, noon*1000)
		})
		for i := range first.n {
			if !closed(i) {
				t.Fatalf("slot %d: meta %x, state %x", i, first.slot(i).meta.Load(), first.slot(i).state.Load())
			}
		}
		if first.live.Load() != 0 || next.live.Load() != int64(len(kept)) || sp.reclaimed.Load() != 20 {
			t.Fatalf("%d live, then %d, want %d; %d reclaimed", first.live.Load(), next.live.Load(), len(kept), sp.reclaimed.Load())
		}
		slots := slotsOf(s)
		for _, key := range kept {
			if slots[key] != 1 {
				t.Fatalf("%s has %d slots", key, slots[key])
			}
		}
		auditTables(t, s)
	}
}

// A mover that stalls with a part of a table holds no other caller up (invariant 7): all keys are
// there, new ones come, and the rest is moved by a successor that is full itself, by a
// sweep, or by a scan.
func TestStalledMover(t *testing.T) {
	const keys = 300
	for name, finish := range map[string]func(s *Store, i int){
		"inserts": func(s *Store, i int) { plant(s, oneShard(keys+i), fmt.Sprint("later:", i)) },
		"sweep":   func(s *Store, _ int) { s.Sweep(64, noon) },
		"scan":    func(s *Store, _ int) { s.Scan(0, 1, noon, func(KeyInfo) {}) },
	} {
		s := mustStore()
		sp := s.space.Load()
		for i := range keys {
			plant(s, oneShard(i), fmt.Sprint("user:", i))
		}
		first := sp.shelves[0][0].Load()
		if first.next.Load() != nil {
			first = moveOn(s, first)
		}
		sp.successor(first, 0, fitting)
		first.cursor.Add(2 * moveStep) // a mover undertook these and stalls
		for sp.moveSome(first, 0, noon*1000) {
		}
		if sp.shelves[0][0].Load() != first || first.live.Load() == 0 {
			t.Fatal("nothing is left to move: this run proves nothing")
		}
		for i := 0; sp.shelves[0][0].Load() == first; i++ {
			if i == 10*keys {
				t.Fatalf("%s: the table is never done", name)
			}
			finish(s, i)
			if key := i * 7 % keys; !spent(s, oneShard(key), fmt.Sprint("user:", key)) {
				t.Fatalf("%s: user:%d is lost", name, key)
			}
		}
		for i := range keys {
			if plant(s, oneShard(i), fmt.Sprint("user:", i)).Allowed {
				t.Fatalf("%s: user:%d is lost", name, i)
			}
		}
		// The mover that stalled goes on.
		before := wordsFrom(first)
		for i := range first.n {
			sp.moveSlot(first, first.slot(i), 0, noon*1000)
		}
		first.moved.Add(2 * moveStep)
		sp.retire(first.shelf)
		if fmt.Sprint(wordsFrom(first)) != fmt.Sprint(before) {
			t.Errorf("%s: the late mover changed something", name)
		}
		auditTables(t, s)
	}
}

// Keys that all workers bring at once while tables grow and grow are inserted once each.
func TestInsertsDuringMoves(t *testing.T) {
	collide(t)
	const keys = 4000
	contended := uint64(0)
	for round := range rounds(t, 3, func() bool { return contended > 0 }) {
		s, a := mustStore(), Algorithms()[round%len(Algorithms())]
		var admitted [keys]atomic.Int32
		together(workers, func(worker int) {
			for i := range keys {
				key := i ^ worker&1 // neighbours change places, so that not one worker leads
				if d, err := askAt(s, OpCheck, oneShard(key), fmt.Sprint("user:", key), a, mustLimit(1, time.Second, 0), 1, noon); err != nil {
					t.Error(err)
				} else if d.Allowed {
					admitted[key].Add(1)
				}
			}
		})
		for key := range admitted {
			if n := admitted[key].Load(); n != 1 {
				t.Fatalf("%v: key %d was admitted %d times", a, key, n)
			}
		}
		if st := s.Stats(); st.Rebuilt < 8 {
			t.Fatalf("%d tables rebuilt: this run proves nothing", st.Rebuilt)
		}
		contended += s.Stats().Contended
		auditTables(t, s)
		auditCells(t, s)
	}
}

// When the keys are gone, sweeps give their tables back.
func TestTablesShrink(t *testing.T) {
	const keys = 20_000
	s, l := mustStore(), mustLimit(1, time.Second, 0)
	for i := range keys {
		mustCheck(s, fmt.Sprint("user:", i), Algorithms()[i%len(Algorithms())], l, 1, noon)
	}
	full := s.Stats()
	for range 4 { // forget, make small successors, move, and once more to be sure
		s.Sweep(2*keys, noon+10*sec)
	}
	empty := s.Stats()
	if empty.Keys != 0 || empty.Rebuilt < full.Rebuilt+shardCount || empty.TableBytes > full.TableBytes/10 {
		t.Errorf("from %+v to %+v", full, empty)
	}
	auditTables(t, s)
	auditCells(t, s)
}

// A table that hands on to one that is smaller than its keys need, which can be when many
// come at once, hands the others on to the one after that.
func TestSuccessorTooSmall(t *testing.T) {
	const keys = 200
	s := mustStore()
	sp := s.space.Load()
	for i := range keys {
		plant(s, oneShard(i), fmt.Sprint("user:", i))
	}
	first := sp.shelves[0][0].Load()
	for first.next.Load() != nil {
		first = moveOn(s, first)
	}
	sp.successor(first, 0, slotsMin)
	moveOn(s, first)
	if chain := tablesFrom(first); len(chain) < 3 {
		t.Fatalf("%d tables: this run proves nothing", len(chain))
	}
	for i := range keys {
		if plant(s, oneShard(i), fmt.Sprint("user:", i)).Allowed {
			t.Fatalf("user:%d is lost", i)
		}
	}
	auditTables(t, s)
}

// Slots for keys: more than they fill, always an even number, and not at all shards alike.
func TestSlotsFor(t *testing.T) {
	for _, live := range []int64{-1, 0, 1, 2, 100, 12_345} {
		var sizes []uint64
		for shard := range uint16(shardCount) {
			n := slotsFor(live, shard)
			if n%2 != 0 || n < slotsMin || int64(n*fullNumerator/fullDenominator) <= live || live > 0 && n > 2*uint64(live)+4 {
				t.Errorf("%d keys get %d slots in shard %d", live, n, shard)
			}
			sizes = append(sizes, n)
		}
		slices.Sort(sizes)
		if live >= 100 && len(slices.Compact(sizes)) < 10 {
			t.Errorf("%d keys get one of %v slots", live, slices.Compact(sizes))
		}
	}
}
