package engine

import (
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// auditCells looks at a store at which nobody works: every cell that was made is free or
// is some slot's, once, with a ring that knows so; and the bytes are those that there are.
func auditCells(t *testing.T, s *Store) {
	t.Helper()
	c := &s.space.Load().logs
	owner, bytes := map[uint32]string{}, int64(0)
	own := func(number uint32, by string) {
		if owner[number] != "" || number == 0 || number > c.made.Load() {
			t.Errorf("cell %d of %d is %s and %s", number, c.made.Load(), owner[number], by)
		}
		owner[number] = by
	}
	for number := uint32(c.free.Load()); number != 0 && owner[number] != "free"; number = c.cell(number).next.Load() {
		own(number, "free")
		if c.cell(number).ring.Load() != nil {
			t.Errorf("cell %d is free and has a ring", number)
		}
	}
	eachHeld(s, func(_ *table, slot *slot, st int64) {
		if slot.kind().Shape() == ShapeWord {
			return
		}
		own(uint32(st), "a slot's")
		if r := c.of(st).ring.Load(); r != nil {
			bytes += r.bytes() + cellBytes
			if r.ref != st {
				t.Errorf("slot of %x has the ring of %x", st, r.ref)
			}
		}
	})
	if len(owner) != int(c.made.Load()) {
		t.Errorf("%d cells were made, and %d are somebody's", c.made.Load(), len(owner))
	}
	if got := s.Stats().LogBytes; got != bytes {
		t.Errorf("%d bytes of logs are counted as %d", bytes, got)
	}
}

// Cells taken and given back by many at once: none is two callers' at a time, and no
// reference comes twice, though cells do (invariant 9).
func TestCells(t *testing.T) {
	collide(t)
	const turns, most = 20_000, 8
	var c logCells
	var owners, before [workers*most + 1]atomic.Int32 // the worker that has each cell, and the one that had it, plus one
	var changed atomic.Int64
	var all [workers][]int64
	turn := func(worker int) {
		var mine []int64
		giveBack := func(at int) {
			owners[uint32(mine[at])].Store(0)
			c.giveBack(mine[at])
			mine = slices.Delete(mine, at, at+1)
		}
		for i := range turns {
			if len(mine) == most || len(mine) > 0 && i%3 == 0 {
				giveBack(i * 7 % len(mine))
				continue
			}
			ref := c.alloc()
			number := uint32(ref)
			if number > workers*most {
				t.Errorf("cell %d, though only %d can be taken at a time", number, workers*most)
				return
			}
			if owners[number].Swap(int32(worker)+1) != 0 {
				t.Errorf("cell %d is two callers'", number)
			}
			if had := before[number].Swap(int32(worker) + 1); had != 0 && had != int32(worker)+1 {
				changed.Add(1)
			}
			mine, all[worker] = append(mine, ref), append(all[worker], ref)
		}
		for len(mine) > 0 {
			giveBack(0)
		}
	}
	for range rounds(t, 3, func() bool { return changed.Load() >= 100 }) {
		together(workers, turn)
	}
	refs := slices.Concat(all[:]...)
	slices.Sort(refs)
	if unique := slices.Compact(slices.Clone(refs)); len(unique) != len(refs) || refs[0] <= 0 {
		t.Errorf("%d references, %d different", len(refs), len(unique))
	}
	free := 0
	for number := uint32(c.free.Load()); number != 0 && free <= workers*most; number = c.cell(number).next.Load() {
		free++
	}
	if free != int(c.made.Load()) {
		t.Errorf("%d cells were made and %d are free", c.made.Load(), free)
	}
}

// A reference to a log that is gone finds nothing: not when its cell is empty, nor when
// another log's ring hangs there, nor after the log has taken over a cell of its own.
func TestStaleReference(t *testing.T) {
	var c logCells
	l := mustLimit(5, time.Second, 0)
	one := c.alloc()
	if c.load(one) != nil {
		t.Error("an empty cell has a log")
	}
	r := firstRing(one, logChange{at: noon, units: 1}, &l)
	c.put(r)
	if c.load(one) != r {
		t.Error("a log is not found")
	}
	v := r.view()
	if !v.seal() || !c.swap(r, nil) || c.swap(r, nil) || c.load(one) != nil {
		t.Error("a log ends once")
	}
	c.giveBack(one)
	two := c.alloc()
	if uint32(two) != uint32(one) || two == one {
		t.Fatalf("references %x and %x: this run proves nothing", one, two)
	}
	hung := firstRing(two, logChange{at: noon, units: 1}, &l)
	c.put(hung)
	if c.load(one) != nil || c.load(two) != hung {
		t.Error("a stale reference finds another's log")
	}
	if c.swap(r, firstRing(one, logChange{at: noon, units: 1}, &l)) || c.load(two) != hung {
		t.Error("what follows a log that is gone took another's place")
	}
	if want := hung.bytes() + cellBytes; c.bytes.Load() != want {
		t.Errorf("%d bytes, want %d", c.bytes.Load(), want)
	}
}

// Every number has a cell of its own, in chunks that double.
func TestCellNumbers(t *testing.T) {
	var c logCells
	seen := map[*logCell]bool{}
	for number := uint32(1); number <= 1<<10; number++ {
		if ref := c.alloc(); uint32(ref) != number || ref>>32 != 1 {
			t.Fatalf("take gives %x, want cell %d the first time", ref, number)
		}
		cell := c.cell(number)
		if seen[cell] {
			t.Fatalf("cell %d is another's too", number)
		}
		seen[cell] = true
	}
}

// A reference is a state for as long as it can be: positive, and neither 0 nor idle,
// also when the count of the times starts over.
func TestReferencesAreStates(t *testing.T) {
	var c logCells
	ref := c.alloc()
	for _, times := range []uint32{0, 1, 1<<refTimesBits - 2, 1<<refTimesBits - 1, 1 << refTimesBits, math.MaxUint32 - 1, math.MaxUint32} {
		c.giveBack(ref)
		c.of(ref).given.Store(times)
		if ref = c.alloc(); !held(ref) || carried(ref|stateSign) != ref {
			t.Errorf("%d times: %x is no state", times, ref)
		}
	}
}
