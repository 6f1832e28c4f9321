package engine

import "time"

// fixedWindow: at most limit units in each window of one period. Windows follow each other
// without a gap, and the first begins at the Unix epoch. Twice the limit can pass around a
// boundary: at the end of one window and at the beginning of the next.
//
// A limit for a week, month or year has the windows of the calendar in UTC instead: weeks begin on
// Monday, and each window is as long as it is.
//
// A window has whole milliseconds. A period that has not, which only Go callers can ask for, is
// rounded up.
//
// The period may change from call to call. A key that is not idle is in a window still; a
// request that is admitted makes the window end at the later of its end and the end of the
// window that was asked for, and the count stays. So from a period's first request in one of its
// windows on, all that is admitted counts until that window is over, and its own requests never
// exceed its limit. What others admitted in that window before is forgotten if their window was
// over by then: a word has no room to remember the longest period. By a clock that reads less
// than the window's start, the key is in that window all the same.
var fixedWindow = algorithm{
	name:        "fixed_window",
	letter:      'f',
	summary:     "at most the limit in each window of the clock, and twice that around a boundary",
	state:       "one count and one instant",
	hasCalendar: true,
	shape:       ShapeWord,
	idleAt:      windowIdleAt,
	limitMax:    windowLimitMax,
}

// A word holds the window's end and its count, in one of two layouts:
//
//	ends at a whole second   | end: 33 bits, seconds | count: 30 |
//	ends within a second     | 11 | end: 43 bits, milliseconds | count: 18 |
//
// Of the first, the two highest bits are never both set: 3·2^31 s is the year 2174. 2^43 ms is
// the year 2248. The count is at most limit, which is why a limit per window that ends within a
// second is at most 2^18 − 1. A larger count, of a limit that was changed, makes such a window
// end with its second.
const (
	windowSecondBits = 30
	windowMilliBits  = 18
	windowMilliMark  = 3 << 61
)

// WindowWord is the state of a window that ends so many milliseconds after the Unix epoch, of
// which count units, 1 … UnitsMax, are used.
func WindowWord(end, count int64) int64 {
	if end%1000 == 0 || count >= 1<<windowMilliBits {
		return (end+999)/1000<<windowSecondBits | count
	}
	return windowMilliMark | end<<windowMilliBits | count
}

// windowOf is the end (ms) and the count in a word.
func windowOf(word int64) (end, count int64) {
	if word < windowMilliMark {
		return word >> windowSecondBits * 1000, word & (1<<windowSecondBits - 1)
	}
	word -= windowMilliMark
	return word >> windowMilliBits, word & (1<<windowMilliBits - 1)
}

// windowIdleAt is the instant (ns) at which the window of a word ends.
func windowIdleAt(word int64) int64 {
	end, _ := windowOf(word)
	return end * int64(time.Millisecond)
}

// windowLimitMax is the highest limit for a period (ns).
func windowLimitMax(period, _ int64) int64 {
	if period > 0 && WindowMillis(period)%1000 == 0 {
		return UnitsMax
	}
	return 1<<windowMilliBits - 1
}

// WindowMillis is how long the windows of a period (ns) are: in milliseconds, rounded up.
func WindowMillis(period int64) int64 {
	return (period + int64(time.Millisecond) - 1) / int64(time.Millisecond)
}

// windowEnd is the end of the limit's window that an instant is in, both in ms.
func (l *Limit) windowEnd(millis int64) int64 {
	if l.calendar != NoCalendar {
		return l.calendar.End(millis)
	}
	period := WindowMillis(l.period)
	return millis - millis%period + period
}

// fixedWindowStep takes one step on a window at instant now (ns). The outcome's extra is the
// count after the step. By force a window counts UnitsMax units at most.
func fixedWindowStep(o Op, word int64, l *Limit, now, cost int64) outcome {
	end, count := windowOf(word)
	left := end*int64(time.Millisecond) - now // until the window ends
	if left <= 0 {
		end, count, left = 0, 0, 0
	}
	wait := int64(0)
	switch {
	case o == OpRefund && count <= cost:
		return outcome{}
	case o == OpRefund:
		return outcome{WindowWord(end, count-cost), count - cost, left, 0}
	case cost > l.limit:
		wait = int64(Never)
	case count+cost > l.limit:
		wait = left
	}
	if o == OpPeek || wait != 0 && o != OpForce {
		return outcome{word, count, left, wait}
	}
	count = min(count+cost, UnitsMax)
	next := WindowWord(max(end, l.windowEnd(now/int64(time.Millisecond))), count)
	return outcome{next, count, windowIdleAt(next) - now, wait}
}

// fixedWindowExplain is the one place where a window's answer is computed.
func fixedWindowExplain(l *Limit, x outcome, d *Decision) {
	d.Allowed = x.wait == 0
	d.Limit = l.limit
	d.Remaining = max(l.limit-x.extra, 0)
	d.RetryAfter = time.Duration(x.wait)
	d.ResetAfter = time.Duration(x.after)
	d.Delay = 0
}
