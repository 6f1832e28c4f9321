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

// each calls visit for the first table of every shard that has one.
func (sp *space) each(visit func(shard uint16, t *table)) {
	for class := range sp.shelves {
		for shard := range sp.shelves[class] {
			if t := sp.shelves[class][shard].Load(); t != nil {
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
	sp.each(func(_ uint16, t *table) {
		for ; t != nil; t = t.next.Load() {
			total += t.live.Load()
		}
	})
	return total
}

// settle finds the slot where the key's state is, following it through tables that hand
// their keys on and moving some of those on the way. It returns found, or absent with the slot to claim; a nil table is one
// that was never made. closed is never returned.
func (sp *space) settle(p *probe, t *table, now int64) (*table, *slot, int64, finding) {
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

// own makes sure that a slot is the algorithm's that is asked for, or may become so: a slot of
// another algorithm is closed if it is at rest, and its key gets another.
func (sp *space) own(t *table, s *slot, st int64, q *query) error {
	if s.is(q.algorithm) {
		return nil
	}
	if rest, ok := sp.rest(s, st); ok && rest > q.now {
		return &WrongTypeError{Owner: s.kind(), Asked: q.algorithm}
	}
	sp.forget(t, s, st, stateDead, q.now)
	return nil
}

// rest is the instant (ns) at which the state of a slot is at rest. ok is false where none
// is held, be it a log that has come to its end.
func (sp *space) rest(s *slot, st int64) (rest int64, ok bool) {
	if !held(st) {
		return 0, false
	}
	if !s.kind().row().keepsLog {
		return st, true
	}
	r := sp.logs.load(st)
	if r == nil {
		return 0, false
	}
	v := r.view()
	return v.restAt(), true
}

// forget ends the state of a slot, unless it is no longer st or is at rest only after the
// instant by (ns): to becomes its state, which is stateRested or stateDead. It returns when
// the key would have been at rest, and whether this call ended it.
func (sp *space) forget(t *table, s *slot, st, to, by int64) (rest int64, ok bool) {
	switch {
	case !held(st):
		return 0, t.kill(s, st)
	case !s.kind().row().keepsLog:
		return st, st <= by && t.swap(s, st, to)
	}
	if r := sp.logs.load(st); r != nil {
		// The state word does not change with the log, so that the log is still at rest has
		// to be seen in what is sealed.
		v := r.view()
		if rest = v.restAt(); rest > by || !v.seal() || !sp.logs.swap(r, nil) {
			return 0, false
		}
		ok = true
	}
	sp.release(t, s, st, to)
	return rest, ok
}

// drop ends the state of a key, whatever it is, at instant now (ns): to becomes its slot's, as in
// forget. It returns the slot and when the key would have been at rest; ok is false if there
// was no state.
func (sp *space) drop(p *probe, to, now int64) (t *table, s *slot, rest int64, ok bool) {
	for t = sp.first(p); t != nil; {
		var st int64
		var what finding
		if t, s, st, what = sp.settle(p, t, now); what == absent || !held(st) {
			return t, s, 0, false
		}
		if rest, ok = sp.forget(t, s, st, to, math.MaxInt64); ok {
			return t, s, rest, true
		}
	}
	return nil, nil, 0, false
}

// release takes back the cell of a log that has ended.
func (sp *space) release(t *table, s *slot, ref, to int64) {
	if t.swap(s, ref, to) {
		sp.logs.give(ref)
	}
}

// catchUp moves all that is left in the tables before t, which is full itself.
func (sp *space) catchUp(t *table, shard uint16, now int64) {
	for before := t.shelf.Load(); before != t && !t.done.Load() && before.next.Load() != nil; before = t.shelf.Load() {
		sp.moveAll(before, shard, now)
	}
}
