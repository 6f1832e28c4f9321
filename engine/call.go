package engine

import (
	"errors"
	"sync/atomic"
	"time"
)

// A Call asks several limits at once, all or nothing: it is admitted if every part admits it, and a
// denial leaves each as it was.
type Call struct {
	Op    Op    // OpCheck, OpPeek, OpRefund or OpForce
	Cost  int64 // units of each part, 1 … UnitsMax
	Parts []Part
	// Clock, if not nil, reads the clock (µs) from which the call's instant is. It is read where what was
	// taken from a meter is taken back, as what has decayed meanwhile is not to be given out twice.
	// Without it as much is taken to have decayed as can have.
	Clock func() int64

	// The answer. Allowed: every part that is not Shadow admits. A decision that nobody has counted
	// has Remaining −1. The other numbers are those of the part that binds: see Conclude.
	Decision Decision
}

// A Part is one limit of a Call, with a state of its own.
type Part struct {
	State     string    // the state's name, 1 … StateBytesMax bytes
	Algorithm Algorithm // with Named
	Limit     Limit
	// Key and Suffix, if not empty, are what the name is made of. It is looked up faster then: where they
	// are, nothing was written a moment ago.
	Key    string
	Suffix *Suffix
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

	// Decision is that of this limit by itself. Of a part of which nothing was taken it is that of a peek.
	Decision Decision

	hash uint64 // of the state's name
	name name   // if it can be made of its parts, else of no length
	took taken
	seen glance
	has  bool // units were taken by this call
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

// callTries is how often a check begins again when a part that would have admitted it refuses, because
// of what others have taken meanwhile. Then it is denied.
const callTries = 4

// Conclude makes the call's decision from those of its parts.
//
// If parts deny, it is that of the one with the longest RetryAfter, of which Never is the longest; else
// that of the part with the least Remaining; of equal ones the first. Delay is the longest of all parts,
// so that whoever waits for it keeps every one, and 0 on a denial. A part in shadow binds only where all
// are, and then it denies nothing; it delays nothing.
func (c *Call) Conclude() {
	binds, delay := -1, time.Duration(0)
	for i := range c.Parts {
		p := &c.Parts[i]
		if binds < 0 || p.bindsBefore(&c.Parts[binds]) {
			binds = i
		}
		if !p.Shadow {
			delay = max(delay, p.Decision.Delay)
		}
	}
	if binds < 0 {
		c.Decision = Decision{Allowed: true, Limit: UnitsMax, Remaining: -1}
		return
	}
	c.Decision = c.Parts[binds].Decision
	if c.Parts[binds].Shadow {
		c.Decision.Allowed, c.Decision.RetryAfter = true, 0
	}
	c.Decision.Delay = 0
	if c.Decision.Allowed {
		c.Decision.Delay = delay
	}
}

// bindsBefore says whether the part binds the call and not the other, which stands before it.
func (p *Part) bindsBefore(other *Part) bool {
	d, o := &p.Decision, &other.Decision
	switch {
	case p.Shadow != other.Shadow:
		return other.Shadow
	case d.Allowed != o.Allowed && !p.Shadow:
		return o.Allowed
	case d.Allowed || p.Shadow:
		return d.Remaining < o.Remaining
	}
	return o.RetryAfter != Never && (d.RetryAfter == Never || d.RetryAfter > o.RetryAfter)
}

// replaced says whether a limit of the call was replaced.
func (c *Call) replaced() bool {
	for i := range c.Parts {
		if r := c.Parts[i].Replaced; r != nil && r.Load() {
			return true
		}
	}
	return false
}
