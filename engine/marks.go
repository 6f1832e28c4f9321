package engine

import (
	"sync/atomic"
	"unsafe"
)

// A follower of changes (to disk, to replicas) needs to know which keys have changed since it
// looked. Each table has a bit for each of its slots beside it. A caller that has changed
// a key's state sets the slot's bit, unless it is set, as it mostly is for a busy key. The
// follower clears the bits and then reads the states. So a key that has changed a million
// times is read once, and what is not read yet takes no memory, however long that lasts.
//
// No change is missed. The bit is set after the change and cleared before the state is read, so a
// state that is read too early has its bit set after that. A slot that moves to another table takes
// its bit along: its mover looks at the bit when the slot is closed, and the
// caller that changed it looks, when the bit is set, whether the slot is closed by then. One of
// them sees the other; then the key is noted in the new table, or as an orphan, by name.
type marks struct {
	// some is whether bits may be set, so that tables in which nothing changes need not be
	// looked through. It is set after a bit and taken away before the bits.
	some atomic.Bool
	bits []atomic.Uint64
}

// markBytes of a table share a bit. No slot is smaller, so no two slots share one.
const markBytes = uintptr(slotBytes)

// An orphan is a key that has changed and whose slot cannot say so.
type orphan struct {
	key  string
	next *orphan
}

// marked is the table's marks, which are made for the first key that changes in it.
func (t *table) marked() *marks {
	if m := t.marks.Load(); m != nil {
		return m
	}
	n := (uintptr(len(t.words))*8 + markBytes - 1) / markBytes
	m := &marks{bits: make([]atomic.Uint64, (n+63)/64)}
	if t.marks.CompareAndSwap(nil, m) {
		return m
	}
	return t.marked()
}

// markOf is the number of a slot's bit.
func (t *table) markOf(s *slot) uintptr {
	return (uintptr(unsafe.Pointer(s)) - uintptr(unsafe.Pointer(unsafe.SliceData(t.words)))) / markBytes
}

// slotMarked is the slot with a bit's number.
func (t *table) slotMarked(bit uint64) *slot {
	bytes := t.stride * 8
	return t.slot((bit*uint64(markBytes) + bytes - 1) / bytes)
}

// set sets a bit.
func (m *marks) set(bit uintptr) {
	word, mask := &m.bits[bit/64], uint64(1)<<(bit%64)
	if word.Load()&mask == 0 {
		word.Or(mask)
	}
	if !m.some.Load() {
		m.some.Store(true)
	}
}

func (m *marks) has(bit uintptr) bool { return m.bits[bit/64].Load()>>(bit%64)&1 != 0 }

// mark notes that the key of a slot has changed, if changes are followed. It comes after
// the change, and before the caller is told of it.
func (sp *space) mark(t *table, s *slot) {
	if !sp.tracking.Load() {
		return
	}
	t.marked().set(t.markOf(s))
	if s.state.Load() < 0 { // its mover may have looked at the bit before
		sp.orphan(s)
	}
}

// carryMark is for the mover of a slot, after it is closed: to is where its key is now, if it
// has a state.
func (sp *space) carryMark(t *table, s *slot, next *table, to *slot) {
	m := t.marks.Load()
	if m == nil || !m.has(t.markOf(s)) {
		return
	}
	// The bit stays, for others that move the slot at the same time: only a mover that has
	// seen to it may say that the table is moved.
	if to == nil {
		sp.orphan(s)
	} else {
		sp.mark(next, to)
	}
}

// orphan notes by name that the key of a slot has changed.
func (sp *space) orphan(s *slot) {
	o := &orphan{key: keyOf(s, s.meta.Load())}
	for {
		o.next = sp.orphans.Load()
		if sp.orphans.CompareAndSwap(o.next, o) {
			return
		}
	}
}

// track begins or ends marking changes. A mark that is set late, by a call that was under
// way at the end, is told should it begin again, and does no harm.
func (sp *space) track(on bool) {
	sp.tracking.Store(on)
	if on {
		return
	}
	sp.orphans.Store(nil)
	sp.each(func(_ uint16, t *table) { t.marks.Store(nil) })
}
