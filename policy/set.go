package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Set is all policies of a server. Reading it takes no lock.
type Set struct {
	now         func() int64 // µs since the Unix epoch
	logLimitMax int64
	policies    sync.Map // name → *Policy
	version     atomic.Int64
	count       atomic.Int64 // of policies
	overrides   atomic.Int64 // of all policies
	near        atomic.Pointer[near]

	mu   sync.Mutex // changes
	file map[string]*FileDefinition
	// rests are unset overrides whose formers were carried over still, when last looked at.
	rests  []rest
	rested int // keys with such a plan, of all policies
}

// A rest is the key of a plan that an unset override has left.
type rest struct {
	policy *Policy
	key    string
}

// A Policy is what a name stands for. The same name may stand for another one once this one is deleted.
type Policy struct {
	name         string
	base         atomic.Pointer[Plan] // of keys without an override
	keys         sync.Map             // key → *Plan, if the key has one of its own
	keyCount     atomic.Int64         // of keys
	sieve        atomic.Pointer[sieve]
	overrides    atomic.Int64 // of these, overrides
	version      atomic.Int64
	deniedShadow atomic.Uint64
	rests        map[string]bool // keys with a plan that an unset override has left; Set.mu is held
}

// NewSet makes an empty set. now is the clock (µs since the Unix epoch) by which formers are forgotten;
// logLimitMax is the highest limit of a log, which changes are checked against.
func NewSet(now func() int64, logLimitMax int64) *Set {
	return &Set{now: now, logLimitMax: logLimitMax, file: map[string]*FileDefinition{}}
}

// Find is the policy of a name, or nil.
func (s *Set) Find(name string) *Policy {
	if p, ok := s.policies.Load(name); ok {
		return p.(*Policy)
	}
	return nil
}

// Version is how often the set has changed.
func (s *Set) Version() int64 { return s.version.Load() }

// Policies is how many there are.
func (s *Set) Policies() int { return int(s.count.Load()) }

// Overrides is how many all policies have.
func (s *Set) Overrides() int { return int(s.overrides.Load()) }

// Names are the names of all policies, sorted.
func (s *Set) Names() []string {
	var names []string
	for _, p := range s.sorted() {
		names = append(names, p.name)
	}
	return names
}

const (
	nearMax    = 3    // names that an error tells
	nearLooked = 1000 // names that are compared: of more, some
)

// A near is the last name that was not known, and those that are near it. Who asks for an unknown name
// mostly does so again.
type near struct {
	name    string
	version int64
	names   []string
}

// Near are the names that a misspelt one was probably meant to be, the nearest first.
func (s *Set) Near(name string) []string {
	version := s.version.Load()
	if last := s.near.Load(); last != nil && last.name == name && last.version == version {
		return last.names
	}
	if len(name) > NameBytesMax {
		return nil
	}
	type known struct {
		name     string
		distance int
	}
	var found []known
	lower, end, left := strings.ToLower(name), nearEnd(name), nearLooked
	s.policies.Range(func(key, _ any) bool {
		if d := editDistance(lower, strings.ToLower(key.(string)), end); d < end {
			found = append(found, known{key.(string), d})
		}
		left--
		return left > 0
	})
	slices.SortFunc(found, func(a, b known) int { return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, k := range found[:min(len(found), nearMax)] {
		names = append(names, k.name)
	}
	s.near.Store(&near{strings.Clone(name), version, names})
	return names
}

// Unknown is the error about a name that no policy has.
func (s *Set) Unknown(name string) error {
	text := fmt.Sprintf("unknown policy '%s'", cut([]byte(name)))
	if near := s.Near(name); len(near) > 0 {
		text += ": did you mean " + strings.Join(near, " or ") + "?"
	} else if s.Policies() == 0 {
		return fmt.Errorf("%s: there is none yet; RL.POLICY SET and policies in the settings file make some", text)
	} else {
		text += ":"
	}
	return fmt.Errorf("%s RL.POLICY LIST shows all", text)
}

func (s *Set) sorted() []*Policy {
	var all []*Policy
	s.policies.Range(func(_, p any) bool {
		all = append(all, p.(*Policy))
		return true
	})
	slices.SortFunc(all, func(a, b *Policy) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Entries tells all of a set as it was at one instant, each policy before its overrides.
func (s *Set) Entries(visit func(Entry)) {
	type kept struct {
		name, key string
		plan      *Plan
	}
	var all []kept
	s.mu.Lock()
	for _, p := range s.sorted() {
		all = append(all, kept{p.name, "", p.base.Load()})
		p.eachKey(func(key string, plan *Plan) { all = append(all, kept{p.name, key, plan}) })
	}
	s.mu.Unlock()
	for _, k := range all {
		visit(Entry{fieldOf(k.name, k.key), k.plan.draft().value()})
	}
}

// Name is the policy's name.
func (p *Policy) Name() string { return p.name }

// Plan is the plan of keys without an override.
func (p *Policy) Plan() *Plan { return p.base.Load() }

// FromFile says whether the settings file has the definition in force.
func (p *Policy) FromFile() bool { return p.base.Load().File }

// Version is that of the set when the policy or an override of it last changed.
func (p *Policy) Version() int64 { return p.version.Load() }

// Overrides is how many the policy has.
func (p *Policy) Overrides() int { return int(p.overrides.Load()) }

// HasKeys says whether some keys have a plan of their own: then For tells which plan a key has.
func (p *Policy) HasKeys() bool { return p.keyCount.Load() > 0 }

// EachOverride visits the overrides, in the order of their keys.
func (p *Policy) EachOverride(visit func(key string, plan *Plan)) {
	p.eachKey(func(key string, plan *Plan) {
		if plan.Override {
			visit(key, plan)
		}
	})
}

func (p *Policy) eachKey(visit func(key string, plan *Plan)) {
	var keys []string
	p.keys.Range(func(key, _ any) bool {
		keys = append(keys, key.(string))
		return true
	})
	slices.Sort(keys)
	for _, key := range keys {
		if plan := p.own(key); plan != nil {
			visit(key, plan)
		}
	}
}

// own is the plan that a key has of its own, or nil.
func (p *Policy) own(key string) *Plan {
	if s := p.sieve.Load(); s == nil || !s.mayHave(key) {
		return nil
	}
	own, ok := p.keys.Load(key)
	if !ok {
		return nil
	}
	// The first plan of a key takes effect when that of the policy is replaced, by one that is the same
	// for all other keys.
	plan := own.(*Plan)
	if after := plan.after.Load(); after != nil && !after.Replaced.Load() {
		return nil
	}
	return plan
}

// For is the plan in force for a key, or nil if the policy is nil or deleted. It waits for no change:
// where one is under way it goes from the plan that is replaced to the one that takes its place.
func (p *Policy) For(key string) *Plan {
	if p == nil {
		return nil
	}
	var seen *Plan
	plan := p.base.Load()
	for plan != nil {
		if own := p.own(key); own != nil && own != seen {
			plan, seen = own, own
		}
		if !plan.Replaced.Load() {
			return plan
		}
		plan = plan.next
	}
	return nil
}
