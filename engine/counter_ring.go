package engine

import (
	"math"
	"sort"
	"sync/atomic"
)

// The state of a sliding_window_counter: how many units were admitted in each slice of its period.
//
// It is a ring, as a log's is (log_ring.go): one piece of memory without pointers, in a cell of its own.
// Its first word is the head. It says which slice is the newest, how many units were admitted so far, and
// at which of the places, the words behind it, the newest slice is noted when it is over. A place holds a
// slice and how many units were admitted until its end. Places are used one behind the other and round
// again. Behind the one that the head names there is one that nobody needs but for its count, as its
// slice has left, and then come the slices that are over, oldest first:
//
//	head         | sealed: 1 | place: 7 | slice − base: 26 | units so far, modulo 2^30 |
//	each place   | slice − base + 1: 34 | units so far, modulo 2^30 |       0: blank
//
// The head is what an admission swaps: one step, all of the cost or nothing. In the newest slice that is
// all. The first admission in a later slice notes the newest at its place before, and its swap moves the
// head on to the later slice and the next place. For that the slice two places on must have left; else
// the ring is full.
//
// The head never returns to a value. Its slice does not fall; within a slice the units rise, by no more
// than UnitsMax, which is less than 2^30. Whoever swaps it has therefore seen the ring as it is.
//
// A place is written in several steps, by callers that have seen the head with more and more units. Each
// looks at the head again once it has read the place: if that is as it was, what stands there is older
// than what the caller has seen, and it may swap it. A caller that comes late fails, as the place never
// returns to a value either. So the place has the last count of its slice when the head moves on, and is
// not written again before the head has been round all others. Nobody reads it until then. So what was
// read between two readings of the head that name the same place and slice was there at the instant of
// the first one, however many units were admitted meanwhile.
//
// A ring that is full, too large, of a counter whose period changes, too old for its base, or that has
// units to cut or to give back is sealed, by a bit of its head, after which nothing counts that is
// written there; and the next ring is made from it, as with logs. Of a counter's ring, base is a slice,
// period is in µs, and told is in slices: those of less than told after the base have been told whole.
const (
	counterUnitsBits  = 30
	counterUnitsMask  = 1<<counterUnitsBits - 1
	counterSliceMask  = 1<<26 - 1
	counterPlaceShift = 56
	counterPlaceMask  = 1<<7 - 1
	counterSeal       = 1 << 63
	// A counter has at most 64 slices that are over and count, the one before them, and the place that
	// is written next.
	counterPlacesMin = 2
	counterPlacesMax = CounterSlices + 2
	// firstCounterBytes is what a new counter takes.
	firstCounterBytes = int64(ringHead+1+counterPlacesMin) * 8
)

// A counterView is a ring as it was at one instant: when head was read. Its entries are slices, −1 …
// last, where last is the newest and −1 one that has left. Blank ones come first and are older than
// everything.
type counterView struct {
	*ring
	head uint64
}

func (r *ring) counter() counterView { return counterView{r, r.word(0).Load()} }

// place is place i, 0 … places−1.
func (v *counterView) place(i uint32) *atomic.Uint64 { return v.word(i + 1) }

func (v *counterView) places() uint32 { return v.n - 1 }

// placeNext is the number of the place that is written next.
func (v *counterView) placeNext() uint32 { return uint32(v.head>>counterPlaceShift) & counterPlaceMask }

func (v *counterView) last() int { return int(v.n) - 3 }

func (v *counterView) sealed() bool { return v.head&counterSeal != 0 }

// newest is the newest slice.
func (v *counterView) newest() int64 {
	return v.base + int64(v.head>>counterUnitsBits&counterSliceMask)
}

// noted is what a place will say of the newest slice.
func (v *counterView) noted() uint64 {
	return v.head&(counterSliceMask<<counterUnitsBits|counterUnitsMask) + 1<<counterUnitsBits
}

// holds says whether what was read of the ring was there when the head was read.
func (v *counterView) holds() bool {
	const moves = counterPlaceMask<<counterPlaceShift | counterSliceMask<<counterUnitsBits
	return (v.word(0).Load()^v.head)&moves == 0
}

// entry is the word of entry i.
func (v *counterView) entry(i int) uint64 {
	if i == v.last() {
		return v.noted()
	}
	at := v.placeNext() + 2 + uint32(i)
	if at >= v.places() {
		at -= v.places()
	}
	return v.place(at).Load()
}

// slice is the slice of entry i, 0 … last; that of a blank is before all.
func (v *counterView) slice(i int) int64 {
	w := v.entry(i)
	if w == 0 {
		return math.MinInt64
	}
	return v.base + int64(w>>counterUnitsBits) - 1
}

// units is how many units were admitted in the slice of entry i, 0 … last.
func (v *counterView) units(i int) int64 {
	return int64((v.entry(i) - v.entry(i-1)) & counterUnitsMask)
}

// unitsFrom is how many units were admitted in the slices from entry i on, 0 … last + 1.
func (v *counterView) unitsFrom(i int) int64 {
	return int64((v.head - v.entry(i-1)) & counterUnitsMask)
}

// firstFrom is the first entry of a slice or a later one, or last + 1. It begins where the oldest entry
// that counts was when last a unit was admitted, which most often is the one.
func (v *counterView) firstFrom(slice int64) int {
	low := int(v.oldest.Load()) - int(v.placeNext()) - 2
	if low < 0 {
		low += int(v.places())
	}
	if low < 0 || low > v.last() || low > 0 && v.slice(low-1) >= slice {
		low = 0 // the hint is from an earlier round
	}
	if low <= v.last() && v.slice(low) >= slice {
		return low
	}
	return low + sort.Search(v.last()+1-low, func(i int) bool { return v.slice(low+i) >= slice })
}

// behind is the first entry, of those from entry from on, behind which there are at most so many units.
func (v *counterView) behind(from int, units int64) int {
	return from + sort.Search(v.last()-from, func(i int) bool { return v.unitsFrom(from+i+1) <= units })
}

// newestFor is the slice of another period (µs) that the newest slice is taken to.
func (v *counterView) newestFor(period int64) int64 {
	return sliceOf(sliceLast(v.newest(), v.period), period)
}

// leaves is the instant (µs) from which on a slice does not count any more, where it does for so many
// slices behind it.
func (v *counterView) leaves(slice, span int64) int64 { return sliceStart(slice+span+1, v.period) }

// idleAt is the instant (ns) at which the newest slice has left.
func (v *counterView) idleAt() int64 { return v.leaves(v.newest(), CounterSlices) * 1000 }

// fits says whether the units of a change can be counted in this ring, for a period (µs).
func (v *counterView) fits(c logChange, period int64) bool {
	live := v.last() + 1 - c.first
	switch {
	case v.sealed(), v.period < period, v.period > period && live == 0:
		return false
	case c.at == v.newest():
		return true
	case c.at-v.base > counterSliceMask:
		return false
	case c.first == 0 && v.entry(0) != 0:
		return false // full
	}
	return v.places() <= 2*counterPlacesMin || int(v.places()) <= ringSparse*(live+1)
}

// append counts the units of a change that fits, and says whether it did.
func (v *counterView) append(c logChange) bool {
	next := v.head&^counterUnitsMask | (v.head+uint64(c.units))&counterUnitsMask
	if c.at != v.newest() {
		i := v.placeNext()
		if noted, was := v.noted(), v.place(i).Load(); was != noted {
			if v.word(0).Load() != v.head || !v.place(i).CompareAndSwap(was, noted) {
				return false
			}
		}
		if i++; i == v.places() {
			i = 0
		}
		next = uint64(i)<<counterPlaceShift | uint64(c.at-v.base)<<counterUnitsBits | next&counterUnitsMask
	}
	if !v.word(0).CompareAndSwap(v.head, next) {
		return false
	}
	if oldest := uint32((int(v.placeNext()) + 2 + c.first) % int(v.places())); v.oldest.Load() != oldest {
		v.oldest.Store(oldest)
	}
	return true
}

// seal closes the ring as it was seen, and says whether it is.
func (v *counterView) seal() bool {
	if v.sealed() {
		return true
	}
	if !v.word(0).CompareAndSwap(v.head, v.head|counterSeal) {
		return false
	}
	v.head |= counterSeal
	return true
}
