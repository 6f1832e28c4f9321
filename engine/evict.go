package engine

import "sync/atomic"

// The bound on memory. Tables and rings report their memory (Stats.Bytes). A caller that needs more
// than is left makes room first, and a sweep makes room while more is in use than the bound allows.
//
// Room is made in small steps of a round through all tables. A step looks at the next evictSlots
// slots. Idle keys among them are reclaimed. If these are less than the round's share of the keys,
// those are evicted besides that are idle soonest, whatever their algorithms. To evict a live key
// forgives what it owed, so these are counted apart.
//
// A log's ring is free memory at once. The slot of a key is so only when its table is replaced. So
// the round gives each table behind which it comes a successor of the size that now fits, and moves
// the keys there before it goes on. That is why it takes one table after the other: with as many
// keys dropped here and there no table would be replaced for long.
//
// Callers share the round and do not wait for each other: a step counts if its caller is the first
// to move the cursor on. So what a question pays is bounded by its steps, whatever others do.
type round struct {
	// cursor is where the next step begins: the number of the shelf, and the slot in 32 bits.
	cursor atomic.Uint64
	// share is how many of evictSlots keys a step drops. It is set where the round begins.
	share atomic.Int64
	// owed is how many keys, in parts of evictSlots, the steps so far have dropped too few.
	owed atomic.Int64
	// barren counts shelves since a step found something to drop but the log with the reference keep.
	// After all of them there is nothing, so that the next refusals need not look.
	barren atomic.Int64
	keep   atomic.Int64
}

const (
	shelfCount = classCount * shardCount
	// evictSlots is how many slots a step looks at, or moves: about a microsecond's work.
	evictSlots = moveStep
	// A round drops at least evictShareMin of evictSlots keys, so that tables get smaller, and at
	// most evictShareMax, so that there is a choice.
	evictShareMin, evictShareMax = 8, 56
	// creditMax is how many keys, in parts of evictSlots, steps may have dropped too many.
	creditMax = 16 * evictSlots
	// spareShare is the share of the bound that is left to tables under replacement, which exist
	// twice, and to the growth of tables while the round makes the room for it.
	spareShare = 8
	// A new key pays for one step when the spare is in use, and for more the more of it is, so that
	// the bound itself is not exceeded: keyStepsMax and one where all of it is.
	keyStepsMax = 8
	// A log pays for two steps, and for one more for each logStepBytes that it needs, which is what
	// a step frees at least where keys have no rings. logStepsMax bounds that: a quarter of a millisecond.
	logStepBytes = evictShareMin * int64(slotBytes)
	logStepsMax  = 256
)

// claim gets a slot for the key that locate did not find. slot is the one that it found to claim.
// It may fail; the caller looks again either way.
func (s *Store) claim(sp *space, p *probe, t *table, slot *slot, q *query) {
	if t.next.Load() == nil {
		s.roomForKey(sp, q.now)
		if t.used.Load() < t.limit {
			t.claim(slot, p, uint8(q.algorithm))
			return
		}
		sp.successor(t, p.shard, fitting)
		sp.catchUp(t, p.shard, q.now)
	}
	slot.shut()
	sp.moveSome(t, p.shard, q.now)
}

// roomForKey makes some room if a new key may need more than is left. Keys are never refused: each
// that comes frees more than it takes.
func (s *Store) roomForKey(sp *space, now int64) {
	most := s.maxMemory.Load()
	if most == unbounded {
		return
	}
	spare := most / spareShare
	used := sp.bytes() - (most - spare) // of the spare
	for steps := min(used*keyStepsMax/(spare+1), keyStepsMax); used > 0 && steps >= 0; steps-- {
		s.makeRoom(sp, 0, now)
		used = sp.bytes() - (most - spare)
	}
}

// roomForAll is for sweeps: while more is in use than the bound allows, it makes some room, and
// returns true. It looks at as many slots as a sweep for count keys.
func (s *Store) roomForAll(sp *space, count int, now int64) bool {
	most, r := s.maxMemory.Load(), &sp.round
	if sp.bytes() <= most || r.barren.Load() >= shelfCount {
		r.barren.Store(0) // there may be something to drop again
		return false
	}
	for n := 0; n < count*sweepSlotsPerKey && sp.bytes() > most; n += evictSlots {
		s.makeRoom(sp, 0, now)
	}
	return true
}

// roomForLog makes room for so many bytes more, but does not drop the log with the reference keep.
// It returns ErrNoMemory when there is nothing left to drop, or not enough within the steps that
// the log pays for.
func (s *Store) roomForLog(sp *space, keep, more, now int64) error {
	most, r := s.maxMemory.Load(), &sp.round
	if most == unbounded || sp.bytes()+more <= most {
		return nil
	}
	if r.keep.Load() != keep {
		r.keep.Store(keep)
		r.barren.Store(0)
	}
	for steps := min(2+more/logStepBytes, logStepsMax); steps > 0 && r.barren.Load() < shelfCount; steps-- {
		s.makeRoom(sp, keep, now)
		if sp.bytes()+more <= most {
			return nil
		}
	}
	return ErrNoMemory
}

// makeRoom takes one step of the round, at instant now (ns). It does not drop the log with the
// reference keep.
func (s *Store) makeRoom(sp *space, keep, now int64) {
	r := &sp.round
	at := r.cursor.Load()
	if at == 0 {
		r.share.Store(s.evictShare(sp))
	}
	if t, shard := sp.shelf(at >> 32); t != nil && t.next.Load() != nil {
		if !sp.moveSome(t, shard, now) { // a sweep sees to what a stalled caller has undertaken
			r.cursor.CompareAndSwap(at, roundAfter(at>>32+1, 0))
		}
		r.barren.Store(0)
		return
	}
	step := evictStep{s: s, sp: sp, keep: keep, now: now, share: r.share.Load()}
	step.look(at>>32, at&(1<<32-1))
	if !r.cursor.CompareAndSwap(at, roundAfter(step.number, step.i)) {
		return
	}
	if step.found {
		r.barren.Store(0)
	} else {
		r.barren.Add(step.passed)
	}
	step.evict(&r.owed)
}

// roundAfter is the cursor for a shelf and a slot, or the begin of the next round.
func roundAfter(number, i uint64) uint64 {
	if number >= shelfCount {
		return 0
	}
	return number<<32 | i
}

// evictShare is the share for a round: what has to go for the spare to be free again.
func (s *Store) evictShare(sp *space) int64 {
	most, bytes := s.maxMemory.Load(), sp.bytes()
	over := bytes - (most - most/spareShare)
	return min(max(over/(bytes/evictSlots+1), evictShareMin), evictShareMax)
}

// An evictStep is one step of the round: first it looks, then it evicts.
type evictStep struct {
	s                *Store
	sp               *space
	keep, now, share int64

	number, i uint64 // where it ends: the shelf and the slot
	passed    int64  // shelves
	idle      int    // keys reclaimed
	found     bool   // something to drop, or a table to replace
	sample    [evictSlots]candidate
	keys      int // in the sample
}

// A candidate is a live key that a step may evict.
type candidate struct {
	t          *table
	slot       *slot
	st, idleAt int64
}

// look gathers the keys of the next slots, from a slot of a shelf on. It reclaims those that are idle.
// It ends at a table that is to be replaced.
func (e *evictStep) look(number, i uint64) {
	tableFrom := 0 // the first key of this table in the sample
	for looked := 0; looked < evictSlots && number < shelfCount; looked++ {
		t, shard := e.sp.shelf(number)
		if t != nil && t.next.Load() == nil && i < t.n {
			e.slot(t, t.slot(i))
			i++
			continue
		}
		if t != nil && (t.next.Load() != nil || e.replace(t, shard, e.keys-tableFrom)) {
			e.found = true
			break
		}
		number, i, tableFrom = number+1, 0, e.keys
		e.passed++
	}
	e.number, e.i = number, i
}

// slot adds the key of a slot to the sample, or reclaims it.
func (e *evictStep) slot(t *table, s *slot) {
	st := s.state.Load()
	if !held(st) || st == e.keep && s.kind().row().shape != ShapeWord {
		return
	}
	at, ok := e.sp.idleAt(s, st)
	if !ok {
		return
	}
	e.found = true
	if at > e.now-idleLag {
		e.sample[e.keys] = candidate{t, s, st, at}
		e.keys++
	} else if _, ok := e.sp.end(t, s, st, stateDead, at); ok {
		e.s.reclaimed.Add(1)
		e.idle++
	}
}

// replace gives a table a successor if it is too large for the keys that it will have once this step
// has evicted its share of so many of them.
func (e *evictStep) replace(t *table, shard uint16, sampled int) bool {
	slots := slotsAtBound(t.live.Load() - int64(sampled)*e.share/evictSlots)
	if slots >= t.n-t.n/16 {
		return false
	}
	e.sp.successor(t, shard, slots)
	return true
}

// slotsAtBound is how many slots a table gets that the round replaces: few, as all shards are
// replaced once a round, which makes the room for the keys that come meanwhile.
func slotsAtBound(live int64) uint64 { return slotsWith(live, factorMin) }

// evict evicts the share of the keys that were found. Idle ones count for it, also for the steps that
// follow; so does what is left over because the share is no whole number of keys, so that small
// tables lose no more than others.
func (e *evictStep) evict(owed *atomic.Int64) {
	due := owed.Load() + int64(e.keys+e.idle)*e.share - int64(e.idle)*evictSlots
	drop := min(max(due/evictSlots, 0), int64(e.keys))
	owed.Store(max(due-drop*evictSlots, -creditMax))
	rest := e.sample[:e.keys]
	for ; drop > 0; drop-- {
		first := 0
		for i := range rest {
			if rest[i].idleAt < rest[first].idleAt {
				first = i
			}
		}
		c := rest[first]
		rest[first], rest = rest[len(rest)-1], rest[:len(rest)-1]
		if _, ok := e.sp.end(c.t, c.slot, c.st, stateDead, c.idleAt); !ok {
			continue
		}
		if c.idleAt <= e.now {
			e.s.reclaimed.Add(1)
		} else {
			e.s.evicted.Add(1)
			e.sp.mark(c.t, c.slot)
		}
	}
}
