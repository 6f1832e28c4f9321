package engine

import (
	"math"
	"time"
)

// slidingWindowLog: exact. Every admitted unit is logged with its instant, and counts for a
// limit until it is one period of that limit old. So no window of one period, wherever it
// begins, holds more than limit units.
//
// Limits of several periods may ask for one key. Its log forgets by the longest period that has
// written to it since it was last empty: the log's period. A unit leaves when it is that old,
// and the log is empty when its newest unit leaves. What writes is a check that is admitted,
// and a refund that leaves something. So a limit counts every unit of its window, unless the
// unit left before a period as long had written. The units that a question can count are those
// younger than both its own period and the log's.
//
// A refund takes back the newest of the units that count for its limit. Older ones stay. By force as
// many units are admitted as the log keeps, at most.
//
// # How many units are kept
//
// A log keeps as many units as the highest limit that is accepted, most, and one more: the
// newest. Older ones are forgotten, which lets nobody have more:
//
//   - A window that reaches back to forgotten units holds more than most, so it admits nothing.
//     Its remaining is 0, retry_after depends on the newest units up to the limit, reset_after on
//     the newest.
//   - Forgotten units leave before all that are kept. So a log of most units or fewer has
//     forgotten none that counts.
//   - Only refunds could take a log of more than most units below that, and forgotten units would
//     be missed. So there a refund moves as many of the units that are forgotten, or else would be
//     next, to the instant of the oldest that is kept. Windows that begin behind that instant
//     hold what is right; a window that reaches back to it admits nothing until that is over.
//
// An answer depends on no more than these units. How many more there are in memory is for
// whatever keeps them to decide.
var slidingWindowLog = algorithm{
	name:     "sliding_window_log",
	letter:   'w',
	summary:  "exact over every window, for audits and hard quotas",
	state:    "8 bytes for each admitted request that its longest period counts, plus room to grow",
	shape:    ShapeLog,
	idleAt:   func(int64) int64 { return math.MaxInt64 }, // the ring tells
	limitMax: func(_, logLimitMax int64) int64 { return logLimitMax },
}

// A logChange is what a step does to a log. States of one word are small enough to be
// returned; of a log the step returns what is to become of it, in four words, as more are not
// handed over in registers.
type logChange struct {
	kind logChangeKind
	// first is the oldest entry that has not left, the number of entries when all have.
	first int
	// at (µs) and units are those of the entry to append; for logGiveBack, units are those
	// to leave out, newest first.
	at, units int64
}

type logChangeKind uint8

const (
	logKeep     logChangeKind = iota // nothing is written
	logAppend                        // units were admitted
	logCut                           // units were admitted, and there are too many now
	logGiveBack                      // units leave, and some stay
	logEnd                           // the log is empty
)

// slidingWindowLogStep takes one step on a log, nil for an empty one, and explains it. most is
// the highest limit of a log. A unit admitted at s counts while now − s < period; the request is
// admitted iff used + cost ≤ limit.
func slidingWindowLogStep(q *query, log *logView, most int64, d *Decision) logChange {
	micros, cost, l := q.now/1000, q.cost, q.limit
	if log == nil || log.idleAt() <= q.now {
		return slidingWindowLogFirst(q, log, most, d)
	}
	// A reading older than the newest unit counts as that unit's.
	seen := LogSeen{Newest: log.newestAt(), Period: log.period}
	micros = max(micros, seen.Newest)
	// Invariant: the newest unit has not left, so there is one to keep.
	kept := log.firstAfter(micros - wholeMicros(log.period))
	held := log.unitsFrom(kept)
	first := kept
	seen.Now, seen.Used = micros, held
	if l.period < log.period {
		first, seen.Period = log.firstFrom(kept, micros-wholeMicros(l.period)), l.period
		seen.Used = log.unitsFrom(first)
	}
	fits := true
	switch {
	case q.op == OpRefund:
		return slidingWindowLogRefund(q, log, kept, first, most, &seen, d)
	case seen.Used+cost > l.limit:
		seen.Never = cost > l.limit
		if !seen.Never {
			seen.Blocking = log.at(log.behind(first, l.limit-cost))
		}
		seen.Explain(l, false, d)
		if q.op != OpForce {
			return logChange{}
		}
		cost, fits = min(cost, most+1), false
	case q.op == OpPeek:
		seen.Explain(l, true, d)
		return logChange{}
	}
	kind := logAppend
	if held+cost > unitsKept(most) {
		kind = logCut
	}
	seen.Used, seen.Newest, seen.Period = seen.Used+cost, micros, l.period
	if fits {
		seen.Explain(l, true, d)
	} else {
		seen.taken(l, d)
	}
	return logChange{kind, kept, micros, cost}
}

// slidingWindowLogFirst is the step on an empty log.
func slidingWindowLogFirst(q *query, log *logView, most int64, d *Decision) (change logChange) {
	seen := LogSeen{Now: q.now / 1000, Period: q.limit.period}
	seen.Never = q.cost > q.limit.limit && q.op != OpRefund
	switch {
	case q.op == OpRefund:
		if log != nil {
			change.kind = logEnd
		}
	case q.op == OpForce, q.op == OpCheck && !seen.Never:
		change = logChange{kind: logAppend, at: seen.Now, units: min(q.cost, most+1)}
		seen.Used, seen.Newest = change.units, seen.Now
		if log != nil {
			change.first = log.size()
		}
	}
	seen.Explain(q.limit, !seen.Never, d)
	return change
}

// slidingWindowLogRefund takes units of the window back, which begins with entry first. Of the
// log, the entries from kept on have not left.
func slidingWindowLogRefund(q *query, log *logView, kept, first int, most int64, seen *LogSeen, d *Decision) (change logChange) {
	back, period := min(q.cost, seen.Used), q.limit.period
	seen.Used -= back
	if back > 0 {
		change = logChange{logGiveBack, kept, seen.Now, back}
		rest := log.rest(change, period, most)
		switch {
		case rest.units == 0:
			change.kind = logEnd
		case rest.cut && first <= rest.first:
			seen.Used = rest.units
		}
		seen.Newest, seen.Period = log.at(rest.last), period
	}
	seen.Explain(q.limit, true, d)
	return change
}

// A logRest is what stays of a log when it is written anew.
type logRest struct {
	period      int64 // ns, of the log from then on
	first, last int   // the entries; none if last is before first
	units       int64
	back        int64 // units that are left out, of the last entry and those behind it
	// cut says that the units are not what the entries have, as some that have not left are
	// left out, or moved to the first entry.
	cut bool
}

// rest is what stays when a question with a period writes a change.
func (v *logView) rest(c logChange, period, most int64) logRest {
	r := logRest{period: period, first: c.first, last: v.size() - 1, units: v.unitsFrom(c.first)}
	if c.first < v.size() {
		r.period = max(period, v.period)
	}
	switch {
	case c.kind == logCut:
		r.first, r.cut = v.size(), true // by force, units may take the place of all
		if c.units <= most {
			r.first = v.behind(c.first, most-c.units)
		}
		r.units = min(v.unitsFrom(r.first), most+1-c.units)
	case c.kind != logGiveBack:
	case r.units > most:
		r.first, r.cut = v.behind(c.first, most), true
		r.last, r.units, r.back = v.behind(r.first, c.units), most+1, c.units
	default:
		r.last, r.units, r.back = v.behind(r.first, c.units), r.units-c.units, c.units
	}
	return r
}

// unitsKept is how many units a log may have that have not left, before it is cut to the newest.
// It is more than those, so that what it costs to copy them is spread over many admissions.
func unitsKept(most int64) int64 { return min(most+most/4+4, logUnitsMask) }

// wholeMicros is a span (ns) in µs, rounded up.
func wholeMicros(span int64) int64 { return (span + 999) / 1000 }

// LogSeen is what a step on a log saw, in a store or a backend: the instants and counts from which
// its answer follows. The instants may be counted from anywhere.
type LogSeen struct {
	Now    int64 // µs
	Newest int64 // µs, of the newest unit after the step; no meaning when Used is 0
	// Period (ns) is how old a unit gets that counts for the question: the limit's, or the log's
	// where that is shorter after the step.
	Period   int64
	Used     int64 // units in the window after the step
	Blocking int64 // µs, on a denial, of the youngest unit that stands in the way
	Never    bool  // the cost is more than the limit
}

// Explain is the one place where a log's answer is computed.
func (s *LogSeen) Explain(l *Limit, allowed bool, d *Decision) {
	*d = Decision{Allowed: allowed, Limit: l.limit, Remaining: max(l.limit-s.Used, 0)}
	if s.Used > 0 {
		d.ResetAfter = s.until(s.Newest)
	}
	switch {
	case allowed:
	case s.Never:
		d.RetryAfter = Never
	default:
		d.RetryAfter = s.until(s.Blocking)
	}
}

// taken explains what is left once units were taken. What was explained before, of whether they
// fit, stays.
func (s *LogSeen) taken(l *Limit, d *Decision) {
	d.Remaining, d.ResetAfter = max(l.limit-s.Used, 0), s.until(s.Newest)
}

// until is the span until a unit that was admitted at an instant (µs) counts no more.
func (s *LogSeen) until(admitted int64) time.Duration {
	return time.Duration((admitted-s.Now)*1000 + s.Period)
}
