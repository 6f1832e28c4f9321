package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// Apply puts entries in force, in their order. After an error nothing has changed.
func (s *Set) Apply(entries []Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apply(entries)
}

// Replace puts another set in the place of this one. The entries may be in any order. After an error
// nothing has changed.
func (s *Set) Replace(entries []Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(entries)
	has := make(map[string]bool, len(all))
	for _, e := range all {
		has[e.Field] = true
	}
	for _, p := range s.sorted() {
		p.eachKey(func(key string, _ *Plan) {
			if field := fieldOf(p.name, key); !has[field] {
				all = append(all, Entry{Field: field})
			}
		})
		if !has[p.name] {
			all = append(all, Entry{Field: p.name})
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Compare(a.Field, b.Field) }) // a policy before its overrides
	return s.apply(all)
}

// An assignment is what becomes of a policy and its keys.
type assignment struct {
	name  string
	base  *draft // nil: stays
	gone  bool   // the policy is
	keys  []keyDraft
	index map[string]int // of keys
	// limits are those of values that were seen before: many keys have the same definition.
	drafts map[string]*draft
	limits map[*draft][]Limit
}

type keyDraft struct {
	key   string
	draft *draft // nil: none any more
}

// apply puts entries in force. s.mu is held.
func (s *Set) apply(entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var order []*assignment
	byName := map[string]*assignment{}
	for _, e := range entries {
		name, key := e.split()
		a := byName[name]
		if a == nil {
			a = &assignment{name: name, index: map[string]int{}, drafts: map[string]*draft{}, limits: map[*draft][]Limit{}}
			byName[name], order = a, append(order, a)
		}
		if err := a.read(s, key, e.Value); err != nil {
			return fmt.Errorf("%w (of %.*q)", err, quotedBytesMax, e.Field)
		}
	}
	version := s.version.Load() + 1
	for _, a := range order {
		a.apply(s, version)
	}
	s.version.Store(version)
	return nil
}

// read takes an entry in.
func (a *assignment) read(s *Set, key, value string) error {
	var d *draft
	if value != "" {
		if d = a.drafts[value]; d == nil {
			var err error
			d, err = parseDraft(a.name, value, func() (Definition, error) { return a.definition(s) })
			if err != nil {
				return err
			}
			a.drafts[value], a.limits[d] = d, d.limits(a.name)
		}
	}
	if key == "" {
		a.base, a.gone = d, d == nil
		return CheckName(a.name)
	}
	if i, has := a.index[key]; has {
		a.keys[i].draft = d
		return nil
	}
	if d != nil {
		if _, err := a.definition(s); err != nil {
			return err
		}
	}
	a.index[key] = len(a.keys)
	a.keys = append(a.keys, keyDraft{key, d})
	return nil
}

// definition is that of the policy, as far as entries are read.
func (a *assignment) definition(s *Set) (Definition, error) {
	if a.base != nil {
		return a.base.Definition, nil
	}
	if p := s.Find(a.name); p != nil && !a.gone {
		return p.Plan().Definition, nil
	}
	return Definition{}, fmt.Errorf("%w: an override of a policy that is not there", errEntry)
}

// plan is a draft in force.
func (a *assignment) plan(p *Policy, d *draft, key string) *Plan {
	plan := &Plan{Definition: d.Definition, Policy: a.name, Override: key != "" && !d.rest, File: d.file,
		Limits: a.limits[d], DeniedShadow: &p.deniedShadow, rest: d.rest}
	if d.Verdict != Ask {
		plan.passed = d.formers
	}
	return plan
}

// apply puts what was read in force.
func (a *assignment) apply(s *Set, version int64) {
	p := s.Find(a.name)
	switch {
	case a.gone && p != nil:
		p.end(s)
		return
	case p != nil:
	case a.base == nil:
		return // nothing is there to take away
	default:
		p = &Policy{name: a.name, rests: map[string]bool{}}
		p.base.Store(a.plan(p, a.base, ""))
		a.base = nil
		defer func() {
			s.policies.Store(a.name, p)
			s.count.Add(1)
		}()
	}
	old := p.base.Load()
	base := old
	isNew := func(k keyDraft) bool { _, has := p.keys.Load(k.key); return !has && k.draft != nil }
	switch {
	case a.base != nil:
		base = a.plan(p, a.base, "")
	case slices.ContainsFunc(a.keys, isNew):
		base = old.copy()
	}
	var first []*Plan // of their keys
	for _, k := range a.keys {
		if plan := a.applyKey(s, p, k, old, base); plan != nil {
			first = append(first, plan)
		}
	}
	if base != old {
		old.next = base
		old.Replaced.Store(true) // from here on all plans are in force
		p.base.Store(base)
	}
	for _, plan := range first {
		plan.after.Store(nil)
	}
	p.version.Store(version)
}

// applyKey puts the plan of a key in force, or takes it away. A key that has had none has the plan once
// old, that of the policy, is replaced; then the plan is returned.
func (a *assignment) applyKey(s *Set, p *Policy, k keyDraft, old, base *Plan) (first *Plan) {
	var before, plan *Plan
	if own, has := p.keys.Load(k.key); has {
		before = own.(*Plan)
	}
	if k.draft != nil {
		plan = a.plan(p, k.draft, k.key)
	}
	switch {
	case before == nil && plan == nil:
		return nil
	case before == nil:
		plan.after.Store(old)
		p.sift(k.key)
		p.keys.Store(k.key, plan)
		p.keyCount.Add(1)
		first = plan
	case plan == nil:
		before.next = base
		before.Replaced.Store(true)
		p.keys.Delete(k.key)
		p.keyCount.Add(-1)
	default:
		before.next = plan
		before.Replaced.Store(true)
		p.keys.Store(k.key, plan)
	}
	p.count(s, before, -1)
	p.count(s, plan, 1)
	switch isRest := plan != nil && plan.rest; {
	case isRest && !p.rests[k.key]:
		p.rests[k.key] = true
		s.rests = append(s.rests, rest{p, k.key})
		s.rested++
	case !isRest && p.rests[k.key]:
		delete(p.rests, k.key)
		s.rested--
	}
	return first
}

// count counts a plan if it is an override.
func (p *Policy) count(s *Set, plan *Plan, n int64) {
	if plan != nil && plan.Override {
		p.overrides.Add(n)
		s.overrides.Add(n)
	}
}

// copy is another plan that says the same.
func (p *Plan) copy() *Plan {
	return &Plan{Definition: p.Definition, Policy: p.Policy, Override: p.Override, File: p.File,
		Limits: p.Limits, DeniedShadow: p.DeniedShadow, passed: p.passed, rest: p.rest}
}

// end takes a policy out of the set. Nothing takes the place of its plans.
func (p *Policy) end(s *Set) {
	p.keys.Range(func(_, own any) bool {
		plan := own.(*Plan)
		plan.Replaced.Store(true)
		p.count(s, plan, -1)
		return true
	})
	p.base.Load().Replaced.Store(true)
	s.rested -= len(p.rests)
	s.policies.Delete(p.name)
	s.count.Add(-1)
}
