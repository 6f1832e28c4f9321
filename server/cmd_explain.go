package server

import (
	"errors"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/resp"
)

// RL.EXPLAIN tells of each limit of a key what it is and how it stands. It asks twice, and takes nothing:
// what a check of the cost would be answered, and then of each limit when there is one unit more than now.

// An explanation is what RL.EXPLAIN finds out.
type explanation struct {
	key string
	// call has the limits. Without a policy it is not asked, but its one part is, by a plain question.
	call    call
	isNamed bool
	first   []engine.Question // what is asked first: at most one
	more    []engine.Question // of each limit that has given some out, one unit more than it has
}

func cmdExplain(r *request) {
	e, problem := r.newExplanation()
	switch {
	case problem != "":
		r.fail(problem)
	case r.server.backend != nil:
		r.explainLate(e)
	default:
		r.explain(e)
	}
}

// newExplanation reads the arguments.
func (r *request) newExplanation() (e *explanation, problem string) {
	q := &r.question
	problem = r.parseQuestion(engine.OpPeek)
	q.key = ""
	if problem != "" {
		return nil, problem
	}
	e = &explanation{key: r.arg(1), isNamed: q.policy != nil}
	e.call.Op, e.call.Cost = engine.OpPeek, q.cost
	if e.isNamed {
		e.call.pairs = []pair{{key: e.key, policy: q.policy}}
		return e, e.call.resolve(r.server)
	}
	if err := q.algorithm.CheckLimit(&q.limit, r.server.config().MaxLogLimit); err != nil {
		return nil, errDecision(err)
	}
	e.call.Parts = []engine.Part{{State: e.key, Algorithm: q.algorithm, Limit: q.limit}}
	return e, ""
}

// explain asks the limiter, and replies.
func (r *request) explain(e *explanation) {
	for {
		e.begin(r.now)
		err := r.answer(e.first)
		if err == nil {
			err = r.answer(e.second())
		}
		if err == nil {
			e.reply(r.session)
			return
		}
		problem := errDecision(err)
		if errors.Is(err, engine.ErrReplaced) {
			problem = e.call.resolve(r.server)
		}
		if problem != "" {
			r.fail(problem)
			return
		}
	}
}

// answer has the limiter answer questions, up to one that it cannot.
func (r *request) answer(questions []engine.Question) (err error) {
	for i := range questions {
		q := &questions[i]
		if q.Call != nil {
			err = r.server.limiter.AskCall(q.Call, r.now)
		} else {
			err = r.server.limiter.Ask(q.Op, q.Key, q.Algorithm, &q.Limit, q.Cost, r.now, &q.Decision)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explainLate asks the backend, and replies when it has answered twice.
func (r *request) explainLate(e *explanation) {
	s, cmd, keys := r.server, r.command, r.takeTracked()
	reply := func(c *session) {
		if err := e.problem(); err != nil {
			c.failLate(cmd, errDecision(err))
		} else {
			e.reply(c)
		}
		c.invalidate(keys)
	}
	e.begin(r.now)
	if len(e.first) == 0 {
		reply(r.session)
		return
	}
	r.replyLong(&longReply{find: func(done func(func(*session))) func() {
		s.backend.Ask(&engine.Batch{Questions: e.first, Done: func() {
			var asked []engine.Question
			if e.problem() == nil {
				asked = e.second()
			}
			if len(asked) == 0 {
				done(reply)
				return
			}
			go s.backend.Ask(&engine.Batch{Questions: asked, Done: func() { done(reply) }})
		}})
		return nil
	}})
}

// problem is the error of a question that was not answered.
func (e *explanation) problem() error {
	for _, questions := range [][]engine.Question{e.first, e.more} {
		for i := range questions {
			if questions[i].Err != nil {
				return questions[i].Err
			}
		}
	}
	return nil
}

// begin makes the first question, at an instant (µs). A plan without limits asks none.
func (e *explanation) begin(now int64) {
	e.first, e.more = nil, nil
	if e.isNamed {
		if e.call.prepare(now); !e.call.settled {
			e.first = []engine.Question{{Call: &e.call.Call}}
		}
		return
	}
	p := &e.call.Parts[0]
	e.first = []engine.Question{{Key: p.State, Op: engine.OpPeek, Algorithm: p.Algorithm, Limit: p.Limit, Cost: e.call.Cost}}
}

// second makes the questions that follow from the first answer: one for each limit that is not full.
func (e *explanation) second() []engine.Question {
	if !e.isNamed {
		e.call.Parts[0].Decision, e.call.Decision = e.first[0].Decision, e.first[0].Decision
	}
	for i := range e.call.Parts {
		p := &e.call.Parts[i]
		if !hasNextUnit(p) {
			continue
		}
		q := engine.Question{Key: p.State, Op: engine.OpPeek, Algorithm: p.Algorithm, Limit: p.Limit, Cost: p.Decision.Remaining + 1}
		if e.isNamed {
			q.Call = &engine.Call{Op: engine.OpPeek, Cost: q.Cost, Parts: []engine.Part{*p}}
			q.Call.Parts[0].Shadow = false
		}
		e.more = append(e.more, q)
	}
	return e.more
}

// hasNextUnit says whether a limit was counted and has not all of its units.
func hasNextUnit(p *engine.Part) bool {
	return p.Decision.Remaining >= 0 && p.Decision.Remaining < p.Decision.Limit
}

// nextUnit is when a limit, which had not all of its units, has one more. Questions are in the order of
// the limits.
func nextUnit(q *engine.Question) time.Duration {
	if q.Call != nil {
		return q.Call.Decision.RetryAfter
	}
	return q.Decision.RetryAfter
}

// reply writes the explanation.
func (e *explanation) reply(c *session) {
	m := resp.Map{"policy", nil, "key", e.key, "override", nil, "shadow", 0, "verdict", policy.Ask.String()}
	if e.isNamed {
		plan := e.call.pairs[0].plan
		if m[1] = plan.Policy; plan.Override {
			m[5] = plan.String()
		}
		m[7], m[9] = number(plan.Shadow), plan.Verdict.String()
	}
	limits, more := []any{}, e.more
	for i := range e.call.Parts {
		p := &e.call.Parts[i]
		next := time.Duration(0)
		if len(more) > 0 && hasNextUnit(p) {
			next, more = nextUnit(&more[0]), more[1:]
		}
		limits = append(limits, explainPart(p, next))
	}
	c.reply.Value(append(m, "allowed", number(e.call.Decision.Allowed), "limits", limits))
}

// explainPart is what is told of one limit.
func explainPart(p *engine.Part, next time.Duration) resp.Map {
	d, rule := &p.Decision, policy.Rule{Algorithm: p.Algorithm &^ engine.Named, Limit: p.Limit}
	used := int64(-1) // nobody has counted
	if d.Remaining >= 0 {
		used = d.Limit - d.Remaining
	}
	return resp.Map{
		"rule", rule.String(), "state", p.State, "algorithm", rule.Algorithm.String(),
		"limit", p.Limit.Limit(), "period", p.Limit.PeriodText(), "burst", p.Limit.Burst(),
		"used", used, "remaining", d.Remaining, "allowed", number(d.Allowed), "retry_after_ms", retryMillis(d.RetryAfter),
		"next_unit_ms", retryMillis(next), "reset_after_ms", ceilMillis(d.ResetAfter), "delay_ms", ceilMillis(d.Delay),
	}
}
