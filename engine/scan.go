package engine

import (
	"math/bits"
)

// A KeyInfo describes one key that is not idle.
type KeyInfo struct {
	Key       string
	Algorithm Algorithm
	// IdleMicros is when the key will be idle, in microseconds since the Unix epoch,
	// rounded up.
	IdleMicros int64
	// Bytes estimates the memory that the key takes.
	Bytes int64
}

// Lookup describes key, unless it is absent or idle.
func (s *Store) Lookup(key string, now int64) (KeyInfo, bool) {
	if CheckState(key) != nil {
		return KeyInfo{}, false
	}
	p, sp := newProbe(s.hasher.hash(key), key), s.space.Load()
	t := sp.first(&p)
	if t == nil {
		return KeyInfo{}, false
	}
	t, slot, st, what := sp.locate(&p, t, now*1000)
	if what == absent {
		return KeyInfo{}, false
	}
	return sp.describe(t, slot, st, now)
}

// describe tells of the key of a slot that holds st, unless it is idle.
func (sp *space) describe(t *table, s *slot, st, now int64) (KeyInfo, bool) {
	at, ok := sp.idleAt(s, st)
	if !ok || at <= now*1000 {
		return KeyInfo{}, false
	}
	return KeyInfo{
		Key:        keyOf(s, s.meta.Load()),
		Algorithm:  s.kind(),
		IdleMicros: (at-1)/1000 + 1, // rounded up
		// A slot, its share of those that are free, and the memory beside it.
		Bytes: int64(t.stride)*8*3/2 + s.kind().shape().bytes(sp, st),
	}, true
}

// A cursor is a position in the store: the class, the shard, and the place in the shard's
// order of hashes. It stays below 2^53, because some clients read a cursor as a double.
const (
	cursorShelfShift = placeBits
	cursorEnd        = uint64(classCount*shardCount) << cursorShelfShift
	placeEnd         = uint64(1) << placeBits
)

// shelf is the shelf of a number, 0 … classCount·shardCount−1, and its shard.
func (sp *space) shelf(number uint64) (t *table, shard uint16) {
	return sp.shelves[number>>shardBits][number&(shardCount-1)].Load(), uint16(number & (shardCount - 1))
}

// Scan calls visit for keys that are not idle, from cursor on, and returns the cursor to
// go on from, or 0 at the end. A key that is there from the first call of a scan to its
// last is visited; one that comes or goes meanwhile may be. No key is visited twice unless
// it was removed and made again.
//
// A call looks at about as many slots as it takes to find count keys (at least 1) in a
// table that is half full; it may visit a few more keys than count, or fewer, or none,
// before the end.
func (s *Store) Scan(cursor uint64, count int, now int64, visit func(KeyInfo)) uint64 {
	sp := s.space.Load()
	return sp.walk(cursor, count, now, func(t *table, slot *slot, st int64) {
		if info, ok := sp.describe(t, slot, st, now); ok {
			visit(info)
		}
	})
}

// walk visits slots that have a key, from cursor on, and their states.
func (sp *space) walk(cursor uint64, count int, now int64, visit func(*table, *slot, int64)) uint64 {
	slots := uint64(min(max(count, 1), 1<<30)) * 2
	for slots > 0 && cursor < cursorEnd {
		t, shard := sp.shelf(cursor >> cursorShelfShift)
		for t != nil && t.next.Load() != nil {
			// The keys are in two tables. Make it one, the only one when the walk begins:
			// keys that move on while it lasts are still seen here.
			sp.moveAll(t, shard, now*1000)
			t, _ = sp.shelf(cursor >> cursorShelfShift)
		}
		to := placeEnd
		if t != nil {
			var seen uint64
			to, seen = scanTable(t, cursor&(placeEnd-1), slots, visit)
			slots -= min(seen, slots)
		}
		cursor = cursor>>cursorShelfShift<<cursorShelfShift + to
	}
	if cursor >= cursorEnd {
		return 0
	}
	return cursor
}

// scanTable visits the keys with places from … to−1, of which about so many slots have to
// be looked at, and returns to.
func scanTable(t *table, from, slots uint64, visit func(*table, *slot, int64)) (to, seen uint64) {
	first, _ := bits.Mul64(from<<placeShift, t.n)
	last := t.n
	to = placeEnd
	if first+slots < t.n {
		last = first + slots
		// The lowest place whose search begins at last or behind.
		high, low := bits.Mul64(last, placeEnd)
		var rest uint64
		if to, rest = bits.Div64(high, low, t.n); rest > 0 {
			to++
		}
	}
	// A key stands at its home or behind it, with nothing unclaimed between.
	for i := first &^ 1; seen < t.n; seen++ {
		at := i + seen
		s := t.slot(at % t.n)
		meta := s.meta.Load()
		if meta == 0 || meta == metaClosed {
			if at >= last {
				break
			}
			continue
		}
		if where := place(meta); where < from || where >= to {
			continue
		}
		st := s.state.Load()
		if st < 0 {
			st = carried(st)
		}
		visit(t, s, st)
	}
	return to, seen
}

// sweepSlotsPerKey is how many slots without a key cost as much of a sweep's budget as one
// key.
const sweepSlotsPerKey = 8

// Sweep looks at up to count keys, going round the store from where the last call stopped,
// and reclaims those that are idle at instant now, which should lie a little in the past, before
// any reading that a decision still under way may hold. It also moves keys out of tables
// that are too large or being replaced. It returns how many keys it reclaimed. It looks at no
// more than sweepSlotsPerKey·count slots, so the caller bounds its cost.
func (s *Store) Sweep(count int, now int64) int {
	sp := s.space.Load()
	if s.roomForAll(sp, count, now*1000+idleLag) {
		return count
	}
	w := sweep{sp: sp, now: now * 1000, budget: min(max(count, 1), 1<<30) * sweepSlotsPerKey}
	cursor := s.sweepCursor.Load()
	for shelves := 0; w.budget > 0 && shelves <= classCount*shardCount; {
		number, slot := cursor>>32, cursor&(1<<32-1)
		if number >= classCount*shardCount {
			number, slot = 0, 0
		}
		t, shard := sp.shelf(number)
		if t != nil {
			slot = w.table(t, shard, slot)
		}
		if t == nil || slot >= t.n {
			number, slot = number+1, 0
			shelves++
			w.budget--
		}
		cursor = number<<32 | slot
	}
	s.sweepCursor.Store(cursor)
	s.reclaimed.Add(uint64(w.reclaimed))
	return w.reclaimed
}

type sweep struct {
	sp                *space
	now               int64 // ns
	budget, reclaimed int
}

// table sweeps from slot on while the budget lasts, and returns where it stopped.
func (w *sweep) table(t *table, shard uint16, slot uint64) uint64 {
	if t.next.Load() != nil {
		for w.budget > 0 {
			w.budget -= moveStep
			if !w.sp.moveSome(t, shard, w.now+idleLag) {
				if !t.done.Load() { // a caller stalls with a part of it
					w.sp.moveAll(t, shard, w.now+idleLag)
				}
				return t.n
			}
		}
		return slot
	}
	for ; slot < t.n && w.budget > 0; slot++ {
		w.budget -= w.slot(t, t.slot(slot))
	}
	if slot >= t.n && t.sparse(shard) {
		w.sp.successor(t, shard, fitting)
	}
	return slot
}

// slot reclaims the key of a slot if it is idle, and returns what the look cost.
func (w *sweep) slot(t *table, s *slot) int {
	st := s.state.Load()
	if st <= 0 {
		return 1
	}
	if !held(st) {
		t.kill(s, st)
		return 1
	}
	if _, ok := w.sp.end(t, s, st, stateDead, w.now); ok {
		w.reclaimed++
	}
	return sweepSlotsPerKey
}

// sparse says whether a table deserves a smaller successor.
func (t *table) sparse(shard uint16) bool {
	return t.n > 4*slotsFor(t.live.Load(), shard)
}
