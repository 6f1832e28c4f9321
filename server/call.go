package server

import (
	"errors"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/resp"
)

// A call is a question about limits of policies, one or several keys at once.
type call struct {
	engine.Call
	pairs []pair
	// names has the names of the states, one behind the other.
	names   []byte
	formers []engine.Former
	// settled: no limit is to be asked, because some plan denies, or every one allows.
	settled bool
	// prepared is the plan that the parts are of, if all are of one, and none has formers whose units may
	// still count.
	prepared *policy.Plan
}

// A pair is a key and the policy that it is asked of.
type pair struct {
	key    string
	policy *policy.Policy
	plan   *policy.Plan
}

// The bounds of what a session keeps for its next call.
const (
	callNamesKept = 4 << 10
	callPartsKept = 2 * policy.LimitsMax
)

// The decisions of a plan without limits.
var (
	decisionDeny  = engine.Decision{RetryAfter: engine.Never}
	decisionAllow = engine.Decision{Allowed: true, Limit: engine.UnitsMax, Remaining: -1}
)

// findPolicy finds a policy by its name.
func (s *Server) findPolicy(name string) (p *policy.Policy, problem string) {
	if p = s.policies.set.Find(name); p == nil {
		problem = errReplicator(s.policies.set.Unknown(name))
	}
	return p, problem
}

// orPolicy asks besides a problem whether a policy was meant, if what stands behind the key is no algorithm
// and the name of one.
func (s *Server) orPolicy(problem string, args [][]byte) string {
	if len(args) > 2 && s.policies.set.Find(resp.View(args[2])) != nil {
		if _, err := engine.ParseAlgorithm(resp.View(args[2])); err != nil {
			return errMeantPolicy(problem, args[2])
		}
	}
	return problem
}

// planFor is the plan in force for a key of a policy. If the policy was deleted, it looks for another of
// its name.
func (s *Server) planFor(of **policy.Policy, key string) (plan *policy.Plan, problem string) {
	for plan = (*of).For(key); plan == nil; plan = (*of).For(key) {
		if *of, problem = s.findPolicy((*of).Name()); problem != "" {
			return nil, problem
		}
	}
	return plan, ""
}

// resolve finds the plans that are in force for the call's keys.
func (c *call) resolve(s *Server) (problem string) {
	for i := range c.pairs {
		p := &c.pairs[i]
		if p.plan, problem = s.planFor(&p.policy, p.key); problem != "" {
			return problem
		}
	}
	return ""
}

// prepare makes the parts of the call from its plans, as they are at an instant (µs). Where they are of the
// same plan as before, only the names of the states are made.
func (c *call) prepare(now int64) {
	c.names = c.names[:0]
	if len(c.pairs) == 1 && c.prepared == c.pairs[0].plan {
		for i := range c.Parts {
			c.Parts[i].State, c.Parts[i].Key = c.name(c.pairs[0].key, c.prepared.Limits[i].Suffix), c.pairs[0].key
		}
		return
	}
	c.Parts, c.formers, c.prepared = c.Parts[:0], c.formers[:0], nil
	denies := false
	for i := range c.pairs {
		p := &c.pairs[i]
		denies = denies || p.plan.Verdict == policy.Deny
		for j := range p.plan.Limits {
			l := &p.plan.Limits[j]
			c.Parts = append(c.Parts, engine.Part{
				State: c.name(p.key, l.Suffix), Algorithm: l.Algorithm, Limit: l.Limit, Key: p.key, Suffix: &l.Ending,
				Formers: c.formersOf(p.key, l, now), Pair: i, Shadow: p.plan.Shadow, Replaced: &p.plan.Replaced,
			})
		}
	}
	if c.settled = denies || len(c.Parts) == 0; c.settled {
		c.Decision = c.settle(denies)
	} else if len(c.pairs) == 1 && len(c.formers) == 0 {
		c.prepared = c.pairs[0].plan
	}
}

// settle is the decision without limits. A refund is always allowed.
func (c *call) settle(denies bool) engine.Decision {
	switch {
	case !denies:
		return decisionAllow
	case c.Op == engine.OpRefund:
		return engine.Decision{Allowed: true}
	}
	return decisionDeny
}

// name makes the name of a state. What was made before stays as it is.
func (c *call) name(key, suffix string) string {
	from := len(c.names)
	c.names = append(append(c.names, key...), suffix...)
	return resp.View(c.names[from:])
}

// formersOf are the formers whose units may still count at an instant (µs).
func (c *call) formersOf(key string, l *policy.Limit, now int64) []engine.Former {
	from := len(c.formers)
	for i := range l.Formers {
		if f := &l.Formers[i]; now < f.Until {
			c.formers = append(c.formers, engine.Former{State: c.name(key, f.Suffix), Algorithm: f.Algorithm, Limit: f.Limit})
		}
	}
	return c.formers[from:len(c.formers):len(c.formers)]
}

// forget drops what points into the connection's buffer, and what was needed for an unusual call only.
func (c *call) forget() {
	clear(c.pairs)
	c.pairs = c.pairs[:0]
	for i := range c.Parts {
		c.Parts[i].Key = ""
	}
	if cap(c.names) > callNamesKept || cap(c.Parts) > callPartsKept {
		*c = call{Call: engine.Call{Clock: c.Clock}}
	}
}

// askPolicy answers the question that is in the request, which names a policy.
func (r *request) askPolicy() {
	q := &r.question
	if q.plan == nil || q.plan.Replaced.Load() || q.policy.HasKeys() {
		plan, problem := r.server.planFor(&q.policy, q.key)
		if problem != "" {
			q.plan, r.parsed = nil, false
			r.fail(problem)
			return
		}
		q.setPlan(plan)
	}
	c := r.newCall(q.op, q.cost)
	if c.prepared == q.plan && q.isStraight && q.op <= engine.OpPeek &&
		r.server.limiter.AskNamed(q.op, q.key, &c.Parts[0], q.cost, r.now, &r.decision) {
		r.writeDecision(&r.decision)
		r.mayHaveChanged(q.op, &r.decision)
		return
	}
	c.pairs = append(c.pairs, pair{q.key, q.policy, q.plan})
	r.askCall(c)
}

// setPlan takes note of the plan that is in force.
func (q *question) setPlan(plan *policy.Plan) {
	if q.plan != plan {
		q.plan, q.isNew = plan, true
		q.isStraight = len(plan.Limits) == 1 && !plan.Shadow && plan.Limits[0].Algorithm.Shape() == engine.ShapeWord
	}
}

// newCall begins a call. The session keeps it for the next one, but where a backend answers later.
func (r *request) newCall(o engine.Op, cost int64) *call {
	if r.server.backend != nil {
		return &call{Call: engine.Call{Op: o, Cost: cost}} // its clock is that of the backend
	}
	if r.call == nil {
		r.call = &call{Call: engine.Call{Clock: r.server.Now}}
	}
	r.call.Op, r.call.Cost = o, cost
	return r.call
}

// askCall answers a call, whose plans are in force or were a moment ago.
func (r *request) askCall(c *call) {
	if r.server.backend != nil {
		r.askBackendCall(c)
		return
	}
	if problem := r.decide(c); problem != "" {
		r.fail(problem)
	} else {
		r.writeDecision(&c.Decision)
		r.countShadows(c)
		if c.Op == engine.OpRefund || r.question.isNew || c.prepared == nil {
			r.heavy = r.heavy || c.wasHeavy()
		}
		r.mayHaveChanged(c.Op, &c.Decision)
	}
	c.forget()
}

// decide has the limiter decide a call.
func (r *request) decide(c *call) (problem string) {
	for {
		if c.prepare(r.now); c.settled {
			return ""
		}
		err := r.server.limiter.AskCall(&c.Call, r.now)
		if err == nil {
			return ""
		}
		if !errors.Is(err, engine.ErrReplaced) {
			return errDecision(err)
		}
		if problem := c.resolve(r.server); problem != "" {
			return problem
		}
	}
}

// wasHeavy says whether the call may have taken long: see isHeavy.
func (c *call) wasHeavy() bool {
	for i := range c.Parts {
		if p := &c.Parts[i]; isHeavy(p.Algorithm, c.Op, &p.Decision) {
			return true
		}
	}
	return false
}

// countShadows counts the pairs that would have denied a check, if they were no shadows.
func (s *session) countShadows(c *call) {
	if c.Op != engine.OpCheck {
		return
	}
	last := -1 // the pair that was counted
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Shadow && p.Pair != last && !p.Decision.Allowed {
			last = p.Pair
			c.pairs[last].plan.DeniedShadow.Add(1)
			s.server.stats.deniedShadow.Add(1)
		}
	}
}
