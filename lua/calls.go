package lua

import (
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/hashslot"
)

// ErrCrossSlot is the answer to a call over keys that no one primary of a cluster has.
var ErrCrossSlot = &Error{"CROSSSLOT", "Keys in request don't hash to the same slot: " +
	"in a Redis Cluster one primary decides a call, so all its keys need the same {hash tag}. Nothing was taken"}

// callCommand is the EVALSHA of a call: see call.lua.
func callCommand(c *engine.Call, o *Options, clock int64) []any {
	args := append(make([]any, 0, 6+9*len(c.Parts)), "evalsha", callScript.sha, 0)
	names := len(args)
	for i := range c.Parts {
		p := &c.Parts[i]
		args = append(args, stateKey(o.Prefix, p.State))
		for j := range p.Formers {
			args = append(args, stateKey(o.Prefix, p.Formers[j].State))
		}
	}
	states := len(args) - names
	args[names-1] = states
	args = append(args, opLetters[c.Op], "", states-len(c.Parts))
	if clock >= 0 {
		args[len(args)-2] = clock
	}
	for i := range c.Parts {
		p, shadow := &c.Parts[i], 0
		if p.Shadow {
			shadow = 1 + p.Pair
		}
		args = append(appendStep(args, c.Op, p.Algorithm, &p.Limit, c.Cost, o), shadow, len(p.Formers))
		if len(p.Formers) > 0 {
			args = appendPrice(args, p.Algorithm, &p.Limit)
		}
		for j := range p.Formers {
			f := &p.Formers[j]
			args = appendPrice(appendStep(args, engine.OpPeek, f.Algorithm, &f.Limit, 1, o), f.Algorithm, &f.Limit)
		}
	}
	return args
}

// stepArguments is how many arguments each step has in a call.
const stepArguments = 5

// appendStep appends the arguments of a step, and its letter.
func appendStep(to []any, op engine.Op, a engine.Algorithm, l *engine.Limit, cost int64, o *Options) []any {
	asked, end := engine.Question{Op: op, Algorithm: a, Limit: *l, Cost: cost}, len(to)+stepArguments
	to = rowOf(a).arguments(to, &asked, o)
	for len(to) < end {
		to = append(to, 0)
	}
	return append(to, letterOf(a))
}

// appendPrice appends what the price of any number of units follows from, if it is a meter's.
func appendPrice(to []any, a engine.Algorithm, l *engine.Limit) []any {
	if !rowOf(a).byDebt {
		return append(to, 0, 0, 0, 0)
	}
	unit := l.Price(1)
	return append(appendSpan(to, unit), l.Limit()*unit-int64(l.Period()), l.Limit())
}

// explainCall reads the script's reply into the call and its parts.
func explainCall(c *engine.Call, reply any) error {
	list, ok := reply.([]any)
	if !ok || len(list) != 2*len(c.Parts) {
		return unless(false, reply)
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		taken, ok := list[2*i].(int64)
		if !ok {
			return unless(false, reply)
		}
		asked := engine.Question{Op: c.Op, Algorithm: p.Algorithm, Limit: p.Limit, Cost: c.Cost}
		if c.Op == engine.OpCheck && taken == 0 {
			asked.Op = engine.OpPeek
		}
		if _, err := explain(&asked, list[2*i+1]); err != nil {
			return err
		}
		p.Decision = asked.Decision
	}
	c.Conclude()
	return nil
}

// eachState visits the names of all states that a question may change.
func eachState(q *engine.Question, visit func(name string)) {
	if q.Call == nil {
		visit(q.Key)
		return
	}
	for i := range q.Call.Parts {
		p := &q.Call.Parts[i]
		visit(p.State)
		for j := range p.Formers {
			visit(p.Formers[j].State)
		}
	}
}

// eachForgiven visits the names of the states that a question may have owe less than before: those that it
// gives back to or resets, and the formers of a call, whose units are moved.
func eachForgiven(q *engine.Question, visit func(name string)) {
	if forgives(q) {
		eachState(q, visit)
	} else if q.Call != nil {
		for i := range q.Call.Parts {
			for j := range q.Call.Parts[i].Formers {
				visit(q.Call.Parts[i].Formers[j].State)
			}
		}
	}
}

// firstState is the name of a state of a question's. All are in one slot.
func firstState(q *engine.Question) string {
	if q.Call != nil {
		return q.Call.Parts[0].State
	}
	return q.Key
}

// touches says whether a question may change the state of a name.
func touches(q *engine.Question, name string) (found bool) {
	eachState(q, func(own string) { found = found || own == name })
	return found
}

// slotOf is the slot of a state in a cluster.
func (l *Limiter) slotOf(name string) int { return hashslot.Of(stateKey(l.options.Prefix, name)) }

// sharesSlot says whether all states of a question are in one slot.
func (l *Limiter) sharesSlot(q *engine.Question) bool {
	slot, same := l.slotOf(firstState(q)), true
	eachState(q, func(name string) { same = same && l.slotOf(name) == slot })
	return same
}
