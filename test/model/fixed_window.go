package model

import (
	"time"

	"github.com/rlserver/rlserver/engine"
)

func init() { rules[engine.FixedWindow] = Key.askWindow }

// askWindow asks a fixed_window. The key's log has one entry: as if all of the window's units
// had been admitted at its start, to leave together at its end.
func (k Key) askWindow(q Question) (Key, engine.Decision) {
	now, limit := q.Now*1000, q.Limit.Limit()
	end, used := int64(0), int64(0)
	if k.Live(q.Now) {
		used = k.Log[0].Units
		end = whole(k.IdleAt(), used)
	}
	next, d := k, engine.Decision{Allowed: true, Limit: limit}
	switch {
	case q.Op == Refund && q.Cost >= used:
		next, used = Key{}, 0
	case q.Op == Refund:
		used -= q.Cost
		next = window(whole(k.IdleAt(), used), used)
	case q.Cost > limit:
		d.Allowed, d.RetryAfter = false, engine.Never
	case used+q.Cost > limit:
		d.Allowed, d.RetryAfter = false, time.Duration(end-now)
	}
	if q.Op == Force || q.Op == Check && d.Allowed {
		used = min(used+q.Cost, engine.UnitsMax)
		end = whole(max(end, windowEnd(now, &q.Limit)), used)
		next = window(end, used)
	}
	d.Remaining = max(limit-used, 0)
	if used > 0 {
		d.ResetAfter = time.Duration(end - now)
	}
	return next, d
}

// windowEnd is when the limit's window ends that an instant (ns) is in.
func windowEnd(now int64, l *engine.Limit) int64 {
	at := time.Unix(0, now).UTC()
	year, month, day := at.Date()
	switch l.Calendar() {
	case engine.Week:
		return time.Date(year, month, day+7-(int(at.Weekday())+6)%7, 0, 0, 0, 0, time.UTC).UnixNano()
	case engine.Month:
		return time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	case engine.Year:
		return time.Date(year+1, time.January, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	case engine.NoCalendar:
	}
	period := ceil(int64(l.Period()), int64(time.Millisecond)) * int64(time.Millisecond)
	return (now/period + 1) * period
}

// whole is the instant (ns) at which a window ends that would at another: a whole millisecond, or
// a whole second if so many units are used. It differs where a clock has stepped back.
func whole(end, used int64) int64 {
	unit := int64(time.Millisecond)
	if used >= 1<<18 {
		unit = int64(time.Second)
	}
	return ceil(end, unit) * unit
}

// window is a key whose window ends at an instant (ns).
func window(end, used int64) Key {
	return Key{
		Owner: engine.FixedWindow, Log: []Entry{{At: end/1000 - time.Millisecond.Microseconds(), Units: used}}, Period: time.Millisecond,
	}
}
