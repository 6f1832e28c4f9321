package policy

import (
	"slices"

	"github.com/rlserver/rlserver/engine"
)

// formersMax is the most formers of a limit. Where limits change more often than they are forgotten,
// the oldest is forgotten early.
const formersMax = 8

// formerLag (µs) is how long units may be taken under a limit after the change that replaces it was
// computed: until it is kept, and until every server that shares a Redis has read it.
const formerLag = 2_000_000

// successors are the formers of each rule of a definition that takes the place of a plan at an instant
// (µs), or, if it has no rules, the groups that it passes on.
//
// A rule that the plan has as well, which is one with the same suffix, keeps its state. Of the others,
// each one of the plan is followed by at most one of the definition: that with the same algorithm and
// period, else with the same period, else at the same place.
func successors(before *Plan, d Definition, now int64) [][]Limit {
	if before == nil {
		return nil
	}
	groups := before.groups(now)
	if d.Verdict != Ask {
		return slices.DeleteFunc(groups, func(g []Limit) bool { return len(g) == 0 })
	}
	rules := make([]Limit, len(d.Rules))
	for i, r := range d.Rules {
		rules[i] = limitOf(before.Policy, r)
	}
	formers := make([][]Limit, len(rules))
	followed, follows := make([]bool, len(groups)), make([]bool, len(rules))
	for _, match := range matches {
		for i := range rules {
			for j, g := range groups {
				if len(g) > 0 && !followed[j] && !follows[i] && match(&rules[i], &g[0], i, j) {
					formers[i], followed[j], follows[i] = g, true, true
				}
			}
		}
	}
	isRule := func(former Limit) bool {
		return slices.ContainsFunc(rules, func(r Limit) bool { return r.Suffix == former.Suffix })
	}
	for i := range formers {
		kept := slices.DeleteFunc(formers[i], isRule)
		formers[i] = kept[:min(len(kept), formersMax)]
	}
	return formers
}

// matches say whether a rule follows one before, at places i and j; the first that does so counts.
var matches = [...]func(rule, before *Limit, i, j int) bool{
	func(rule, before *Limit, _, _ int) bool { return rule.Suffix == before.Suffix },
	func(rule, before *Limit, _, _ int) bool {
		return rule.Algorithm == before.Algorithm && samePeriod(rule, before)
	},
	func(rule, before *Limit, _, _ int) bool { return samePeriod(rule, before) },
	func(_, _ *Limit, i, j int) bool { return i == j },
}

func samePeriod(a, b *Limit) bool {
	return a.Limit.Period() == b.Limit.Period() && a.Limit.Calendar() == b.Limit.Calendar()
}

// groups are the limits of a plan, each with its formers behind it, as they would be formers from an
// instant on.
func (p *Plan) groups(now int64) [][]Limit {
	groups := make([][]Limit, 0, len(p.Limits)+len(p.passed))
	live := func(limits []Limit) (live []Limit) {
		for _, l := range limits {
			if now < l.Until {
				live = append(live, l)
			}
		}
		return live
	}
	for i := range p.Limits {
		l := p.Limits[i]
		formers := l.Formers
		l.Formers, l.Until = nil, now+formerLag+idleAfter(&l)
		groups = append(groups, append([]Limit{l}, live(formers)...))
	}
	for _, g := range p.passed {
		groups = append(groups, live(g))
	}
	return groups
}

// idleAfter is how long (µs) a state can be live after its last unit: the longer of the period and the
// time that the burst takes to fill. What was forced beyond the burst can be live longer.
func idleAfter(l *Limit) int64 {
	ns, r := int64(l.Limit.Period()), l.rule()
	if r.Algorithm == engine.SlidingWindowCounter {
		ns += ns/64 + 1 // a unit counts until the end of its slice
	}
	if r.Algorithm.HasBurst() {
		ns = max(ns, l.Limit.Price(l.Limit.Burst()+1))
	}
	return ns/1000 + 1
}
