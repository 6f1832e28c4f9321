package engine

import "math"

// slidingWindowCounter: the sliding window log with time cut into slices. Each period is 64 of them,
// counted from the Unix epoch: an instant t is in slice ⌊64·t / period⌋, where both are whole µs; a
// period that is not, which only Go callers can ask for, is rounded up. All units of one slice are one
// count, and they leave together: a unit counts until the end of the slice in which its period is over.
// That is, what was admitted in slice k counts while now is in slice k + 64 or before, and leaves at
//
//	⌈(k + 65)·period / 64⌉ µs
//
// So a unit never counts for less than a period, and for at most period/64 (and the rest of a µs) more.
// Therefore no window of one period, wherever it begins, holds more than limit units, as with the log; a
// request is denied at most that much longer; and at most 65 counts are kept, whatever the limit.
//
// A reading of the clock that is before the newest slice counts as within that.
//
// Limits of several periods may ask for one key, by the rules of the log: the counter's period is the
// longest that has written to it since it was last empty, and a limit counts the units that are young
// enough for its own period and for the counter's. The slices are those of the counter's period. So for a
// shorter one a unit counts until the end of the slice, of the counter's, in which the shorter period is
// over. When a longer period writes, the units of each slice count as admitted in its last µs.
//
// A refund takes back the newest of the units that count for its limit. A counter knows of at most
// UnitsMax units, which is as many as any limit can ask about: of more, which several limits and force can
// bring, it knows the newest.
var slidingWindowCounter = algorithm{
	name:    "sliding_window_counter",
	letter:  'c',
	summary: "no more than the exact window, in a bounded memory whatever the limit",
	state:   "8 bytes for each of at most 65 slices of the period in which something was admitted, plus room to grow",
	shape:   ShapeCounter,
	idleAt:  func(int64) int64 { return math.MaxInt64 }, // the ring tells
}

// CounterSlices is how many slices a period has.
const CounterSlices = 64

// sliceOf is the slice of an instant, for a period, both µs.
func sliceOf(instant, period int64) int64 {
	return int64(uint64(instant) * CounterSlices / uint64(period))
}

// sliceStart is the first µs of a slice.
func sliceStart(slice, period int64) int64 {
	return (slice*period + CounterSlices - 1) / CounterSlices
}

// sliceLast is the last µs of a slice at which there can be a decision.
func sliceLast(slice, period int64) int64 {
	return min(sliceStart(slice+1, period)-1, NowMicrosMax)
}

// slidingWindowCounterStep takes one step on a counter, nil for an empty one, and explains it. The
// change's instant is a slice of the question's period where the counter is empty, else of the counter's.
func slidingWindowCounterStep(q *query, v *counterView, d *Decision) logChange {
	if v == nil {
		return slidingWindowCounterFirst(q, nil, d)
	}
	now := q.now / 1000
	slice := max(sliceOf(now, v.period), v.newest())
	kept := v.firstFrom(slice - CounterSlices)
	if kept > v.last() {
		return slidingWindowCounterFirst(q, v, d)
	}
	limit, period, span, first := q.limit.limit, wholeMicros(q.limit.period), int64(CounterSlices), kept
	if period < v.period {
		span = (CounterSlices*period + v.period - 1) / v.period
		first = v.firstFrom(slice - span)
	}
	seen := LogSeen{Now: now, Newest: v.leaves(v.newest(), span), Used: v.unitsFrom(first)}
	fits := seen.Used+q.cost <= limit
	switch {
	case q.op == OpRefund:
		return slidingWindowCounterRefund(q, v, kept, span, &seen, d)
	case fits:
	case q.cost > limit:
		seen.Never = true
	default:
		seen.Blocking = v.leaves(v.slice(v.behind(first, limit-q.cost)), span)
	}
	if q.op == OpPeek || !fits && q.op != OpForce {
		seen.Explain(q.limit, fits, d)
		return logChange{}
	}
	change := logChange{logAppend, kept, slice, q.cost}
	if v.unitsFrom(kept)+q.cost > UnitsMax {
		change.kind = logCut
	}
	seen.Used = min(seen.Used+q.cost, UnitsMax)
	if seen.Newest = v.leaves(slice, span); period > v.period {
		seen.Newest = sliceStart(max(sliceOf(now, period), v.newestFor(period))+CounterSlices+1, period)
	}
	seen.Explain(q.limit, fits, d)
	return change
}

// slidingWindowCounterFirst is the step on an empty counter.
func slidingWindowCounterFirst(q *query, v *counterView, d *Decision) (change logChange) {
	now, period := q.now/1000, wholeMicros(q.limit.period)
	seen := LogSeen{Now: now, Never: q.op != OpRefund && q.cost > q.limit.limit}
	switch {
	case q.op == OpRefund:
		if v != nil {
			change.kind = logEnd
		}
	case q.op == OpForce, q.op == OpCheck && !seen.Never:
		slice := sliceOf(now, period)
		seen.Used, seen.Newest = q.cost, sliceStart(slice+CounterSlices+1, period)
		change = logChange{kind: logAppend, at: slice, units: q.cost}
		if v != nil {
			change.first = v.last() + 1
		}
	}
	seen.Explain(q.limit, !seen.Never, d)
	return change
}

// slidingWindowCounterRefund takes back units of the window that was seen. Of the counter, the entries
// from kept on have not left, and each counts for so many slices behind it.
func slidingWindowCounterRefund(q *query, v *counterView, kept int, span int64, seen *LogSeen, d *Decision) (change logChange) {
	if back := min(q.cost, seen.Used); back > 0 {
		change = logChange{logGiveBack, kept, 0, back}
		seen.Used -= back
		var room sliceRoom
		next := v.next(change, q, room[:0])
		if len(next.slices) == 0 {
			change.kind = logEnd
		} else {
			seen.Newest = sliceStart(next.newest()+span+1, next.period)
		}
	}
	seen.Explain(q.limit, true, d)
	return change
}
