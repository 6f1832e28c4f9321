package policy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rlserver/rlserver/engine"
)

// The bounds of policies.
const (
	NameBytesMax = 64 // letters, digits, _ . -
	LimitsMax    = 8  // of one policy
	PairsMax     = 16 // of one RL.MCHECK
	PoliciesMax  = 100_000
	OverridesMax = 1_000_000 // of all policies
)

// A Rule is one limit as it is written: ALGORITHM LIMIT PERIOD [BURST n].
type Rule struct {
	Algorithm engine.Algorithm // without Named
	Limit     engine.Limit
}

// String is the rule as it is written. Period is the largest unit that divides it.
func (r Rule) String() string { return string(r.append(nil)) }

func (r Rule) append(text []byte) []byte {
	text = append(append(text, r.Algorithm.String()...), ' ')
	text = append(strconv.AppendInt(text, r.Limit.Limit(), 10), ' ')
	text = append(text, r.Limit.PeriodText()...)
	if burst := r.Limit.Burst(); burst != r.Limit.Limit() {
		text = strconv.AppendInt(append(text, " BURST "...), burst, 10)
	}
	return text
}

// A Verdict is what a plan does with a request.
type Verdict uint8

// The verdicts.
const (
	Ask   Verdict = iota // the rules decide
	Deny                 // without state
	Allow                // without state
)

// String is the verdict in lower case, as a definition has it.
func (v Verdict) String() string { return [...]string{Ask: "ask", Deny: "deny", Allow: "allow"}[v] }

// A Definition is a policy or an override as it is written, canonically:
//
//	ALGORITHM LIMIT PERIOD [BURST n] [+ …] [SHADOW]  |  deny  |  allow
type Definition struct {
	Verdict Verdict
	Rules   []Rule // 1 … LimitsMax of Ask
	Shadow  bool
}

// String is the definition as it is written. Parse reads it again.
func (d Definition) String() string { return string(d.append(nil)) }

func (d Definition) append(text []byte) []byte {
	if d.Verdict != Ask {
		return append(text, d.Verdict.String()...)
	}
	for i, r := range d.Rules {
		if i > 0 {
			text = append(text, " + "...)
		}
		text = r.append(text)
	}
	if d.Shadow {
		text = append(text, " SHADOW"...)
	}
	return text
}

// Equal says whether two definitions are written alike.
func (d Definition) Equal(other Definition) bool {
	if d.Verdict != other.Verdict || d.Shadow != other.Shadow || len(d.Rules) != len(other.Rules) {
		return false
	}
	for i, r := range d.Rules {
		if r != other.Rules[i] {
			return false
		}
	}
	return true
}

// Check finds what is wrong with a definition, where the highest limit of a log is logLimitMax units.
// The error names the rule, and what is accepted.
func (d Definition) Check(logLimitMax int64) error {
	switch {
	case d.Verdict != Ask:
		return nil
	case len(d.Rules) == 0:
		return errNoLimit
	case len(d.Rules) > LimitsMax:
		return fmt.Errorf("%d limits: accepted is 1 to %d", len(d.Rules), LimitsMax)
	}
	places := make(map[string]int, LimitsMax)
	for i, r := range d.Rules {
		if err := r.Algorithm.CheckLimit(&r.Limit, logLimitMax); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
		suffix := Suffix("", r)
		if before := places[suffix]; before > 0 {
			return fmt.Errorf("rules %d and %d would count in the same state: accepted are rules that differ in algorithm or period, or in the limit of a bucket", before, i+1)
		}
		places[suffix] = i + 1
	}
	return nil
}

var errNoLimit = fmt.Errorf("no limit: accepted is 1 to %d limits, each ALGORITHM LIMIT PERIOD [BURST n], or deny or allow", LimitsMax)

// CheckName finds what is wrong with the name of a policy.
func CheckName(name string) error {
	good := name != "" && len(name) <= NameBytesMax
	for i := 0; good && i < len(name); i++ {
		c := name[i]
		good = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.-", c) >= 0
	}
	if good {
		return nil
	}
	return fmt.Errorf("policy name %.*q is not accepted: accepted is 1 to %d letters, digits, _ . and -", quotedBytesMax, name, NameBytesMax)
}
