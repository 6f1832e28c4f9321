package engine

import "math/bits"

// The bound on memory. Tables and rings report what they take (Stats.Bytes), and whoever
// needs more than is left first makes others forget: of a sample of keys those at rest,
// else the one that is nearest to it. Forgetting a live key forgives what it owed, so these
// are counted apart.
//
// A key forgotten in a table leaves a dead slot, and its memory comes back when the table
// is replaced. So at the bound tables do not grow: each new key's shard forgets one, and
// when the table is used up it is replaced by one of its own size.

const (
	// evictSample is how many keys are looked at to find the one to forget.
	evictSample = 16
	// evictSlots bounds how many slots are looked at to find them.
	evictSlots = 4 * evictSample
	// evictRounds is how many logs are forgotten at most to make room for one that grows.
	evictRounds = 64
)

// admit gets a slot for the key that settle did not find, beginning with the slot that it
// found instead. It may fail; the caller looks again either way.
func (s *Store) admit(sp *space, p *probe, t *table, slot *slot, q *query) {
	if t.next.Load() == nil {
		s.roomForKey(sp, p, t, q.now)
		if t.used.Load() < t.limit {
			t.claim(slot, p, uint8(q.algorithm))
			return
		}
		sp.successor(t, p.shard)
		sp.catchUp(t, p.shard, q.now)
	}
	slot.shut()
	sp.moveSome(t, p.shard, q.now)
}

// roomForKey forgets keys of the table if the key about to come would make it grow beyond
// the bound.
func (s *Store) roomForKey(sp *space, p *probe, t *table, now int64) {
	most := s.maxMemory.Load()
	if most == unbounded {
		return
	}
	growth := int64(slotsFor(t.live.Load(), p.shard)*t.stride) * 8
	if sp.bytes()+growth <= most || t.live.Load() < t.evictFrom() {
		return
	}
	// Two for one, so that tables that are full when the bound is lowered come below it.
	seed := p.meta ^ uint64(t.used.Load())*0x9e37_79b9_7f4a_7c15
	for i := range uint64(2) {
		s.evict(sp, t, seed+i<<32, now, false)
	}
}

// evictFrom is how many live keys a table holds at the bound: few enough that one of its
// own size is worth replacing it by.
func (t *table) evictFrom() int64 { return t.limit * 3 / 4 }

// roomForLog forgets other logs until there is room for so many bytes more. It returns
// ErrNoMemory when that is not enough.
func (s *Store) roomForLog(sp *space, p *probe, more, now int64) error {
	most := s.maxMemory.Load()
	if most == unbounded {
		return nil
	}
	seed := p.meta ^ uint64(now)
	for i := 0; sp.bytes()+more > most; i++ {
		if i == evictRounds {
			return ErrNoMemory
		}
		seed = seed*0xd134_2543_de82_ef95 + 1
		high, low := bits.Mul64(seed, classCount*shardCount)
		if t, _ := sp.shelf(high); t != nil && t.next.Load() == nil {
			s.evict(sp, t, low, now, true)
		}
	}
	return nil
}

// evict looks at a sample of the table's keys, from a place on that seed tells, and forgets
// those at rest, or else the one nearest to it. With logs it looks at logs only.
func (s *Store) evict(sp *space, t *table, seed uint64, now int64, logs bool) {
	type victim struct {
		slot     *slot
		st, rest int64
	}
	var nearest victim
	keys, forgot := 0, false
	i, _ := bits.Mul64(seed*0x9e37_79b9_7f4a_7c15, t.n)
	for range min(t.n, evictSlots) {
		slot := t.slot(i)
		if i++; i == t.n {
			i = 0
		}
		st := slot.state.Load()
		if !held(st) || logs && !slot.kind().row().keepsLog {
			continue
		}
		rest, ok := sp.rest(slot, st)
		switch {
		case !ok:
			continue
		case rest <= now-restLag:
			if _, ok := sp.forget(t, slot, st, stateDead, now-restLag); ok {
				s.reclaimed.Add(1)
				forgot = true
			}
		case nearest.slot == nil || rest < nearest.rest:
			nearest = victim{slot, st, rest}
		}
		if keys++; keys == evictSample {
			break
		}
	}
	if forgot || nearest.slot == nil {
		return
	}
	if rest, ok := sp.forget(t, nearest.slot, nearest.st, stateDead, nearest.rest); !ok {
		return
	} else if rest <= now {
		s.reclaimed.Add(1)
	} else {
		s.evicted.Add(1)
	}
}
