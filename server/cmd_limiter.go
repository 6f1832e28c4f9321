package server

import (
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/resp"
)

func cmdCheck(r *request)  { r.ask(engine.OpCheck) }
func cmdPeek(r *request)   { r.ask(engine.OpPeek) }
func cmdRefund(r *request) { r.ask(engine.OpRefund) }

func (r *request) ask(o engine.Op) {
	q := &r.question
	if problem := r.parseQuestion(o); problem != "" {
		r.fail(problem)
	} else if q.policy != nil {
		r.askPolicy()
	} else if r.server.backend != nil {
		r.askBackend()
	} else if err := r.server.limiter.Ask(q.op, q.key, q.algorithm, &q.limit, q.cost, r.now, &r.decision); err != nil {
		r.fail(errDecision(err))
	} else {
		r.writeDecision(&r.decision)
		if o == engine.OpRefund || q.isNew {
			r.heavy = r.heavy || isHeavy(q.algorithm, o, &r.decision)
		}
		r.mayHaveChanged(q.op, &r.decision)
	}
	q.key = "" // or it would hold the buffer it stands in
}

// mayHaveChanged has the reply wait for the disk if replies to changes do and the decision tells of one.
func (r *request) mayHaveChanged(o engine.Op, d *engine.Decision) {
	if r.holds && (d.Allowed && o != engine.OpPeek || o == engine.OpForce) {
		r.mustWait = true
	}
}

// A refund and a check that makes the period of a log longer write all of its entries anew, which
// takes a microsecond for some hundred units. These are how many a log has at least for that to be
// long. Only some checks with a new limit make the period longer, so these are more.
const (
	heavyRefundUnits = 256
	heavyCheckUnits  = 4096
)

// isHeavy says whether a question that was just decided, a refund or one that is not like the one
// before, may have taken long. Where nothing remains, the log may hold more units than the limit shows.
func isHeavy(a engine.Algorithm, o engine.Op, d *engine.Decision) bool {
	used := d.Limit - d.Remaining
	switch {
	case a.Shape() != engine.ShapeLog:
		return false
	case o == engine.OpRefund:
		return d.Remaining == 0 || used >= heavyRefundUnits
	}
	return o != engine.OpPeek && d.Allowed && used >= heavyCheckUnits
}

// cmdReset is RL.RESET, DEL and UNLINK.
func cmdReset(r *request) {
	for _, key := range r.args[1:] {
		if engine.CheckState(resp.View(key)) != nil { // the states of policies have longer names than keys
			r.fail(errDecision(engine.CheckKey(resp.View(key))))
			return
		}
	}
	if r.server.backend != nil {
		r.resetInBackend(r.args[1:])
		return
	}
	existed := 0
	for _, key := range r.args[1:] {
		if r.server.limiter.Reset(resp.View(key), r.now) {
			existed++
		}
	}
	r.reply.Int(existed)
	if existed > 0 {
		r.changed()
	}
}

// writeDecision writes the six integers, the same in RESP2 and RESP3.
func (c *session) writeDecision(d *engine.Decision) {
	c.reply.Integers(number(d.Allowed), d.Limit, d.Remaining, retryMillis(d.RetryAfter), ceilMillis(d.ResetAfter), ceilMillis(d.Delay))
}

// retryMillis is a RetryAfter in milliseconds, or −1 for never.
func retryMillis(span time.Duration) int64 {
	if span == engine.Never {
		return -1
	}
	return ceilMillis(span)
}

// number is 1 for yes and 0 for no.
func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
