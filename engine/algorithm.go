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

	algorithmEnd // one past the last
)

// An Op is what is asked of a key: see Store.Ask.
type Op uint8

// The operations.
const (
	OpCheck  Op = iota // take, if it fits
	OpPeek             // the same question, nothing taken
	OpRefund           // give back: never beyond full, and of a log the newest units
)

// An algorithm is what the store needs to know of one. Its functions are pure.
type algorithm struct {
	name    string
	summary string // one line, for the reference page
	state   string // what it keeps for a key, for the reference page
	// hasBurst says whether a burst other than the limit means something.
	hasBurst bool
	// keepsLog says that the state is a log (log_ring.go) and not a word.
	keepsLog bool
}

// algorithms is the one table of algorithms, indexed by Algorithm. To add one: its
// constant above, its file, its row here.
var algorithms = [algorithmEnd]algorithm{
	0:                {name: "none"},
	TokenBucket:      tokenBucket,
	LeakyBucket:      leakyBucket,
	SlidingWindowLog: slidingWindowLog,
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

// valid says whether a is a row of the table.
func (a Algorithm) valid() bool { return a > 0 && a < algorithmEnd }

// row is the algorithm's row of the table; what is none has the row of none.
func (a Algorithm) row() *algorithm {
	if !a.valid() {
		a = 0
	}
	return &algorithms[a]
}

// String is the algorithm's name on the wire, or "none".
func (a Algorithm) String() string { return a.row().name }

// Summary is one line on what the algorithm is for.
func (a Algorithm) Summary() string { return a.row().summary }

// State is one phrase on what the algorithm keeps for a key.
func (a Algorithm) State() string { return a.row().state }

// HasBurst says whether a burst other than the limit can be asked for.
func (a Algorithm) HasBurst() bool { return a.row().hasBurst }

// KeepsLog says whether the algorithm's state is a log of admitted units and not one instant.
func (a Algorithm) KeepsLog() bool { return a.row().keepsLog }

// An outcome is what a step on a state of one word did: all that the answer depends on.
// Instants and spans are in ns.
type outcome struct {
	next   int64 // the state after the step; the one before if nothing is to be written
	before int64 // from now until the key was at rest before the step; of a refund, 0
	after  int64 // from now until it is at rest after the step
	wait   int64 // 0 if admitted, else the span until this request would be, or Never
}

// step takes one step at instant now (ns) from a state of one word, which is the instant
// (ns) from which on the key is at rest, or 0 for a key at rest. It and explain are
// switches and not functions in the table because through a function value the limit and
// the decision would escape to the heap, and copying them costs a quarter of a check.
func (a Algorithm) step(o Op, st int64, l *Limit, now, cost int64) outcome {
	if a != TokenBucket && a != LeakyBucket {
		panic("engine: an algorithm without a state of one word")
	}
	return meterStep(o, st, l, now, cost)
}

// explain computes the answer from what a step did.
func (a Algorithm) explain(l *Limit, x outcome, d *Decision) {
	switch a {
	case TokenBucket:
		meterExplain(l, x, d)
	case LeakyBucket:
		leakyBucketExplain(l, x, d)
	case SlidingWindowLog, algorithmEnd: // explains itself, from what its step saw
	}
}
