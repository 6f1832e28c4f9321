package engine

import "sync/atomic"

// Growth, shrinking and cleaning are one thing: a table hands its keys on to a successor
// of the size that fits those alive. Slot by slot,
//
//	never claimed     meta 0 → metaClosed
//	claimed, unborn   state 0 → stateUnborn
//	idle              state → stateDead
//	alive             state → state with the sign, and then the key and the state are
//	                  written to the successor
//
// From the first of these steps on the slot takes no update; from the last on the key is
// the successor's. A caller that finds a slot between the two takes the second step
// itself before it goes on to the successor, so no caller waits for another. Any number of
// callers may move the same slot at any time, however late: in the successor a
// key's state goes from 0 to a value once, and a mover that finds the key there with a state,
// or dead after one, knows that it was moved.
//
// Keys that are not in the table go to the successor as soon as there is one, after the
// slot that they would have claimed is closed. So each table's claims come to an end.
//
// A caller that inserts in a table that has a successor moves moveStep slots of it. When all are
// moved the shard's shelf gets the successor. Should a caller stall that undertook to move
// some, then a successor that is full itself before all are moved makes its
// inserters move them all again.
//
// Old tables are garbage, and a caller that still holds one finds the way on from it.

// moveStep is how many slots are moved for each key that is inserted meanwhile: about a
// microsecond's work. A successor has room for far more keys than n/moveStep.
const moveStep = 64

// idleLag is how long (ns) a key must have been idle for the mover of its slot to drop it:
// longer than any caller holds a reading of the clock.
const idleLag = 2_000_000_000

// slotsFor is how many slots a table for so many live keys gets: between 13/8 and 2 for
// each. The factor differs from shard to shard, so that not all are rebuilt, or as empty
// as they get, at the same number of keys.
func slotsFor(live int64, shard uint16) uint64 {
	const factorSpread = 48
	return slotsWith(live, factorMin+uint64(shard)*79%factorSpread)
}

// factorMin is the least factor that a table is made with, in 128ths of slots for each key.
const factorMin = 208

// slotsWith is how many slots a table gets, by a factor in 128ths.
func slotsWith(live int64, factor uint64) uint64 {
	n := uint64(max(live, 0))*factor/128 + 2
	return max(n+n%2, slotsMin)
}

// slotsMin is the fewest slots of a table.
const slotsMin = 4

// fitting stands for as many slots as fit the keys that are to come into a table.
const fitting = 0

// successor is the table after t, made with so many slots if there is none.
func (sp *space) successor(t *table, shard uint16, slots uint64) *table {
	if next := t.next.Load(); next != nil {
		return next
	}
	if slots == fitting {
		live := t.live.Load()
		for before := t.shelf.Load(); before != nil && before != t; before = before.next.Load() {
			live += before.live.Load()
		}
		slots = slotsFor(live, shard)
	}
	next := newTable(t.shelf, t.class, slots)
	if !t.next.CompareAndSwap(nil, next) {
		return t.next.Load()
	}
	sp.tableBytes.Add(next.bytes())
	return next
}

// moveSome moves the next moveStep slots of a table that has a successor. It returns false
// when all are undertaken.
func (sp *space) moveSome(t *table, shard uint16, now int64) bool {
	from := t.cursor.Load()
	if from < int64(t.n) {
		from = t.cursor.Add(moveStep) - moveStep
	}
	if from >= int64(t.n) {
		return false
	}
	to := min(from+moveStep, int64(t.n))
	for i := from; i < to; i++ {
		sp.moveSlot(t, t.slot(uint64(i)), shard, now)
	}
	if t.moved.Add(to-from) == int64(t.n) {
		t.done.Store(true)
		sp.retire(t.shelf)
	}
	return true
}

// moveAll moves all slots of a table that has a successor, even those that other
// callers undertook to move. It takes time in proportion to the table.
func (sp *space) moveAll(t *table, shard uint16, now int64) {
	for i := range t.n {
		sp.moveSlot(t, t.slot(i), shard, now)
	}
	t.done.Store(true)
	sp.retire(t.shelf)
}

// retire takes tables that are moved off the shelf, in the order of their succession.
func (sp *space) retire(shelf *atomic.Pointer[table]) {
	for {
		t := shelf.Load()
		if !t.done.Load() {
			return
		}
		if shelf.CompareAndSwap(t, t.next.Load()) {
			sp.tableBytes.Add(-t.bytes())
			sp.rebuilt.Add(1)
		}
	}
}

// moveSlot closes one slot and hands on what it holds.
func (sp *space) moveSlot(t *table, s *slot, shard uint16, now int64) {
	meta := s.meta.Load()
	for meta == 0 {
		if s.meta.CompareAndSwap(0, metaClosed) {
			return
		}
		meta = s.meta.Load()
	}
	if meta == metaClosed {
		return
	}
	for algorithm := Algorithm(meta & metaKind); ; {
		st := s.state.Load()
		switch {
		case st < 0:
			if carried(st) != 0 {
				sp.hand(t, s, meta, st&^stateSign, shard)
			} else if st == stateDead {
				sp.carryMark(t, s, nil, nil)
			}
			return
		case st == 0 || st == stateIdle:
			t.kill(s, st)
		case algorithm.row().idleAt(st) <= now-idleLag:
			if t.kill(s, st) {
				sp.reclaimed.Add(1)
			}
		default:
			t.swap(s, st, st|stateSign)
		}
	}
}

// hand writes the key and the state of a closed slot of t to the tables after t, unless
// that is done.
func (sp *space) hand(t *table, s *slot, meta uint64, st int64, shard uint16) {
	p, kind := probeOf(s, meta, t.class), Algorithm(meta&metaKind)
	to := sp.successor(t, shard, fitting)
	for {
		there, was, what := to.seek(&p, true)
		switch {
		case what == closed:
			to = sp.successor(to, shard, fitting)
			continue
		case what == absent:
			if !to.claim(there, &p, uint8(kind)) {
				continue
			}
		case was != 0:
			sp.carryMark(t, s, to, there)
			return
		}
		if !there.is(kind) { // begun for another key, and taken over by this one
			to.kill(there, 0)
		} else if to.swap(there, 0, st) {
			sp.carryMark(t, s, to, there)
			return
		}
	}
}
