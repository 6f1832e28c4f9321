package engine

import (
	"fmt"
	"strings"
)

// An Algorithm is one row of the table below. Its zero value is no algorithm.
type Algorithm uint8

// The algorithms.
const (
	// TokenBucket allows bursts and keeps an average rate. State: one instant.
	TokenBucket Algorithm = iota + 1
	// LeakyBucket admits as TokenBucket does and says how long to hold each request, so
	// that bursts leave as a steady drain. State: one instant.
	LeakyBucket
	// SlidingWindowLog is exact over every window. State: each admitted unit.
	SlidingWindowLog
	// FixedWindow counts in windows that follow each other. State: one instant, one count.
	FixedWindow
	// SlidingWindowCounter is SlidingWindowLog with time cut into slices. State: at most 65 counts.
	SlidingWindowCounter

	algorithmEnd // one past the last

	// Named is added to an algorithm where the state belongs to a limit of a policy. It is a kind of
	// its own: a question without it on such a state is a *WrongTypeError. In all else it is the plain
	// algorithm, whose row it has.
	Named = 1 << 5
)

// An Op is what is asked of a key: see Store.Ask.
type Op uint8

// The operations.
const (
	OpCheck  Op = iota // take, if it fits
	OpPeek             // the same question, nothing taken
	OpRefund           // give back: never beyond full, and of a log the newest units
	OpForce            // take, whether or not it fits; allowed as a check would have been
)

// An algorithm is what the rest of the system must know of one, besides its step and its
// explanation. Its functions are pure.
type algorithm struct {
	name    string
	letter  byte   // stands for the name within the names of states
	summary string // one line, for the reference page
	state   string // what it keeps for a key, for the reference page
	// hasBurst says whether a burst other than the limit means something.
	hasBurst bool
	// hasCalendar says whether a limit can be for a period of the calendar.
	hasCalendar bool
	// shape is the kind of its states.
	shape Shape
	// idleAt is the instant (ns) from which on a key with this word in its slot is idle, or
	// math.MaxInt64 where the word does not tell. It accepts every word from 1 to 2^63 − 2.
	idleAt func(word int64) int64
	// limitMax is the highest limit for a period (ns), given the highest limit that the store
	// accepts of a log; nil: UnitsMax. For the period 0 it is the lowest of all.
	limitMax func(period, logLimitMax int64) int64
}

// algorithms is the one table of algorithms, indexed by Algorithm. To add one: its
// constant above, its file, its row here.
var algorithms = [algorithmEnd]algorithm{
	0:                    {name: "none"},
	TokenBucket:          tokenBucket,
	LeakyBucket:          leakyBucket,
	SlidingWindowLog:     slidingWindowLog,
	FixedWindow:          fixedWindow,
	SlidingWindowCounter: slidingWindowCounter,
}

// Algorithms lists every algorithm in the order of the table.
func Algorithms() []Algorithm {
	all := make([]Algorithm, 0, algorithmEnd-1)
	for a := Algorithm(1); a < algorithmEnd; a++ {
		all = append(all, a)
	}
	return all
}

// ParseAlgorithm finds an algorithm by its name, in any case.
func ParseAlgorithm(name string) (Algorithm, error) {
	for a := Algorithm(1); a < algorithmEnd; a++ {
		if name == algorithms[a].name {
			return a, nil
		}
	}
	for a := Algorithm(1); a < algorithmEnd; a++ {
		// Equal lengths keep Unicode's foldings out: every letter that folds to one of
		// ASCII's is longer.
		if len(name) == len(algorithms[a].name) && strings.EqualFold(name, algorithms[a].name) {
			return a, nil
		}
	}
	return 0, &ArgumentError{"algorithm", fmt.Sprintf("%.64q is not known: accepted is %s", name, strings.Join(algorithmNames(), ", "))}
}

func algorithmNames() []string {
	var names []string
	for _, a := range Algorithms() {
		names = append(names, a.String())
	}
	return names
}

// plain is the algorithm without Named.
func (a Algorithm) plain() Algorithm { return a &^ Named }

// Valid says whether a is a row of the table, with or without Named.
func (a Algorithm) Valid() bool { return a.plain()-1 < algorithmEnd-1 }

// row is the algorithm's row of the table; what is none has the row of none.
func (a Algorithm) row() *algorithm {
	if a = a.plain(); a >= algorithmEnd {
		a = 0
	}
	return &algorithms[a]
}

// String is the algorithm's name on the wire, or "none".
func (a Algorithm) String() string { return a.row().name }

// Letter is the one letter that stands for the algorithm within the names of states, or 0.
func (a Algorithm) Letter() byte { return a.row().letter }

// Summary is one line on what the algorithm is for.
func (a Algorithm) Summary() string { return a.row().summary }

// State is one phrase on what the algorithm keeps for a key.
func (a Algorithm) State() string { return a.row().state }

// HasBurst says whether a burst other than the limit can be asked for.
func (a Algorithm) HasBurst() bool { return a.row().hasBurst }

// Shape is the kind of the algorithm's states.
func (a Algorithm) Shape() Shape { return a.row().shape }

// limitMax is the highest limit of an algorithm for a period: see algorithm.
func (a Algorithm) limitMax(period, logLimitMax int64) int64 {
	if most := a.row().limitMax; most != nil {
		return most(period, logLimitMax)
	}
	return UnitsMax
}

// takes is what of a limit the algorithm accepts that not every one does.
func (a *algorithm) takes() (s special) {
	if a.hasBurst {
		s |= specialBurst
	}
	if a.hasCalendar {
		s |= specialCalendar
	}
	return s
}

// CheckLimit reports whether a limit is within the algorithm's own range, where the highest
// limit of a log is logLimitMax units. The error is an *ArgumentError.
func (a Algorithm) CheckLimit(l *Limit, logLimitMax int64) error {
	switch {
	case l.burst != l.limit && !a.HasBurst():
		return &ArgumentError{"burst", "is not accepted by " + a.String() + ": the limit is the most that it admits at once"}
	case l.calendar != NoCalendar && !a.row().hasCalendar:
		return &ArgumentError{"period", l.PeriodText() + " is not accepted by " + a.String() + ": only fixed_window has windows of the calendar"}
	case l.limit > a.limitMax(l.period, logLimitMax):
		return outOfRange("limit of "+a.String(), l.limit, 1, a.limitMax(l.period, logLimitMax))
	}
	return nil
}

// step takes one step at instant now (ns) from a word, which is 0 for a key that is absent. It
// and explain are switches and not functions in the table because through a function value the
// limit and the decision would escape to the heap, and copying them costs a quarter of a check.
func (a Algorithm) step(o Op, word int64, l *Limit, now, cost int64) outcome {
	switch a.plain() {
	case TokenBucket, LeakyBucket:
		return meterStep(o, word, l, now, cost)
	case FixedWindow:
		return fixedWindowStep(o, word, l, now, cost)
	case SlidingWindowLog, SlidingWindowCounter, algorithmEnd: // not of one word
	}
	panic("engine: a step on a word, of an algorithm without one")
}

// explain computes the answer from what a step on a word did.
func (a Algorithm) explain(l *Limit, x outcome, d *Decision) {
	switch a.plain() {
	case TokenBucket:
		meterExplain(l, x, d)
	case LeakyBucket:
		leakyBucketExplain(l, x, d)
	case FixedWindow:
		fixedWindowExplain(l, x, d)
	case SlidingWindowLog, SlidingWindowCounter, algorithmEnd: // explains itself
	}
}

// ExplainWord computes the answer of an algorithm of ShapeWord whose step was taken by a
// backend, from the word before the step and the instant (ns) of the step. That is all that
// the answer depends on.
func (a Algorithm) ExplainWord(o Op, l *Limit, word, now, cost int64, d *Decision) {
	a.explain(l, a.step(o, word, l, now, cost), d)
}
