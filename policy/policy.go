package policy

import (
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
)

// The bounds of a policy.
const (
	NameBytesMax = 64 // letters, digits, _ . -
	LimitsMax    = 8
	PairsMax     = 16 // of one RL.MCHECK
)

// A Rule is one limit as it is written: ALGORITHM LIMIT PERIOD [BURST n].
type Rule struct {
	Algorithm engine.Algorithm // without Named
	Limit     engine.Limit
}

// A Verdict is what a plan does with a request.
type Verdict uint8

// The verdicts.
const (
	Ask   Verdict = iota // the rules decide
	Deny                 // without state
	Allow                // without state
)

// A Definition is a policy or an override as it is written, canonically:
//
//	ALGORITHM LIMIT PERIOD [BURST n] [+ …] [SHADOW]  |  deny  |  allow
type Definition struct {
	Verdict Verdict
	Rules   []Rule // 1 … LimitsMax of Ask
	Shadow  bool
}

// A Plan is a definition in force for some keys. It never changes; another one takes its place, and
// then Replaced is set, before that can be seen.
type Plan struct {
	Definition
	Policy   string
	Override bool // for one key
	// Limits are the rules as the engine is asked: suffixes of states, and what they have replaced.
	Limits   []Limit
	Replaced atomic.Bool
	// DeniedShadow counts the requests that a shadow would have denied.
	DeniedShadow atomic.Uint64
}

// A Limit is a rule in force.
type Limit struct {
	// Suffix makes the name of the state from a key: "@api:t100/1s". See Suffix.
	Suffix    string
	Algorithm engine.Algorithm // with engine.Named
	Limit     engine.Limit
	Formers   []Limit // of which the units are carried over; they have no formers themselves
	// Until (µs since the Unix epoch) is when the state of a former is idle for certain, and forgotten.
	Until int64
}

// An Entry is a policy, or an override of one, as it is kept: in the change stream, on disk, on
// replicas, in Redis. All entries together are a set.
type Entry struct {
	Field string // the policy's name, or for an override the name, a blank, and the key
	Value string // text; empty: there is none any more
}
