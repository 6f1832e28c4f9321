package engine

// The state of a sliding_window_log: which units were admitted, and when.
//
// A logState is an immutable value: entries start … end−1, oldest first. What makes it
// cheap is that successive states share one backing array of slots. The array is linear
// and append-only: a slot is given one value and never another, so any number of states
// can look at it. The newest entry of a state is not in the array yet but in the state
// itself (last); whoever wants to append after it first puts it where it belongs. Any
// number of callers may do that at once, because all of them store the same value:
//
//	state n      slots[..end-1], last            published by compare-and-swap
//	append:      slots[end-1] ← last             same value from everyone
//	             state n+1 = {.., end+1, last'}  published by compare-and-swap, or dropped
//
// So a slot inside a published state holds its final value before that state is
// published, no position is ever reserved and filled later, and a caller that stalls in
// the middle holds nobody up: what it may still store, others have stored already.
//
// An array that is full, or too old, is left behind: the live entries are copied to a new
// one a quarter larger than they need. A quarter of the live entries is appended between
// two copies, so appending is O(1) amortised, and the array shrinks when traffic falls.
// ABA does no harm: states are compared by address, and the garbage collector does not
// give an address away while a caller still holds it.
//
// A slot is one word of 64 bits:
//
//	| at: microseconds since the array's base, 45 bits | units so far, modulo 2^19 |
//
// 2^45 µs is 407 days, more than the longest period. The count is cumulative, so that the
// units between two entries are one subtraction and a search for a number of units is
// binary; such a difference is at most LogLimitMax < 2^19.
type logState struct {
	slots *logSlots
	// Invariant: 0 ≤ start < end ≤ len(slots.words): a published log is never empty.
	start, end int
	last       uint64 // the word of entry end−1
	// period (ns) of the call that wrote this state: the key is at rest when the newest
	// entry is that old.
	period int64
}

const (
	logUnitsBits = 19
	logUnitsMask = 1<<logUnitsBits - 1
	logAtMax     = 1<<(64-logUnitsBits) - 1 // µs
	// logSlotsSpare is what a new array has beyond a quarter more than its live entries.
	logSlotsSpare = 7
)

// entry is the word of entry i of the state, start−1 … end−1.
func (l *logState) entry(i int) uint64 {
	if i == l.end-1 {
		return l.last
	}
	return l.slots.load(i)
}

// at is the instant (µs) of entry i.
func (l *logState) at(i int) int64 { return l.slots.base + int64(l.entry(i)>>logUnitsBits) }

// count is the running count of units up to and including entry i, modulo 2^19.
func (l *logState) count(i int) uint64 {
	if i < 0 {
		return 0
	}
	return l.entry(i) & logUnitsMask
}

// units is how many units entries from … to were admitted for.
func (l *logState) units(from, to int) int64 {
	return int64((l.count(to) - l.count(from-1)) & logUnitsMask)
}

// firstAfter is the first entry that is younger than instant (µs), or end. Entries are in
// order of time. It gallops from the oldest, as most often few have left.
func (l *logState) firstAfter(instant int64) int {
	low, step := l.start, 1
	high := low
	for high < l.end && l.at(high) <= instant {
		low = high + 1
		high += step
		step *= 2
	}
	high = min(high, l.end)
	for low < high {
		mid := int(uint(low+high) / 2)
		if l.at(mid) <= instant {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// firstHolding is the first entry from which on, counting from entry from, at least units
// units are held. The caller makes sure that there are that many.
func (l *logState) firstHolding(from int, units int64) int {
	low, high := from, l.end-1
	for low < high {
		mid := int(uint(low+high) / 2)
		if l.units(from, mid) >= units {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// appended is the state after forgetting the entries before first and logging units at
// instant at (µs), which is not before the newest entry. A nil receiver is an empty log.
func (l *logState) appended(first int, at, units, period int64) *logState {
	if l == nil {
		slots := newLogSlots(at, 1)
		return &logState{slots: slots, end: 1, last: logWord(0, uint64(units)), period: period}
	}
	if l.end == len(l.slots.words) || at-l.slots.base > logAtMax {
		l, first = l.moved(first, l.end, at), 0
	}
	if l.end > 0 {
		// Nobody owns slot end−1; everybody who gets here stores the same value in it.
		l.slots.store(l.end-1, l.last)
	}
	return &logState{
		slots:  l.slots,
		start:  first,
		end:    l.end + 1,
		last:   logWord(at-l.slots.base, l.count(l.end-1)+uint64(units)),
		period: period,
	}
}

// truncated is the state after forgetting the entries before first and the newest units
// of what remains, or nil when nothing remains. The slots of the forgotten units may not
// be given other values, so what remains moves to an array of its own.
func (l *logState) truncated(first int, units, period int64) *logState {
	if first == l.end {
		return nil
	}
	left := l.units(first, l.end-1) - units
	if left <= 0 {
		return nil
	}
	end := l.firstHolding(first, left) + 1
	kept := l.moved(first, end, l.at(end-1))
	kept.last = kept.last&^logUnitsMask | uint64(left)
	kept.slots.words[kept.end-1] = kept.last // not published yet: still ours to change
	kept.period = period
	return kept
}

// moved copies entries first … end−1 to an array of their own, with room to append. The
// result is not published yet, so plain stores do; it may be empty, with base at.
func (l *logState) moved(first, end int, at int64) *logState {
	live := end - first
	if live == 0 {
		return &logState{slots: newLogSlots(at, 0)}
	}
	to := &logState{slots: newLogSlots(l.at(first), live), end: live, period: l.period}
	before := l.count(first - 1)
	for i := range live {
		to.last = logWord(l.at(first+i)-to.slots.base, l.count(first+i)-before)
		to.slots.words[i] = to.last
	}
	return to
}

// logWord packs an entry.
func logWord(at int64, count uint64) uint64 {
	if checkInvariants && (at < 0 || at > logAtMax) {
		panic("engine: log entry outside its array's span")
	}
	return uint64(at)<<logUnitsBits | count&logUnitsMask
}

// bytes is the memory that the log takes.
func (l *logState) bytes() int64 {
	const header, array = 48, 32
	return header + array + int64(len(l.slots.words))*8
}
