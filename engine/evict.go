package engine

import (
	"cmp"
	"math/bits"
	"slices"
)

// The bound on memory. Tables and rings report their memory (Stats.Bytes). A caller that needs
// more than is left first drops keys: of a sample of keys the idle ones are reclaimed, else
// the one that is idle soonest is evicted. To evict a live key forgives what it owed, so these
// are counted apart.
//
// A key that is dropped leaves a dead slot in its table, and the memory is free when the table
// is replaced. So at the bound tables do not grow: for each new key its shard drops one, and
// when the table is used up it is replaced by one of its own size.

const (
	// evictSample is how many keys of a table are looked at to find the one to drop.
	evictSample = 16
	// evictSlots bounds how many of its slots are looked at to find them.
	evictSlots = 4 * evictSample
	// evictSlotsMax bounds how many slots are looked at to make room for one log, with some
	// more for a large one.
	evictSlotsMax = 1 << 14
	// evictSmall is about what a log of few entries takes, in bytes.
	evictSmall = 128
	// spareShare is the share of the bound that is left to tables under replacement, which
	// exist twice.
	spareShare = 8
)

// claim gets a slot for the key that locate did not find. slot is the one that it found to claim.
// It may fail; the caller looks again either way.
func (s *Store) claim(sp *space, p *probe, t *table, slot *slot, q *query) {
	if t.next.Load() == nil {
		slots := s.roomForKey(sp, p, t, q.now)
		if t.used.Load() < t.limit && (slots == fitting || slots == t.n) {
			t.claim(slot, p, uint8(q.algorithm))
			return
		}
		sp.successor(t, p.shard, slots)
		sp.catchUp(t, p.shard, q.now)
	}
	slot.shut()
	sp.moveSome(t, p.shard, q.now)
}

// roomForKey drops keys of the table if the new key would make it grow beyond the bound. It returns how many slots the table should have: fitting, as many as before,
// or fewer.
func (s *Store) roomForKey(sp *space, p *probe, t *table, now int64) (slots uint64) {
	most := s.maxMemory.Load()
	if most == unbounded || t.shelf.Load() != t { // the keys of the table before are to come
		return fitting
	}
	bytes, live := sp.bytes(), t.live.Load()
	growth := int64(slotsFor(live, p.shard)*t.stride) * 8
	if bytes+growth <= most-most/spareShare {
		return fitting
	}
	if bytes <= most && live < t.evictFrom(p.shard) {
		return t.n
	}
	// Two for one, so that tables that are too large when the bound is lowered get fewer
	// keys, and a smaller successor.
	seed := p.meta ^ uint64(t.used.Load())*0x9e37_79b9_7f4a_7c15
	for i, dropped := uint64(0), 0; i < 2 && dropped < 2; i++ {
		_, n := s.evict(sp, t, victims{now: now, most: 1}, seed+i<<32)
		dropped += n
	}
	if smaller := slotsFor(t.live.Load(), p.shard); bytes > most && smaller < t.n*3/4 {
		return smaller
	}
	return t.n
}

// evictFrom is how many live keys a table holds at the bound: as many as slotsFor gives it
// its size for, so that no shard's share of the memory grows or falls, but few enough that
// some keys can come before it is replaced.
func (t *table) evictFrom(shard uint16) int64 {
	return min(int64(t.n*128/factorOf(shard))+3, t.limit-1)
}

// roomForLog shrinks tables and drops logs, but not the one with the reference keep, until there
// is room for so many bytes more, or twice as much has become free. It returns ErrNoMemory when
// there is nothing left to drop, or not within the bound on looking.
func (s *Store) roomForLog(sp *space, seed uint64, keep, more, now int64) error {
	most := s.maxMemory.Load()
	if most == unbounded || sp.bytes()+more <= most {
		return nil
	}
	const shelves = classCount * shardCount
	seed ^= uint64(now) * 0x9e37_79b9_7f4a_7c15
	first, _ := bits.Mul64(seed, shelves)
	slots, before := uint64(0), sp.logs.bytes.Load()
	from := victims{now: now, logs: true, keep: keep, most: 1}
	if more > evictSample*evictSmall {
		from.most = evictSample / 2 // a large ring is worth many small ones
	}
	enough := evictSlotsMax + uint64(more)/4 // in proportion to what will be copied
	for i := uint64(0); slots < enough; i++ {
		slots++
		t, shard := sp.shelf((first + i) % shelves)
		if t != nil && t.next.Load() == nil && t.sparse(shard) { // room that no key takes
			sp.successor(t, shard, fitting)
			sp.moveAll(t, shard, now)
			slots += t.n
		}
		for ; t != nil; t = t.next.Load() {
			n, _ := s.evict(sp, t, from, seed+i<<32)
			slots += n
		}
		if sp.bytes()+more <= most || before-sp.logs.bytes.Load() >= 2*more {
			return nil
		}
	}
	return ErrNoMemory
}

// victims says which keys may be dropped, at instant now (ns): all, or logs only, but not
// the log with the reference keep.
type victims struct {
	now  int64
	logs bool
	keep int64
	most int // how many of one sample
}

// evict looks at a sample of the table's keys, from a place on that seed tells. It
// reclaims the idle ones, or else evicts so many of the others, those first that are idle
// soonest. It returns how many slots it looked at and how many keys it dropped.
func (s *Store) evict(sp *space, t *table, from victims, seed uint64) (slots uint64, dropped int) {
	type key struct {
		slot       *slot
		st, idleAt int64
	}
	var sample [evictSample]key
	keys := 0
	i, _ := bits.Mul64(seed*0x9e37_79b9_7f4a_7c15, t.n)
	for ; slots < min(t.n, evictSlots) && keys < evictSample; slots++ {
		slot := t.slot((i + slots) % t.n)
		st := slot.state.Load()
		if !held(st) || from.logs && (st == from.keep || slot.kind().row().shape != ShapeLog) {
			continue
		}
		at, ok := sp.idleAt(slot, st)
		switch {
		case !ok:
		case at <= from.now-idleLag:
			if _, ok := sp.end(t, slot, st, stateDead, at); ok {
				s.reclaimed.Add(1)
				dropped++
			}
		default:
			sample[keys] = key{slot, st, at}
			keys++
		}
	}
	if dropped > 0 && from.most == 1 {
		return slots, dropped
	}
	slices.SortFunc(sample[:keys], func(a, b key) int { return cmp.Compare(a.idleAt, b.idleAt) })
	for _, k := range sample[:min(keys, from.most)] {
		if _, ok := sp.end(t, k.slot, k.st, stateDead, k.idleAt); !ok {
			continue
		}
		dropped++
		if k.idleAt <= from.now {
			s.reclaimed.Add(1)
		} else {
			s.evicted.Add(1)
			sp.mark(t, k.slot)
		}
	}
	return slots, dropped
}
