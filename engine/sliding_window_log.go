package engine

import (
	"math"
	"time"
)

// slidingWindowLog: exact. Every admitted unit is logged with its instant and counts until
// it is one period old, so no window of one period, wherever it begins, holds more than
// limit units.
var slidingWindowLog = algorithm{
	name:     "sliding_window_log",
	summary:  "exact over every window, for audits and hard quotas",
	state:    "8 bytes for each admitted request, plus room to grow",
	shape:    ShapeLog,
	idleAt:   func(int64) int64 { return math.MaxInt64 }, // the ring tells
	limitMax: func(_, logLimitMax int64) int64 { return logLimitMax },
}

// A logChange is what a step does to a log. States of one word are small enough to be
// returned; of a log the step returns what is to become of it. What writes gives the log
// the period of its limit.
type logChange struct {
	kind logChangeKind
	// first is the oldest entry to keep, the number of entries when none is.
	first int
	// at (µs) and units are those of the entry to append; for logGiveBack, units are those
	// to leave out, newest first.
	at, units int64
}

type logChangeKind uint8

const (
	logKeep     logChangeKind = iota // nothing is written
	logAppend                        // units were admitted
	logGiveBack                      // units leave, and some stay
	logEnd                           // the log is empty
)

// slidingWindowLogStep takes one step on a log, nil for an empty one, and explains it. A
// unit admitted at s counts while now − s < period; the request is admitted iff used +
// cost ≤ limit.
//
// Two rules make the answer independent of when memory is reclaimed. A log is empty from
// its idle instant on: when its newest unit is as old as the period of the call that wrote it.
// And a call that writes drops the units outside its own period, so that a later call
// with a longer period does not find them.
func slidingWindowLogStep(q *query, log *logView, d *Decision) logChange {
	micros, cost, l := q.now/1000, q.cost, q.limit
	if log == nil || log.idleAt() <= q.now {
		return slidingWindowLogFirst(q, log, d)
	}
	newest := log.newestAt()
	// A reading older than the newest unit counts as that unit's.
	micros = max(micros, newest)
	first := log.firstAfter(max(micros-wholeMicros(l.period), newest-wholeMicros(log.period)))
	used := int64(0)
	if first < log.size() {
		used = log.units(first, log.size()-1)
	}
	seen := LogSeen{Now: micros, Newest: newest, Used: used, IdleAt: log.idleAt()}
	switch {
	case q.op == OpRefund:
		change := logChange{first: first, at: micros, units: min(cost, used)}
		seen.Used -= change.units
		switch {
		case change.units == 0:
		case seen.Used == 0:
			change.kind = logEnd
		default:
			change.kind = logGiveBack
			seen.Newest = log.at(log.firstHolding(first, seen.Used))
			seen.IdleAt = seen.Newest*1000 + l.period
		}
		seen.Explain(l, true, d)
		return change
	case used+cost > l.limit:
		seen.Never = cost > l.limit
		if !seen.Never {
			seen.Blocking = log.at(log.firstHolding(first, used+cost-l.limit))
		}
		seen.Explain(l, false, d)
		return logChange{}
	case q.op == OpPeek:
		seen.Explain(l, true, d)
		return logChange{}
	}
	seen.Used, seen.Newest, seen.IdleAt = used+cost, micros, micros*1000+l.period
	seen.Explain(l, true, d)
	return logChange{logAppend, first, micros, cost}
}

// slidingWindowLogFirst is the step on an empty log.
func slidingWindowLogFirst(q *query, log *logView, d *Decision) (change logChange) {
	seen := LogSeen{Now: q.now / 1000}
	switch {
	case q.op == OpRefund:
		if log != nil {
			change.kind = logEnd
		}
	case q.cost > q.limit.limit:
		seen.Never = true
	case q.op == OpCheck:
		seen.Used, seen.Newest, seen.IdleAt = q.cost, seen.Now, seen.Now*1000+q.limit.period
		change = logChange{kind: logAppend, at: seen.Now, units: q.cost}
		if log != nil {
			change.first = log.size()
		}
	}
	seen.Explain(q.limit, !seen.Never, d)
	return change
}

// wholeMicros is a span (ns) in µs, rounded up.
func wholeMicros(span int64) int64 { return (span + 999) / 1000 }

// LogSeen is what a step on a log saw, in a store or a backend: the instants and counts from which
// its answer follows. The instants may be counted from anywhere.
type LogSeen struct {
	Now      int64 // µs
	Newest   int64 // µs, of the newest unit after the step; no meaning when Used is 0
	IdleAt   int64 // ns, from when on the log after the step is empty, whatever the period asked for
	Used     int64 // units in the window after the step
	Blocking int64 // µs, on a denial, of the youngest unit that stands in the way
	Never    bool  // the cost is more than the limit
}

// Explain is the one place where a log's answer is computed.
func (s *LogSeen) Explain(l *Limit, allowed bool, d *Decision) {
	*d = Decision{Allowed: allowed, Limit: l.limit, Remaining: max(l.limit-s.Used, 0)}
	if s.Used > 0 {
		d.ResetAfter = s.until(s.Newest, l)
	}
	switch {
	case allowed:
	case s.Never:
		d.RetryAfter = Never
	default:
		d.RetryAfter = s.until(s.Blocking, l)
	}
}

// until is the span until the unit admitted at an instant (µs) has left: when it is one
// period old, or when the log is idle, should that come first because the period was
// shorter when the log was written.
func (s *LogSeen) until(admitted int64, l *Limit) time.Duration {
	return time.Duration(min(admitted*1000+l.period, s.IdleAt) - s.Now*1000)
}
