package engine

import (
	"errors"
	"sync/atomic"
)

// A Call asks several limits at once, all or nothing: it is admitted if every part admits it, and a
// denial leaves each as it was.
type Call struct {
	Op    Op    // OpCheck, OpPeek, OpRefund or OpForce
	Cost  int64 // units of each part, 1 … UnitsMax
	Parts []Part

	// The answer. Allowed: every part that is not Shadow admits. A decision that nobody has counted
	// has Remaining −1. The other numbers are those of the part that binds: on a denial the longest
	// RetryAfter of the parts that deny (Never is the longest), else the least Remaining. Delay is
	// the longest of all parts, so that whoever waits for it keeps every one.
	Decision Decision
}

// A Part is one limit of a Call, with a state of its own.
type Part struct {
	State     string    // the state's name, 1 … StateBytesMax bytes
	Algorithm Algorithm // with Named
	Limit     Limit
	// Formers are limits that this one has replaced, the latest first. Where such a state is live and
	// this one has none, the first question moves the former's units here, exactly once.
	Formers []Former
	// Pair is which key and policy of the call the part is of. Parts of a pair stand together.
	Pair int
	// Shadow: the part is asked and counted, and never denies. The parts of a pair are all or nothing
	// among themselves: where one denies, nothing is taken of this pair.
	Shadow bool
	// Replaced, if not nil, is set before another limit takes the place of this one. A call that meets
	// it set has taken nothing, and returns ErrReplaced.
	Replaced *atomic.Bool

	Decision Decision // of this limit by itself
}

// A Former is a limit that another one has replaced, and the name of its state.
type Former struct {
	State     string
	Algorithm Algorithm // with Named
	Limit     Limit
}

// ErrReplaced is the answer when a limit was replaced while it was asked. Nothing was taken. The
// caller asks the one that is in force now.
var ErrReplaced = errors.New("engine: the limit was replaced meanwhile")

// StateBytesMax is the longest name of a state, in bytes: a key, and what tells limits of one key apart.
const StateBytesMax = KeyBytesMax + 128

// AskCall asks all parts at instant now, and writes the answer into the call and its parts. An error
// changes nothing: that of Ask for a part, or ErrReplaced.
func (s *Store) AskCall(*Call, int64) error { return errors.ErrUnsupported }
