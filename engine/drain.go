package engine

import (
	"math/bits"
	"unsafe"
)

// Track begins or ends noting which keys change, for Drain to tell. Changes made before
// it returns are not told: a follower reads all keys with Dump behind it.
func (s *Store) Track(on bool) {
	s.following.Lock()
	defer s.following.Unlock()
	s.drained = s.space.Load()
	s.drained.track(on)
}

// Drain tells what has become of every key that was changed since it was told last, and
// returns how many there are. What a caller of Ask, Reset or Flush has been told was done is
// told by a Drain that begins after that. A key may be told of that has not changed. now is
// in microseconds as everywhere.
//
// visit gets the same Change each time, and must not call the store.
func (s *Store) Drain(visit func(*Change)) (n int) {
	s.following.Lock()
	defer s.following.Unlock()
	sp := s.space.Load()
	d := &s.drain
	d.sp, d.visit, d.n = sp, visit, 0
	if sp != s.drained {
		s.drained = sp
		d.tell(&Change{})
	}
	sp.each(func(shard uint16, t *table) { d.table(t, shard) })
	d.rest()
	for o := sp.orphans.Swap(nil); o != nil; o = o.next {
		p := newProbe(s.hasher.hash(o.key), o.key)
		d.find(&p, sp.first(&p))
	}
	d.sp, d.visit = nil, nil
	return d.n
}

// A drain reads the states of keys that have changed.
type drain struct {
	sp     *space
	visit  func(*Change)
	n      int
	change Change // what it tells
	reader changeReader
	// ahead are slots that the processor fetches while those before them are told of, noted is how
	// many were noted in all: most slots were last written by another processor.
	ahead [drainAhead]markedSlot
	noted int
}

// drainAhead is how many slots are fetched at a time. It is a power of 2.
const drainAhead = 16

// A markedSlot is a slot whose key has changed, and where it is.
type markedSlot struct {
	t     *table
	s     *slot
	shard uint16
}

func (d *drain) tell(c *Change) {
	d.n++
	d.visit(c)
}

// table tells of the slots of a table that are marked.
func (d *drain) table(t *table, shard uint16) {
	m := t.marks.Load()
	if m == nil || !m.some.Load() || !m.some.Swap(false) {
		return
	}
	for i := range m.bits {
		if m.bits[i].Load() == 0 {
			continue
		}
		for set := m.bits[i].Swap(0); set != 0; set &= set - 1 {
			d.note(markedSlot{t, t.slotMarked(uint64(i)*64 + uint64(bits.TrailingZeros64(set))), shard})
		}
	}
}

// note has a slot fetched, and tells of the one that was noted drainAhead slots before.
func (d *drain) note(m markedSlot) {
	place := &d.ahead[d.noted%drainAhead]
	if d.noted >= drainAhead {
		d.slot(place)
	}
	prefetch(uintptr(unsafe.Pointer(m.s)))
	*place = m
	d.noted++
}

// rest tells of the slots that were noted last.
func (d *drain) rest() {
	for i := max(d.noted-drainAhead, 0); i < d.noted; i++ {
		d.slot(&d.ahead[i%drainAhead])
	}
	clear(d.ahead[:])
	d.noted = 0
}

// slot tells of the key of a slot. If that is closed, the state is where the key is now.
func (d *drain) slot(m *markedSlot) {
	st := m.s.state.Load()
	if st >= 0 {
		d.state(m.s, st)
		return
	}
	p := probeOf(m.s, m.s.meta.Load(), m.t.class)
	p.shard = m.shard
	d.find(&p, m.t)
}

// state tells of the state of a slot, which is not negative.
func (d *drain) state(s *slot, st int64) {
	d.reader.read(d.sp, s, st, true, &d.change)
	d.tell(&d.change)
}

// find looks for a key in a table and those behind it, and tells of it. A state that is on its
// way to the next table is brought there first: else it could be seen in neither.
func (d *drain) find(p *probe, t *table) {
	for t != nil {
		s, st, what := t.seek(p, false)
		if what == found && st >= 0 {
			d.state(s, st)
			return
		}
		if what == absent {
			break
		}
		if what == found {
			d.sp.hand(t, s, s.meta.Load(), carried(st), p.shard)
		}
		t = t.next.Load()
	}
	key := p.key
	if p.from != nil {
		key = keyOf(p.from, p.meta)
	}
	d.change = Change{Key: key}
	d.tell(&d.change)
}

// Dump tells the state of keys that are not idle, from cursor on, and returns the cursor to
// go on from, or 0 at the end; it keeps what Scan keeps. While changes are noted, what it
// tells of a key is what the key was some time before, and whatever has changed since is told
// by Drain. visit gets the same Change each time.
func (s *Store) Dump(cursor uint64, count int, now int64, visit func(*Change)) uint64 {
	sp := s.space.Load()
	var reader changeReader
	var c Change
	return sp.walk(cursor, count, now, func(_ *table, slot *slot, st int64) {
		if at, ok := sp.idleAt(slot, st); !ok || at <= now*1000 {
			return
		}
		if reader.read(sp, slot, st, false, &c); c.Algorithm != 0 {
			visit(&c)
		}
	})
}

// A changeReader reads states, with room for what it reads.
type changeReader struct {
	key     []byte
	words   []uint64
	entries []LogEntry
}

// read reads the state of a slot whose state word is st, which is not negative.
// following is as in shape.
func (r *changeReader) read(sp *space, s *slot, st int64, following bool, c *Change) {
	meta := s.meta.Load()
	r.key = appendKey(r.key[:0], s, meta)
	*c = Change{Key: unsafe.String(unsafe.SliceData(r.key), len(r.key))}
	if !held(st) {
		return
	}
	if a := Algorithm(meta & metaKind); a.shape().read(sp, st, r, following, c) {
		c.Algorithm = a
	}
}
