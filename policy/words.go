package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Question is what the words behind a key ask for: a policy by its name, or a rule; and options.
type Question struct {
	Policy string // the name, without its @, as a view of the word; empty: Rule
	Rule   Rule
	Cost   int64 // units, 1 … engine.UnitsMax
	Force  bool
}

// ErrFewWords is about a question that ends too early.
var ErrFewWords = errors.New("expected ALGORITHM LIMIT PERIOD [BURST n] [COST n], or @POLICY [COST n]")

// Read reads algorithm limit period [BURST n] [COST n] [FORCE], or @policy [COST n] [FORCE]. Options
// stand in any order. noForce is the command if it does not take FORCE. An error names the word that is
// wrong, and what is accepted.
func (q *Question) Read(words [][]byte, noForce string) error {
	*q = Question{}
	if len(words) > 0 && IsName(words[0]) {
		q.Policy = view(words[0][1:])
		return q.ReadOptions(words[1:], noForce)
	}
	if len(words) < 3 {
		return ErrFewWords
	}
	o := optionWords{hasRule: true, noForce: noForce}
	if err := o.rule.read(words); err != nil {
		return err
	}
	if err := o.read(words[3:]); err != nil {
		return err
	}
	q.Cost, q.Force = max(o.cost, 1), o.force
	return o.rule.make(&q.Rule)
}

// ReadOptions reads what may stand behind the name of a policy: [COST n] [FORCE].
func (q *Question) ReadOptions(words [][]byte, noForce string) error {
	o := optionWords{noForce: noForce}
	err := o.read(words)
	q.Cost, q.Force = max(o.cost, 1), o.force
	return err
}

// IsName says whether a word is the name of a policy where a rule could stand: @NAME.
func IsName(word []byte) bool { return len(word) > 0 && word[0] == '@' }

// ruleWords are the words of a rule, read one by one.
type ruleWords struct {
	algorithm    engine.Algorithm
	limit, burst int64 // burst: 0 if there is none
	period       time.Duration
	calendar     engine.Calendar
}

// read reads ALGORITHM LIMIT PERIOD, which are words[:3].
func (r *ruleWords) read(words [][]byte) (err error) {
	if r.algorithm, err = engine.ParseAlgorithm(view(words[0])); err != nil {
		return err
	}
	if err = readUnits("limit", words[1], &r.limit); err != nil {
		return err
	}
	var ok bool
	r.period, r.calendar, ok = readPeriod(view(words[2]))
	switch isWindow := r.algorithm == engine.FixedWindow; {
	case !ok:
		return errPeriod(words[2], isWindow)
	case r.calendar != engine.NoCalendar && !isWindow:
		return fmt.Errorf("period %v is not accepted by %v: accepted is minute, hour, day or a number with ms, s, m, h or d; week, month and year are for fixed_window", r.calendar, r.algorithm)
	}
	return nil
}

// make makes the rule of its words.
func (r *ruleWords) make(to *Rule) (err error) {
	to.Algorithm = r.algorithm
	if r.calendar != engine.NoCalendar {
		to.Limit, err = engine.NewCalendarLimit(r.limit, r.calendar)
	} else {
		to.Limit, err = engine.NewLimit(r.limit, r.period, r.burst)
	}
	return err
}

// readUnits reads a limit, burst or cost: 1 … engine.UnitsMax.
func readUnits(argument string, word []byte, to *int64) error {
	n, ok := Number(view(word))
	if !ok {
		return fmt.Errorf("%s '%s' is not accepted: accepted is a whole number from 1 to %d", argument, cut(word), engine.UnitsMax)
	}
	*to = n
	return engine.CheckUnits(argument, n)
}

// optionWords are BURST n, COST n and FORCE, in any order.
type optionWords struct {
	rule     ruleWords // that a burst is for
	hasRule  bool      // or else they are for a policy, which has its own bursts
	inPolicy bool      // of a rule in a policy: only BURST
	next     string    // what stands before another rule of the policy, if it can
	noForce  string    // see Question.Read

	cost  int64
	force bool
}

func (o *optionWords) read(words [][]byte) error {
	for i := 0; i < len(words); i += 2 {
		var to *int64
		var name, argument string
		switch word := view(words[i]); {
		case is(word, "burst") && o.hasRule:
			to, name, argument = &o.rule.burst, "BURST", "burst"
		case is(word, "cost") && !o.inPolicy:
			to, name, argument = &o.cost, "COST", "cost"
		case is(word, "force") && !o.inPolicy && o.noForce == "":
			if o.force {
				return errOptionTwice("FORCE")
			}
			o.force = true
			i-- // it has no value
			continue
		default:
			return o.unknown(words[i])
		}
		switch {
		case *to != 0:
			return errOptionTwice(name)
		case i+1 == len(words):
			return errors.New("option " + name + " needs a value")
		}
		if err := readUnits(argument, words[i+1], to); err != nil {
			return err
		}
	}
	if o.rule.burst != 0 && !o.rule.algorithm.HasBurst() {
		return fmt.Errorf("option BURST is not accepted by %v: its limit is the most that it admits at once", o.rule.algorithm)
	}
	return nil
}

// unknown is about a word that is no option here.
func (o *optionWords) unknown(word []byte) error {
	var accepted string
	switch withForce := o.noForce == ""; {
	case o.next != "":
		accepted = "BURST n, " + o.next + " before another limit, or SHADOW"
	case o.inPolicy:
		accepted = "BURST n"
	case o.hasRule && withForce:
		accepted = "BURST n, COST n and FORCE"
	case o.hasRule:
		accepted = "BURST n and COST n"
	case withForce:
		accepted = "COST n and FORCE"
	default:
		accepted = "COST n"
	}
	switch text := view(word); {
	case is(text, "force") && !o.inPolicy:
		return fmt.Errorf("option FORCE is not accepted by %s: accepted is %s; RL.CHECK and RL.MCHECK take FORCE", o.noForce, accepted)
	case is(text, "burst") && !o.inPolicy:
		return fmt.Errorf("option BURST is not accepted with a policy, which has its own: accepted is %s", accepted)
	case o.inPolicy && (is(text, "cost") || is(text, "force")):
		return fmt.Errorf("option %s is not accepted in a policy: accepted is %s; each request says its own", strings.ToUpper(text), accepted)
	}
	return fmt.Errorf("option '%s' is not known: accepted is %s", cut(word), accepted)
}

// Parse reads a definition from text: deny, allow, or rules with + between them and SHADOW at the end.
// It finds nothing wrong that takes a look at several rules: see Check.
func Parse(text string) (Definition, error) {
	var words [][]byte
	for _, word := range strings.Fields("+ " + strings.ReplaceAll(text, "+", " + ")) {
		words = append(words, []byte(word))
	}
	return readDefinition(words, "+")
}

// Read reads a definition from the words of a command: DENY, ALLOW, or rules each of which LIMIT stands
// before, and SHADOW at the end.
func Read(words [][]byte) (Definition, error) { return readDefinition(words, "limit") }

// readDefinition reads rules that a word stands before.
func readDefinition(words [][]byte, before string) (d Definition, err error) {
	bare := words
	if before == "+" { // which Parse has put before the first word
		bare = words[1:]
	}
	if len(bare) == 0 || len(bare) == 1 && is(view(bare[0]), "shadow") {
		return d, errNoLimit
	}
	for _, v := range []Verdict{Deny, Allow} {
		if !is(view(bare[0]), v.String()) {
			continue
		} else if len(bare) > 1 {
			verdict := strings.ToUpper(v.String())
			return d, fmt.Errorf("'%s' behind %s is not accepted: %s stands alone", cut(bare[1]), verdict, verdict)
		}
		return Definition{Verdict: v}, nil
	}
	for len(words) > 0 {
		switch word := view(words[0]); {
		case is(word, "shadow") && len(words) > 1:
			return d, fmt.Errorf("'%s' behind SHADOW is not accepted: SHADOW is for the whole policy, and stands last", cut(words[1]))
		case is(word, "shadow"):
			d.Shadow, words = true, nil
			continue
		case !is(word, before):
			return d, fmt.Errorf("'%s' is not accepted: accepted is %s ALGORITHM LIMIT PERIOD [BURST n], DENY or ALLOW", cut(words[0]), strings.ToUpper(before))
		}
		n := 1
		for n < len(words) && !is(view(words[n]), before) && !is(view(words[n]), "shadow") {
			n++
		}
		if len(d.Rules) == LimitsMax {
			return d, fmt.Errorf("more than %d limits: accepted is 1 to %d", LimitsMax, LimitsMax)
		}
		r, err := readRule(words[1:n], strings.ToUpper(before))
		if err != nil {
			return d, fmt.Errorf("rule %d: %w", len(d.Rules)+1, err)
		}
		d.Rules, words = append(d.Rules, r), words[n:]
	}
	return d, nil
}

// ParseRule reads one rule from text.
func ParseRule(text string) (Rule, error) { return readRule(bytes.Fields([]byte(text)), "") }

// readRule reads a rule of a definition, where next stands before another one.
func readRule(words [][]byte, next string) (rule Rule, err error) {
	switch {
	case len(words) == 0:
		return rule, errors.New("the limit is missing: accepted is ALGORITHM LIMIT PERIOD [BURST n]")
	case len(words) < 3:
		text, more := bytes.Join(words, []byte(" ")), ""
		if len(bytes.Fields(text)) > len(words) {
			more = ", each a word of its own"
		}
		return rule, fmt.Errorf("'%s' is not a limit: accepted is ALGORITHM LIMIT PERIOD [BURST n]%s", cut(text), more)
	}
	o := optionWords{hasRule: true, inPolicy: true, next: next}
	if err = o.rule.read(words); err != nil {
		return rule, err
	}
	if err = o.read(words[3:]); err != nil {
		return rule, err
	}
	return rule, o.rule.make(&rule)
}

// quotedBytesMax bounds what an error quotes of a word.
const quotedBytesMax = 128

func cut(word []byte) []byte { return word[:min(len(word), quotedBytesMax)] }

func errOptionTwice(option string) error {
	return errors.New("option " + option + " is given twice")
}

func errPeriod(word []byte, isWindow bool) error {
	more := ""
	if isWindow {
		more = ", or minute, hour, day, week, month or year"
	}
	return fmt.Errorf("period '%s' is not accepted: accepted is a whole number of seconds, or one with ms, s, m, h or d, from 1ms to 366d%s", cut(word), more)
}
