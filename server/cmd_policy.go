package server

import (
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/resp"
)

// RL.POLICY and its subcommands.

func cmdPolicySet(r *request) {
	name := r.arg(2)
	d, err := policy.Read(r.args[3:])
	if err != nil {
		r.fail(errReplicator(err))
		return
	}
	r.changePolicies(func() ([]policy.Entry, error) { return r.server.policies.set.Put(name, d) })
}

func cmdPolicyDel(r *request) {
	name := r.arg(2)
	r.changePolicies(func() ([]policy.Entry, error) { return r.server.policies.set.Delete(name) })
}

func cmdPolicyOverride(r *request) {
	name, key := r.arg(2), r.arg(3)
	d, err := policy.Read(r.args[4:])
	if err == nil {
		err = engine.CheckKey(key)
	}
	if err != nil {
		r.fail(errReplicator(err))
		return
	}
	r.changePolicies(func() ([]policy.Entry, error) { return r.server.policies.set.Override(name, key, d) })
}

func cmdPolicyUnset(r *request) {
	name, key := r.arg(2), r.arg(3)
	r.changePolicies(func() ([]policy.Entry, error) { return r.server.policies.set.Unset(name, key) })
}

func cmdPolicyReload(r *request) {
	if r.server.policies.read == nil {
		r.fail(errNoConfigFile)
		return
	}
	definitions, err := r.server.policies.read()
	if err != nil {
		r.fail(errDecision(err)) // which begins with the file's name
		return
	}
	change := r.server.FileChange(definitions)
	r.changePoliciesAnd(change, r.server.TellPolicies)
}

// changePolicies has the keeper make a change, and replies. With a backend the reply comes when the
// change is kept there; else it waits for the disk if replies to changes do.
func (r *request) changePolicies(change policyChange) { r.changePoliciesAnd(change, func() {}) }

// changePoliciesAnd is changePolicies, and tells when the change is in force.
func (r *request) changePoliciesAnd(change policyChange, tell func()) {
	s, cmd := r.server, r.command
	if s.backend == nil {
		err := s.changePolicies(change)
		if err == nil {
			tell()
		}
		r.replyChange(cmd, err)
		return
	}
	r.replyLong(&longReply{
		find: func(done func(func(*session))) func() {
			s.policies.keeper.Keep(change, func(err error) {
				if err == nil {
					tell()
				}
				done(func(c *session) { c.replyChange(cmd, err) })
			})
			return nil
		},
		giveUp: func(c *session) { c.failLate(cmd, errPolicyKept) },
	})
}

// replyChange replies how a change has ended.
func (c *session) replyChange(cmd *command, err error) {
	if err != nil {
		c.failLate(cmd, errReplicator(err))
		return
	}
	c.reply.OK()
	c.request.changed()
}

func cmdPolicyGet(r *request) {
	name := r.arg(2)
	p, problem := r.server.findPolicy(name)
	if problem != "" {
		r.fail(problem)
		return
	}
	source := "set"
	if p.FromFile() {
		source = "file"
	}
	r.reply.Value(resp.Map{"name", name, "definition", p.Plan().String(), "source", source, "version", p.Version(),
		"overrides", p.Overrides(), "denied_shadow", int64(p.Plan().DeniedShadow.Load())})
}

func cmdPolicyList(r *request) {
	var list [][2]string
	for _, name := range r.server.policies.set.Names() {
		if p := r.server.policies.set.Find(name); p != nil {
			list = append(list, [2]string{name, p.Plan().String()})
		}
	}
	r.writePairs(list)
}

func cmdPolicyOverrides(r *request) {
	name := r.arg(2)
	p, problem := r.server.findPolicy(name)
	if problem != "" {
		r.fail(problem)
		return
	}
	var list [][2]string // in the order of the keys
	p.EachOverride(func(key string, plan *policy.Plan) { list = append(list, [2]string{key, plan.String()}) })
	r.writePairs(list)
}

// writePairs writes a map. A long one leaves in pieces.
func (r *request) writePairs(list [][2]string) {
	r.reply.Map(len(list))
	for _, one := range list {
		r.reply.BulkString(one[0])
		r.reply.BulkString(one[1])
		if !r.silenced() {
			r.conn.FlushIfLong()
		}
	}
}
