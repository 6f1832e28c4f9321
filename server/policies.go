package server

import (
	"sync"

	"github.com/rlserver/rlserver/policy"
)

// A policyChange computes a change of the set in force.
type policyChange = func() ([]policy.Entry, error)

// policies are the set in force, and how it changes. It is the keeper where nothing is kept outside of
// this process: then a change is over when it is in force.
type policies struct {
	set    *policy.Set
	keeper PolicyKeeper
	// read reads the policies of the settings file anew; nil: there is no file.
	read     func() ([]policy.FileDefinition, error)
	changing sync.Mutex
}

// Keep puts a change in force, one after the other.
func (p *policies) Keep(change policyChange, done func(error)) {
	p.changing.Lock()
	entries, err := change()
	if err == nil {
		err = p.set.Apply(entries)
	}
	p.changing.Unlock()
	done(err)
}

// Policies is the set in force. Whoever keeps it puts in force what comes from elsewhere.
func (s *Server) Policies() *policy.Set { return s.policies.set }

// KeepPolicies has a keeper make the changes of policies. It comes before Serve.
func (s *Server) KeepPolicies(keeper PolicyKeeper) { s.policies.keeper = keeper }

// OnPolicyReload has RL.POLICY RELOAD call read for the policies of the settings file. It comes before
// Serve.
func (s *Server) OnPolicyReload(read func() ([]policy.FileDefinition, error)) { s.policies.read = read }

// FilePolicies makes FileChange, and returns when that is done. After an error the set is as it was.
func (s *Server) FilePolicies(definitions []policy.FileDefinition) error {
	return s.changePolicies(s.FileChange(definitions))
}

// FileChange is the change to what the settings file says of policies; nil: it says nothing.
func (s *Server) FileChange(definitions []policy.FileDefinition) policyChange {
	return func() ([]policy.Entry, error) {
		if definitions == nil {
			return nil, nil
		}
		return s.policies.set.File(definitions)
	}
}

// TellPolicies logs how many policies are in force, if there are any or have been.
func (s *Server) TellPolicies() {
	if set := s.policies.set; set.Version() > 0 {
		s.logger.Info("policies", "policies", set.Policies(), "overrides", set.Overrides(), "version", set.Version())
	}
}

// changePolicies has the keeper make a change, and waits.
func (s *Server) changePolicies(change policyChange) error {
	result := make(chan error, 1)
	s.policies.keeper.Keep(change, func(err error) { result <- err })
	return <-result
}
