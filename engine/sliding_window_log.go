package engine

import "time"

// slidingWindowLog: exact. Every admitted unit is logged with its instant and counts until
// it is one period old, so no window of one period, wherever it begins, holds more than
// limit units.
var slidingWindowLog = algorithm{
	name:    "sliding_window_log",
	summary: "exact over every window, for audits and hard quotas",
	state:   "8 bytes for each admitted request, plus room to grow",
	step:    slidingWindowLogStep,
	rest:    slidingWindowLogRest,

	keepsLog: true,
}

// slidingWindowLogStep takes one step at instant now (ns). A unit admitted at s counts
// while now − s < period; the request is admitted iff used + cost ≤ limit.
//
// Two rules make the answer independent of when memory is reclaimed. A log is empty from
// its rest on: when its newest unit is as old as the period of the call that wrote it.
// And a call that writes forgets the units outside its own period, so that a later call
// with a longer period does not find them.
func slidingWindowLogStep(o op, st state, l Limit, now, cost int64) (state, Decision) {
	log, micros := st.log, now/1000
	if log != nil && slidingWindowLogRest(st) <= now {
		log = nil
	}
	if log == nil {
		return slidingWindowLogFirst(o, st, l, micros, cost)
	}
	// A reading older than the newest unit counts as that unit's.
	micros = max(micros, log.at(log.end-1))
	first := log.firstAfter(micros - (l.period+999)/1000)
	used := int64(0)
	if first < log.end {
		used = log.units(first, log.end-1)
	}
	seen := logSeen{now: micros, newest: log.at(log.end - 1), used: used, rest: slidingWindowLogRest(st)}
	switch {
	case o == opRefund:
		back := min(cost, used)
		if back == 0 {
			return st, seen.explain(l, true)
		}
		kept := log.truncated(first, back, l.period)
		seen.used -= back
		if kept == nil {
			return state{}, seen.explain(l, true)
		}
		seen.newest = kept.at(kept.end - 1)
		seen.rest = slidingWindowLogRest(state{log: kept})
		return state{log: kept}, seen.explain(l, true)
	case used+cost > l.limit:
		seen.never = cost > l.limit
		if !seen.never {
			seen.blocking = log.at(log.firstHolding(first, used+cost-l.limit))
		}
		return st, seen.explain(l, false)
	case o == opPeek:
		return st, seen.explain(l, true)
	}
	seen.used, seen.newest, seen.rest = used+cost, micros, micros*1000+l.period
	return state{log: log.appended(first, micros, cost, l.period)}, seen.explain(l, true)
}

// slidingWindowLogFirst is the step on an empty log at instant micros (µs).
func slidingWindowLogFirst(o op, st state, l Limit, micros, cost int64) (state, Decision) {
	seen := logSeen{now: micros}
	switch {
	case o == opRefund:
		return state{}, seen.explain(l, true)
	case cost > l.limit:
		seen.never = true
		return st, seen.explain(l, false)
	case o == opPeek:
		return st, seen.explain(l, true)
	}
	seen.used, seen.newest, seen.rest = cost, micros, micros*1000+l.period
	var empty *logState
	return state{log: empty.appended(0, micros, cost, l.period)}, seen.explain(l, true)
}

// logSeen is what a step saw: the instants and counts from which its answer follows.
type logSeen struct {
	now      int64 // µs
	newest   int64 // µs, of the newest unit after the step; no meaning when used is 0
	rest     int64 // ns, when the log after the step is empty whatever the period asked for
	used     int64 // units in the window after the step
	blocking int64 // µs, on a denial, of the youngest unit that stands in the way
	never    bool  // the cost is more than the limit
}

// explain is the one place where a log's answer is computed.
func (s logSeen) explain(l Limit, allowed bool) Decision {
	d := Decision{Allowed: allowed, Limit: l.limit, Remaining: max(l.limit-s.used, 0)}
	if s.used > 0 {
		d.ResetAfter = s.until(s.newest, l)
	}
	switch {
	case allowed:
	case s.never:
		d.RetryAfter = Never
	default:
		d.RetryAfter = s.until(s.blocking, l)
	}
	return d
}

// until is the span until the unit admitted at an instant (µs) has left: when it is one
// period old, or when the log is at rest, should that come first because the period was
// shorter when the log was written.
func (s logSeen) until(admitted int64, l Limit) time.Duration {
	return time.Duration(min(admitted*1000+l.period, s.rest) - s.now*1000)
}

// slidingWindowLogRest is the instant (ns) at which the newest unit has left.
func slidingWindowLogRest(st state) int64 {
	if st.log == nil {
		return 0
	}
	return st.log.at(st.log.end-1)*1000 + st.log.period
}
