package engine

import (
	"math"
	"sync/atomic"
)

const (
	shardBits  = 8
	shardCount = 1 << shardBits
)

// A space is everything that a store holds, so that a flush is one swap of a pointer.
// Tables are made when their first key comes.
type space struct {
	// tracking is whether changes are marked. It stands where nothing is written, for every
	// change looks at it.
	tracking atomic.Bool
	// shelves hold, for each class and shard, the first table that has not handed all its
	// keys on.
	shelves [classCount][shardCount]atomic.Pointer[table]
	hints   [shardCount]hint // of the first tables of class 0
	logs    logCells
	round   round

	tableBytes atomic.Int64
	rebuilt    atomic.Uint64
	contended  atomic.Uint64
	orphans    atomic.Pointer[orphan] // changes that no mark tells of
	// reclaimed and evicted are the store's: they outlive the space.
	reclaimed, evicted *atomic.Uint64
}

func newSpace(reclaimed, evicted *atomic.Uint64) *space {
	sp := &space{reclaimed: reclaimed, evicted: evicted}
	sp.tableBytes.Store(int64(len(sp.shelves) * len(sp.shelves[0]) * 8))
	return sp
}

// first is the table to look for the key in, or nil when none was made yet.
func (sp *space) first(p *probe) *table { return sp.shelves[p.class][p.shard].Load() }

// firstMade is first, made if need be.
func (sp *space) firstMade(p *probe) *table {
	shelf := &sp.shelves[p.class][p.shard]
	if t := shelf.Load(); t != nil {
		return t
	}
	t := newTable(shelf, p.class, slotsFor(0, p.shard))
	if shelf.CompareAndSwap(nil, t) {
		sp.tableBytes.Add(t.bytes())
	}
	return shelf.Load()
}

// each calls visit for every table, those of a shard in the order of their succession.
func (sp *space) each(visit func(shard uint16, t *table)) {
	for class := range sp.shelves {
		for shard := range sp.shelves[class] {
			for t := sp.shelves[class][shard].Load(); t != nil; t = t.next.Load() {
				visit(uint16(shard), t)
			}
		}
	}
}

// bytes is what counts against the bound on memory.
func (sp *space) bytes() int64 { return sp.tableBytes.Load() + sp.logs.bytes.Load() }

// live is how many keys hold a state.
func (sp *space) live() int64 {
	total := int64(0)
	sp.each(func(_ uint16, t *table) { total += t.live.Load() })
	return total
}

// locate finds the slot where the key's state is. It follows the key through tables that hand
// their keys on, and moves some of those on the way. It returns found, or absent with the slot
// to claim, and never closed.
func (sp *space) locate(p *probe, t *table, now int64) (*table, *slot, int64, finding) {
	for {
		s, st, what := t.seek(p, false)
		switch {
		case what == closed:
			next := sp.successor(t, p.shard, fitting)
			sp.moveSome(t, p.shard, now)
			t = next
		case what == found && st < 0:
			sp.hand(t, s, s.meta.Load(), carried(st), p.shard)
			sp.moveSome(t, p.shard, now)
			t = t.next.Load()
		default:
			return t, s, st, what
		}
	}
}

// idleAt is the instant (ns) from which on the key of a slot with state st is idle. ok is false
// where no state is held, or one that has come to its end.
func (sp *space) idleAt(s *slot, st int64) (at int64, ok bool) {
	if !held(st) {
		return 0, false
	}
	a := s.kind()
	return a.shape().idleAt(sp, a, st)
}

// end ends the state of a slot, unless it is no longer st or is idle only after the instant by
// (ns): to becomes its state, which is stateIdle or stateDead. It returns when the key would
// have been idle, and whether this call ended it.
func (sp *space) end(t *table, s *slot, st, to, by int64) (idleAt int64, ok bool) {
	if !held(st) {
		return 0, t.kill(s, st)
	}
	return s.kind().shape().end(sp, t, s, st, to, by)
}

// drop ends the state of a key, whatever it is, at instant now (ns): to becomes its slot's, as in
// end. It returns the slot and when the key would have been idle; ok is false if there was no
// state.
func (sp *space) drop(p *probe, to, now int64) (t *table, s *slot, idleAt int64, ok bool) {
	for t = sp.first(p); t != nil; {
		var st int64
		var what finding
		if t, s, st, what = sp.locate(p, t, now); what == absent || !held(st) {
			return t, s, 0, false
		}
		if idleAt, ok = sp.end(t, s, st, to, math.MaxInt64); ok {
			return t, s, idleAt, true
		}
	}
	return nil, nil, 0, false
}

// catchUp moves all that is left in the tables before t, which is full itself.
func (sp *space) catchUp(t *table, shard uint16, now int64) {
	for before := t.shelf.Load(); before != t && !t.done.Load() && before.next.Load() != nil; before = t.shelf.Load() {
		sp.moveAll(before, shard, now)
	}
}
