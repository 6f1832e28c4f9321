package main

import (
	"github.com/rlserver/rlserver/lua"
	"github.com/rlserver/rlserver/policy"
)

// Policies are kept by the replication or in Redis, neither of which knows what they say. Each has a
// type of its own for an entry: E.
type entry interface {
	~struct{ Field, Value string }
}

func convert[To, From entry](entries []From) []To {
	converted := make([]To, len(entries))
	for i, e := range entries {
		converted[i] = To(e)
	}
	return converted
}

// keptSet is the set of policies as its keeper sees it.
type keptSet[E entry] struct{ *policy.Set }

func (s keptSet[E]) Apply(entries []E) error   { return s.Set.Apply(convert[policy.Entry](entries)) }
func (s keptSet[E]) Replace(entries []E) error { return s.Set.Replace(convert[policy.Entry](entries)) }
func (s keptSet[E]) Each(visit func(E))        { s.Entries(func(e policy.Entry) { visit(E(e)) }) }

// kept is a change as its keeper sees it.
func kept[E entry](change func() ([]policy.Entry, error)) func() ([]E, error) {
	return func() ([]E, error) {
		entries, err := change()
		return convert[E](entries), err
	}
}

// sharedPolicies are policies in Redis as the server sees them.
type sharedPolicies struct{ *lua.Policies }

// Keep is that of the policies.
func (p sharedPolicies) Keep(change func() ([]policy.Entry, error), done func(error)) {
	p.Policies.Keep(kept[lua.Entry](change), done)
}
