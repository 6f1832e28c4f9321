package server

import (
	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/resp"
)

// A question has the parsed arguments of RL.CHECK, RL.PEEK, RL.REFUND and RL.EXPLAIN.
type question struct {
	key   string // stands in the connection's buffer: good until the command ends
	op    engine.Op
	isNew bool // differs from the question before in more than the key
	cost  int64
	// policy is that which the key is asked of, or nil where the limit stands in the command.
	policy *policy.Policy
	plan   *policy.Plan // that was in force when the policy was asked last
	// isStraight: the plan is one limit, of one word, and no shadow, so that AskNamed can decide it.
	isStraight bool
	algorithm  engine.Algorithm
	limit      engine.Limit
}

// parseQuestion parses key @policy or key algorithm limit period, and the options, into r.question. If
// an argument is wrong, it returns an error that names the argument.
func (r *request) parseQuestion(o engine.Op) (problem string) {
	q := &r.question
	q.key = resp.View(r.args[1])
	if err := engine.CheckKey(q.key); err != nil {
		return errDecision(err)
	}
	if r.parsed && r.conn.Repeats() { // not so within EXEC
		q.isNew = false
		return ""
	}
	before := *q
	*q = question{key: q.key, op: o}
	r.parsed = false
	noForce := ""
	if o != engine.OpCheck {
		noForce = r.command.upperName
	}
	var words policy.Question
	if err := words.Read(r.args[2:], noForce); err != nil {
		return r.server.orPolicy(errDecision(err), r.args)
	}
	if policy.IsName(r.args[2]) {
		if q.policy, problem = r.server.findPolicy(words.Policy); problem != "" {
			return problem
		}
	}
	if words.Force {
		q.op = engine.OpForce
	}
	q.algorithm, q.limit, q.cost = words.Rule.Algorithm, words.Rule.Limit, words.Cost
	q.isNew = q.policy != before.policy || q.algorithm != before.algorithm || q.limit != before.limit || q.cost != before.cost
	r.parsed = true
	return ""
}
