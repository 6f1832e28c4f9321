package main

import (
	"errors"

	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/replication"
	"github.com/rlserver/rlserver/replication/stream"
)

// The replication keeps policies, but does not know what they say. It has a type of its own for an
// entry.

// keptSet is the set of policies as the replication sees it.
type keptSet struct{ *policy.Set }

func (s keptSet) Apply(entries []stream.Entry) error   { return s.Set.Apply(ofPolicies(entries)) }
func (s keptSet) Replace(entries []stream.Entry) error { return s.Set.Replace(ofPolicies(entries)) }

func (s keptSet) Each(visit func(stream.Entry)) {
	s.Entries(func(e policy.Entry) { visit(stream.Entry(e)) })
}

func ofPolicies(entries []stream.Entry) []policy.Entry {
	converted := make([]policy.Entry, len(entries))
	for i, e := range entries {
		converted[i] = policy.Entry(e)
	}
	return converted
}

// Keep is the node's.
func (r *replicator) Keep(change func() ([]policy.Entry, error), done func(error)) {
	r.Node.Keep(func() ([]stream.Entry, error) {
		entries, err := change()
		converted := make([]stream.Entry, len(entries))
		for i, e := range entries {
			converted[i] = stream.Entry(e)
		}
		return converted, err
	}, done)
}

// makeFirst makes a change of policies. A replica has those of its primary.
func (r *replicator) makeFirst(change func() ([]policy.Entry, error)) error {
	made := make(chan error, 1)
	r.Keep(change, func(err error) { made <- err })
	if err := <-made; !errors.Is(err, replication.ErrReplica) {
		return err
	}
	return nil
}
