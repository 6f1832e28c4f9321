package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Entry is a policy, or an override of one, as it is kept: in the change stream, on disk, on
// replicas, in Redis. All entries together are a set.
//
// The first line of a value is the definition; of an override that was unset, and whose limits are
// still carried over, it is "-". Behind it are lines "file", where the settings file says so, and
// "former PLACE UNTIL RULE", in the order of the plan: PLACE is the rule that it is a former of, from 1
// on, or of a plan without rules the group, and UNTIL is in µs since the Unix epoch.
type Entry struct {
	Field string // the policy's name, or for an override the name, a blank, and the key
	Value string // text; empty: there is none any more
}

// restText is the definition of an override that was unset.
const restText = "-"

// split is the policy and the key of an entry. A policy itself has no key, and no key is empty.
func (e Entry) split() (name, key string) {
	name, key, _ = strings.Cut(e.Field, " ")
	return name, key
}

func fieldOf(name, key string) string {
	if key == "" {
		return strings.Clone(name) // which may be a view of a buffer
	}
	return name + " " + key
}

// A draft is what an entry says of a plan.
type draft struct {
	Definition // of rest that of the policy
	file, rest bool
	formers    [][]Limit // by place
}

// value is the text of a draft.
func (d *draft) value() string {
	var text []byte
	if d.rest {
		text = append(text, restText...)
	} else {
		text = d.append(nil)
	}
	if d.file {
		text = append(text, "\nfile"...)
	}
	for i, group := range d.formers {
		for _, f := range group {
			text = append(strconv.AppendInt(append(text, "\nformer "...), int64(i+1), 10), ' ')
			text = append(strconv.AppendInt(text, f.Until, 10), ' ')
			text = f.rule().append(text)
		}
	}
	return string(text)
}

// draft is the draft that a plan was made of.
func (p *Plan) draft() *draft {
	d := &draft{Definition: p.Definition, file: p.File, rest: p.rest, formers: p.passed}
	if p.Verdict == Ask {
		d.formers = make([][]Limit, len(p.Limits))
		for i := range p.Limits {
			d.formers[i] = p.Limits[i].Formers
		}
	}
	return d
}

// limits are the limits of a draft in force.
func (d *draft) limits(policy string) []Limit {
	if d.Verdict != Ask {
		return nil
	}
	limits := make([]Limit, len(d.Rules))
	for i, r := range d.Rules {
		limits[i] = limitOf(policy, r)
		if i < len(d.formers) {
			limits[i].Formers = d.formers[i]
		}
	}
	return limits
}

var errEntry = errors.New("policy: an entry that is not known")

// parseDraft reads the value of an entry, which is not empty. of is the definition of the policy.
func parseDraft(policy, value string, of func() (Definition, error)) (d *draft, err error) {
	first, rest, _ := strings.Cut(value, "\n")
	d = &draft{rest: first == restText}
	if d.rest {
		d.Definition, err = of()
	} else {
		d.Definition, err = Parse(first)
	}
	for err == nil && rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if former, found := strings.CutPrefix(line, "former "); found {
			err = d.parseFormer(policy, former)
		} else if line == "file" {
			d.file = true
		} else {
			err = fmt.Errorf("%w: the line %.*q", errEntry, quotedBytesMax, line)
		}
	}
	return d, err
}

// parseFormer reads a former: PLACE UNTIL RULE.
func (d *draft) parseFormer(policy, text string) error {
	words := strings.SplitN(text, " ", 3)
	if len(words) < 3 {
		return fmt.Errorf("%w: former %.*q", errEntry, quotedBytesMax, text)
	}
	place, isPlace := Number(words[0])
	until, isUntil := Number(words[1])
	rule, err := ParseRule(words[2])
	if !isPlace || !isUntil || place < 1 || place > LimitsMax || until < 0 || err != nil {
		return fmt.Errorf("%w: former %.*q", errEntry, quotedBytesMax, text)
	}
	for len(d.formers) < int(place) {
		d.formers = append(d.formers, nil)
	}
	l := limitOf(policy, rule)
	l.Until = until
	d.formers[place-1] = append(d.formers[place-1], l)
	return nil
}

// hasFormers says whether there is anything to carry over.
func (d *draft) hasFormers() bool {
	for _, group := range d.formers {
		if len(group) > 0 {
			return true
		}
	}
	return false
}

// isRested says whether a plan that an unset override has left is of no use any more.
func (p *Plan) isRested(now int64) bool {
	for _, former := range p.draft().formers {
		for _, f := range former {
			if now < f.Until {
				return false
			}
		}
	}
	return true
}
