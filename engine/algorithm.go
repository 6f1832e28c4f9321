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

// An op is what is asked of a key.
type op uint8

const (
	opCheck  op = iota // take, if it fits
	opPeek             // the same question, nothing taken
	opRefund           // give back
)

// An algorithm is what the store needs to know of one. Its functions are pure.
type algorithm struct {
	name    string
	summary string // one line, for the reference page
	state   string // what it keeps for a key, for the reference page
	// step takes one step from st at instant now (ns). A result equal to st means that
	// nothing is written; the zero state means that the key is at rest.
	step func(o op, st state, l Limit, now, cost int64) (state, Decision)
	// rest is the instant (ns) from which on st is the same as no state at all.
	rest func(st state) int64
	// hasBurst says whether a burst other than the limit means something.
	hasBurst bool
	// keepsLog says that the state is a log and not a word.
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

// A state is what is kept for one key: a word for algorithms that need no more, a log
// for those that do. The zero state is that of a key at rest, for every algorithm.
// States are values: a step makes a new one and never changes the old.
type state struct {
	word int64
	log  *logState
}
