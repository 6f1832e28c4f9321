package policy

import (
	"strconv"
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
)

// A Plan is a definition in force for some keys. It never changes; another one takes its place, and
// then Replaced is set, before that can be seen.
type Plan struct {
	Definition
	Policy   string
	Override bool // for one key
	File     bool // from the settings file
	// Limits are the rules as the engine is asked: suffixes of states, and what they have replaced.
	Limits   []Limit
	Replaced atomic.Bool
	// DeniedShadow counts the requests that a shadow would have denied: one counter for all plans of a
	// policy.
	DeniedShadow *atomic.Uint64

	passed [][]Limit // formers that a plan without rules passes on, in groups that belong together
	next   *Plan     // takes the place of this one once Replaced is set; nil: none does
	after  atomic.Pointer[Plan]
	rest   bool // has the definition of the policy, and formers of its own: an override was unset
}

// A Limit is a rule in force.
type Limit struct {
	// Suffix makes the name of the state from a key: "@api:t100/1s". See Suffix.
	Suffix    string
	Ending    engine.Suffix    // the same, for look-ups
	Algorithm engine.Algorithm // with engine.Named
	Limit     engine.Limit
	Formers   []Limit // of which the units are carried over, the latest first; they have no formers themselves
	// Until (µs since the Unix epoch) is when the state of a former is idle for certain, and forgotten.
	Until int64
}

// rule is the limit as it is written.
func (l *Limit) rule() Rule { return Rule{l.Algorithm &^ engine.Named, l.Limit} }

// Suffix is what the name of a state has behind the key: @POLICY:, the algorithm's letter, of a bucket
// the limit, and /PERIOD. So a rule whose other numbers change keeps its states.
func Suffix(policy string, r Rule) string {
	text := make([]byte, 0, len(policy)+40)
	text = append(append(append(text, '@'), policy...), ':', r.Algorithm.Letter())
	if r.Algorithm.HasBurst() { // whose debt is a time, which is worth more or fewer units at another rate
		text = strconv.AppendInt(text, r.Limit.Limit(), 10)
	}
	return string(append(append(text, '/'), r.Limit.PeriodText()...))
}

// limitOf is a rule in force, without formers.
func limitOf(policy string, r Rule) Limit {
	suffix := Suffix(policy, r)
	return Limit{Suffix: suffix, Ending: engine.NewSuffix(suffix), Algorithm: r.Algorithm | engine.Named, Limit: r.Limit}
}
