package engine

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// The state of a sliding_window_log: which units were admitted, and when.
//
// A ring is one piece of memory without pointers: a head, and n words of entries. The
// entries stand in the order of time, one behind the other and round again. Between the
// newest and the oldest stands the gap: a word that is blank, or an entry that has left.
// A caller that admits puts its entry into the gap by compare-and-swap from the word they saw
// there, and that is the admission: one step, all of the cost or nothing. The word behind
// becomes the gap, so it must be blank or have left by then; otherwise the ring is full.
//
// No position is ever reserved and filled later, and nothing else of the ring changes but
// the gap. So what was read of a ring between two readings of the gap that agree was there
// at one instant, and a swap that succeeds was made on what the step saw. A word does not
// come back at its place: a later entry there is at least a period, so a millisecond,
// younger.
//
// A ring that is full, too large, of a log whose period changes, too old for its base, or
// that has units to cut or to give back is sealed: the gap is swapped to a word that says so,
// after which nothing in the ring ever changes. The next ring is made from it by the first
// caller that needs one, and put into the cell in its place (log_cells.go).
//
// A word is
//
//	| at: microseconds since the ring's base, 45 bits | units so far, modulo 2^19 |
//
// 2^45 µs is 407 days, more than the longest period. The count is cumulative, so that the
// units between two entries are one subtraction and a search for a number of units is
// binary. Only entries that have not left are counted, and they have fewer than 2^19 units
// (unitsKept). A blank is 0, which no entry is: the units of the first instant are fewer than
// 2^19. A seal has all bits of at set and keeps the count of the entry whose place it took.
type ring struct {
	ref    int64  // the state word of the slot that the ring belongs to
	base   int64  // µs since the Unix epoch
	period int64  // ns, the log's: idle when the newest is that old
	n      uint32 // words
	// end and oldest are hints, and checked when they are used: places where the gap and the
	// oldest entry that counts were not long ago.
	end    atomic.Uint32
	oldest atomic.Uint32
	// told says how much the followers of changes have been told: all entries of less than
	// told·toldMicros after the base. Only they raise it.
	told atomic.Uint32
}

// toldMicros makes what a ring can span fit in told, and has a few entries told twice.
const toldMicros = 1 << 14

const (
	ringHead     = int(unsafe.Sizeof(ring{}) / 8)
	ringSlotsMin = 3
	// firstRingBytes is what a new log takes.
	firstRingBytes = int64(ringHead+ringSlotsMin) * 8

	logUnitsBits = 19
	logUnitsMask = 1<<logUnitsBits - 1
	logSeal      = math.MaxUint64 &^ logUnitsMask
	logAtMax     = logSeal>>logUnitsBits - 1 // µs
)

// newRing makes a ring of n words, blank but for the head.
func newRing(ref, base, period int64, n int) *ring {
	r := (*ring)(unsafe.Pointer(&make([]uint64, ringHead+n)[0]))
	r.ref, r.base, r.period, r.n = ref, base, period, uint32(n)
	return r
}

// ringBytes is the memory that a ring of n words takes.
func (r *ring) bytes() int64 { return int64(ringHead+int(r.n)) * 8 }

// word is the word at place i, 0 … n−1.
func (r *ring) word(i uint32) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Add(unsafe.Pointer(r), (ringHead+int(i))*8))
}

// after is the place behind place i.
func (r *ring) after(i uint32) uint32 {
	if i++; i == r.n {
		return 0
	}
	return i
}

// A logView is a ring as it was at one instant: when gap was read. Entry i, 0 … size−1, is
// counted from the oldest place on; blank places come first and are older than everything.
// What it returns of entries holds if the gap is still the same afterwards.
type logView struct {
	*ring
	gapAt  uint32
	gap    uint64
	newest uint64
}

// before is the place before place i.
func (r *ring) before(i uint32) uint32 {
	if i == 0 {
		i = r.n
	}
	return i - 1
}

// view finds the gap. The word before it is read first: that it is an entry and the gap
// not a younger one says that the gap was there when it was read. A seal says nothing of
// the word before it, which may have been read a round ago, but after it nothing changes.
func (r *ring) view() logView {
	i := r.end.Load()
	newest := r.word(r.before(i)).Load()
	if newest >= logSeal { // the hint is late: it is a place behind
		return r.sealedAt(r.before(i))
	}
	for {
		w := r.word(i).Load()
		if w >= logSeal {
			return r.sealedAt(i)
		}
		if w == 0 || w>>logUnitsBits < newest>>logUnitsBits {
			return logView{ring: r, gapAt: i, gap: w, newest: newest}
		}
		newest, i = w, r.after(i)
	}
}

// sealedAt is the view of a ring whose seal is at place i.
func (r *ring) sealedAt(i uint32) logView {
	return logView{ring: r, gapAt: i, gap: r.word(i).Load(), newest: r.word(r.before(i)).Load()}
}

// size is how many entries there is room for.
func (v *logView) size() int { return int(v.n) - 1 }

// holds says whether the ring is still as it was seen.
func (v *logView) holds() bool { return v.word(v.gapAt).Load() == v.gap }

func (v *logView) sealed() bool { return v.gap >= logSeal }

// entry is the word of entry i, −1 … size−1; −1 is the one that left last.
func (v *logView) entry(i int) uint64 {
	switch {
	case i < 0:
		return v.gap
	case i == v.size()-1:
		return v.newest
	}
	at := uint64(v.gapAt) + 1 + uint64(i)
	if at >= uint64(v.n) {
		at -= uint64(v.n)
	}
	return v.word(uint32(at)).Load()
}

// at is the instant (µs) of entry i, 0 … size−1; that of a blank is before all.
func (v *logView) at(i int) int64 {
	w := v.entry(i)
	if w == 0 {
		return math.MinInt64
	}
	return v.base + int64(w>>logUnitsBits)
}

// units is how many units entries from … to were admitted for.
func (v *logView) units(from, to int) int64 {
	return int64((v.entry(to) - v.entry(from-1)) & logUnitsMask)
}

// unitsFrom is how many units entries from … were admitted for.
func (v *logView) unitsFrom(from int) int64 {
	return int64((v.newest - v.entry(from-1)) & logUnitsMask)
}

// idleAt is the instant (ns) at which the newest unit has left.
func (v *logView) idleAt() int64 { return v.newestAt()*1000 + v.period }

// newestAt is the instant (µs) of the newest entry.
func (v *logView) newestAt() int64 { return v.base + int64(v.newest>>logUnitsBits) }

// firstAfter is the first entry that is younger than instant (µs), or size. It goes from
// where the oldest was when last a unit was admitted, most often not far.
func (v *logView) firstAfter(instant int64) int {
	low := int(v.oldest.Load()) - int(v.gapAt) - 1
	if low < 0 {
		low += int(v.n)
	}
	if low >= v.size() || low > 0 && v.at(low-1) > instant {
		low = 0 // the hint is from an earlier round
	}
	high, step := low, 1
	for high < v.size() && v.at(high) <= instant {
		low = high + 1
		high += step
		step *= 2
	}
	if high = min(high, v.size()); low < high {
		low = v.firstBetween(low, high, instant)
	}
	return low
}

// firstFrom is the first entry from entry from on that is younger than instant (µs), or size.
func (v *logView) firstFrom(from int, instant int64) int {
	if v.newestAt() <= instant {
		return v.size()
	}
	return v.firstBetween(from, v.size()-1, instant)
}

// firstBetween is the first entry of low … high−1 that is younger than instant (µs), or high.
func (v *logView) firstBetween(low, high int, instant int64) int {
	for low < high {
		mid := int(uint(low+high) / 2)
		if v.at(mid) <= instant {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// behind is the first entry, of those from entry from on, behind which there are at most so many
// units. So it holds the unit that comes next when these are counted from the newest on.
func (v *logView) behind(from int, units int64) int {
	if v.unitsFrom(from+1) <= units {
		return from // most often: one unit, and the oldest stands in its way
	}
	low, high := from+1, v.size()-1
	for low < high {
		mid := int(uint(low+high) / 2)
		if v.unitsFrom(mid+1) <= units {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// fits says whether the units of a change can be logged in this ring, for a period.
func (v *logView) fits(c logChange, period int64) bool {
	live := v.size() - c.first
	switch {
	case v.sealed(), c.at-v.base > logAtMax:
		return false
	case v.period < period, v.period > period && live == 0:
		return false // the log's period changes
	case c.first == 0 && v.entry(0) != 0:
		return false // full: the place behind the gap is still needed
	}
	return int(v.n) <= ringSlotsMin+1 || int(v.n) <= ringSparse*(live+1)
}

// ringSparse is how many times larger than its live entries a ring may be.
const ringSparse = 5

// append logs the units of a change that fits, and says whether it did.
func (v *logView) append(c logChange) bool {
	w := uint64(c.at-v.base)<<logUnitsBits | (v.newest+uint64(c.units))&logUnitsMask
	if !v.word(v.gapAt).CompareAndSwap(v.gap, w) {
		return false
	}
	v.end.Store(v.after(v.gapAt))
	v.oldest.Store(uint32((uint64(v.gapAt) + 1 + uint64(c.first)) % uint64(v.n)))
	return true
}

// seal closes the ring as it was seen, and says whether it is.
func (v *logView) seal() bool {
	if v.sealed() {
		return true
	}
	sealed := logSeal | v.gap&logUnitsMask
	if !v.word(v.gapAt).CompareAndSwap(v.gap, sealed) {
		return false
	}
	v.gap = sealed
	return true
}

// kept makes a ring of the rest of a sealed one, with room for more. at is the instant of the
// change that is written. Only this caller has the ring.
func (v *logView) kept(rest logRest, at int64, l *Limit) *ring {
	live := rest.last - rest.first + 1
	base := at
	if live > 0 {
		base = v.at(rest.first)
	}
	n := ringSize(live+1, l.limit)
	if rest.back > 0 {
		n = min(n, int(v.n)) // giving back must not need more memory
	}
	to := newRing(v.ref, base, rest.period, n)
	for i := range live {
		at := uint64(v.at(rest.first+i) - base)
		count := rest.units + min(rest.back-v.unitsFrom(rest.first+i+1), 0)
		to.word(uint32(i)).Store(at<<logUnitsBits | uint64(count))
	}
	to.end.Store(uint32(live))
	if rest.period == v.period && !rest.cut {
		to.told.Store(v.toldAfter(base, to))
	}
	// Else all is told again: the oldest entries are not what they were, or a late reader, for
	// which the log was idle by the period that it had, has dropped what was told of it.
	return to
}

// toldAfter is what of a ring that is made from this one, with the base, has been told: no
// more than its newest entry, for what was behind that is no longer so.
func (v *logView) toldAfter(base int64, to *ring) uint32 {
	told, end := v.told.Load(), to.end.Load()
	if told == 0 || end == 0 {
		return 0
	}
	until := min(v.base+int64(told)*toldMicros, base+int64(to.word(end-1).Load()>>logUnitsBits))
	return uint32(max(until-base, 0) / toldMicros)
}

// push logs the change's units in a ring that only this caller has and that has room.
func (r *ring) push(c logChange) {
	end, count := r.end.Load(), uint64(0)
	if end > 0 {
		count = r.word(end - 1).Load()
	}
	r.word(end).Store(uint64(c.at-r.base)<<logUnitsBits | (count+uint64(c.units))&logUnitsMask)
	r.end.Store(end + 1)
}

// ringSize is how many words a ring for so many live entries gets: half as much again and
// the gap, but no more than a log of this limit can need if no other one writes to it.
func ringSize(live int, limit int64) int {
	most := limit
	if int64(live) > limit {
		most = logUnitsMask
	}
	return max(min(live+live/2+1, int(most)+1), live+1, ringSlotsMin)
}

// firstRing makes a ring with one entry.
func firstRing(ref int64, c logChange, l *Limit) *ring {
	r := newRing(ref, c.at, l.period, ringSlotsMin)
	r.push(c)
	return r
}
