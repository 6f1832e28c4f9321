package model

import (
	"slices"
	"time"

	"github.com/rlserver/rlserver/engine"
)

func init() { rules[engine.SlidingWindowCounter] = Key.askCounter }

// slices64 is how many slices a period has.
const slices64 = 64

// sliceOf is the slice of an instant, for a period, both µs: ⌊64·at/period⌋, also of what was before 1970
// once a clock has stepped back.
func sliceOf(at, period int64) int64 { return floor(slices64*at, period) }

// leavesAt is the instant (µs) at which a slice leaves that counts in so many slices behind it, too.
func leavesAt(slice, span, period int64) int64 { return -floor(-(slice+span+1)*period, slices64) }

// microsOf is a period in µs, rounded up.
func microsOf(period time.Duration) int64 { return ceil(int64(period), 1000) }

// floor is a/b rounded down, for b > 0.
func floor(a, b int64) int64 {
	if a%b < 0 {
		return a/b - 1
	}
	return a / b
}

// askCounter asks a sliding_window_counter. The key's log has one entry for each slice. What the engine
// says of slices and periods is done here step by step.
func (k Key) askCounter(q Question) (Key, engine.Decision) {
	limit, period := q.Limit.Limit(), microsOf(q.Limit.Period())
	log, before := []Entry(nil), period
	if k.Live(q.Now) {
		before = microsOf(k.Period)
		log = countedFrom(k.Log, present(k.Log, q.Now, before)-slices64)
	}
	span, at := ceil(slices64*min(period, before), before), present(log, q.Now, before)
	window := countedFrom(log, at-span)
	used := units(window)

	next, d := k, engine.Decision{Allowed: true, Limit: limit}
	switch {
	case q.Op == Refund:
	case q.Cost > limit:
		d.Allowed, d.RetryAfter = false, engine.Never
	case used+q.Cost > limit:
		blocking := 0 // the youngest that has to leave, after all older ones
		for left := used - window[0].Units; left+q.Cost > limit; left -= window[blocking].Units {
			blocking++
		}
		d.Allowed, d.RetryAfter = false, time.Duration(leavesAt(window[blocking].At, span, before)-q.Now)*time.Microsecond
	}

	refunds := q.Op == Refund && used > 0
	if refunds || q.Op == Force || q.Op == Check && d.Allowed {
		if period > before { // the counter's slices are cut anew
			log, before = cutAnew(log, before, period), period
		}
		span, at = ceil(slices64*period, before), present(log, q.Now, before)
		if refunds {
			log = withoutNewest(slices.Clone(log), min(q.Cost, used))
		} else {
			log = newestUnits(merged(append(slices.Clone(log), Entry{at, q.Cost})), engine.UnitsMax)
		}
		window = countedFrom(log, at-span)
		next = Key{Owner: q.Algorithm, Log: log, Period: time.Duration(before) * time.Microsecond}
	}
	if q.Op == Refund && len(log) == 0 {
		next = Key{}
	}
	d.Remaining = max(limit-units(window), 0)
	if n := len(window); n > 0 {
		d.ResetAfter = time.Duration(leavesAt(window[n-1].At, span, before)-q.Now) * time.Microsecond
	}
	return next, d
}

// present is the slice of an instant (µs), or the newest one if that is later.
func present(log []Entry, now, period int64) int64 {
	if slice := sliceOf(now, period); len(log) == 0 || slice > log[len(log)-1].At {
		return slice
	}
	return log[len(log)-1].At
}

// countedFrom is the entries of a slice and those behind it.
func countedFrom(log []Entry, slice int64) []Entry {
	for len(log) > 0 && log[0].At < slice {
		log = log[1:]
	}
	return log
}

// cutAnew is a log whose slices were those of one period in those of a longer one: the units of each count
// as admitted in its last µs.
func cutAnew(log []Entry, from, to int64) []Entry {
	log = slices.Clone(log)
	for i := range log {
		log[i].At = sliceOf(min(leavesAt(log[i].At, 0, from)-1, engine.NowMicrosMax), to)
	}
	return merged(log)
}

// merged is a log with one entry for each slice.
func merged(log []Entry) (one []Entry) {
	for _, e := range log {
		if n := len(one); n > 0 && one[n-1].At == e.At {
			one[n-1].Units += e.Units
		} else {
			one = append(one, e)
		}
	}
	return one
}

// newestUnits is a log without its oldest units, where there are more than so many. It changes the log.
func newestUnits(log []Entry, most int64) []Entry {
	for over := units(log) - most; over > 0; over = units(log) - most {
		if log[0].Units > over {
			log[0].Units -= over
		} else {
			log = log[1:]
		}
	}
	return log
}
