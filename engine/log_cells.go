package engine

import (
	"math/bits"
	"sync/atomic"
)

// A log does not fit in its slot's state word, so the word is a reference to a cell where
// the log's ring is. Cells are the only pointers that grow in number with the keys: one
// for each log, to memory that has none itself.
//
// A reference is the cell's number with the number of times the cell was given out, so
// that no two logs ever have the same one, and each ring knows the reference that it
// belongs to. A caller that finds another log's ring in the cell knows that its own is
// gone.
//
// A log's life ends in steps that anyone can finish: its ring is sealed, the cell is
// swapped from the ring to nil, which is the end; the slot's state is swapped from the
// reference to what follows, and the caller that succeeds gives the cell back.
type logCells struct {
	// Chunk i holds the cells whose numbers have bit length i.
	chunks [cellChunks]atomic.Pointer[[]logCell]
	made   atomic.Uint32 // cells ever made
	// free is the first cell to give out again, with a count in its upper half that rises
	// with each change, so that a stale swap fails.
	free atomic.Uint64
	// bytes is what rings take, with their cells. Free cells are not counted: they are not given back
	// to the system, so to drop keys for them would be in vain. They are less than a tenth of what
	// their logs took.
	bytes atomic.Int64
}

type logCell struct {
	ring  atomic.Pointer[ring]
	next  atomic.Uint32 // the free cell after this one
	given atomic.Uint32
}

const (
	cellChunks = 32
	cellBytes  = 16
	// refTimesBits bounds how often a cell is counted to be given out before it starts
	// over; a caller would have to sleep through as many to mistake one log for another.
	refTimesBits = 30
)

func (c *logCells) cell(number uint32) *logCell {
	at := bits.Len32(number)
	return &(*c.chunks[at].Load())[number-1<<(at-1)]
}

// of is the cell that a state word refers to.
func (c *logCells) of(ref int64) *logCell { return c.cell(uint32(ref)) }

// load is the ring of the log that a state word refers to, or nil when that log is gone.
func (c *logCells) load(ref int64) *ring {
	if r := c.of(ref).ring.Load(); r != nil && r.ref == ref {
		return r
	}
	return nil
}

// alloc gives out a cell: the reference to it.
func (c *logCells) alloc() int64 {
	for {
		head := c.free.Load()
		number := uint32(head)
		if number == 0 {
			number = c.made.Add(1)
			c.grow(number)
			return c.refer(number)
		}
		after := (head>>32+1)<<32 | uint64(c.cell(number).next.Load())
		if c.free.CompareAndSwap(head, after) {
			return c.refer(number)
		}
	}
}

func (c *logCells) refer(number uint32) int64 {
	times := c.cell(number).given.Add(1) & (1<<refTimesBits - 1)
	return int64(times)<<32 | int64(number)
}

// giveBack frees a cell. Only the caller that got it, or that swapped its reference out of a slot,
// may.
func (c *logCells) giveBack(ref int64) {
	number := uint32(ref)
	for {
		head := c.free.Load()
		c.cell(number).next.Store(uint32(head))
		if c.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(number)) {
			return
		}
	}
}

// grow makes the chunk of a cell.
func (c *logCells) grow(number uint32) {
	at := bits.Len32(number)
	if c.chunks[at].Load() != nil {
		return
	}
	chunk := make([]logCell, 1<<(at-1))
	c.chunks[at].CompareAndSwap(nil, &chunk)
}

// put puts the first ring into a new cell.
func (c *logCells) put(r *ring) {
	c.of(r.ref).ring.Store(r)
	c.bytes.Add(r.bytes() + cellBytes)
}

// swap puts a ring in the place of a sealed one; nil ends the log.
func (c *logCells) swap(old, r *ring) bool {
	if !c.of(old.ref).ring.CompareAndSwap(old, r) {
		return false
	}
	change := -old.bytes()
	if r != nil {
		change += r.bytes()
	} else {
		change -= cellBytes
	}
	c.bytes.Add(change)
	return true
}
