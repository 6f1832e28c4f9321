package server

import (
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/resp"
)

// A question has the parsed arguments of RL.CHECK, RL.PEEK and RL.REFUND.
type question struct {
	key       string // stands in the connection's buffer: good until the command ends
	algorithm engine.Algorithm
	isNew     bool // differs from the question before in more than the key
	limit     engine.Limit
	cost      int64
}

func cmdCheck(r *request)  { r.ask(engine.OpCheck) }
func cmdPeek(r *request)   { r.ask(engine.OpPeek) }
func cmdRefund(r *request) { r.ask(engine.OpRefund) }

func (r *request) ask(o engine.Op) {
	q := &r.question
	if problem := r.parseQuestion(); problem != "" {
		r.fail(problem)
	} else if r.server.backend != nil {
		r.askBackend(o)
	} else if err := r.server.limiter.Ask(o, q.key, q.algorithm, &q.limit, q.cost, r.now, &r.decision); err != nil {
		r.fail(errDecision(err))
	} else {
		r.writeDecision(&r.decision)
		if o == engine.OpRefund || q.isNew {
			r.heavy = r.heavy || r.wasHeavy(o)
		}
		if r.holds && r.decision.Allowed && o != engine.OpPeek {
			r.mustWait = true
		}
	}
	q.key = "" // or it would hold the buffer it stands in
}

// A refund and a check that makes the period of a log longer write all of its entries anew, which
// takes a microsecond for some hundred units. These are how many a log has at least for that to be
// long. Only some checks with a new limit make the period longer, so these are more.
const (
	heavyRefundUnits = 256
	heavyCheckUnits  = 4096
)

// wasHeavy says whether the question that was just decided, a refund or a new one, may have taken
// long. Where nothing remains, the log may hold more units than the question's limit shows.
func (r *request) wasHeavy(o engine.Op) bool {
	d := &r.decision
	used := d.Limit - d.Remaining
	switch {
	case r.question.algorithm.Shape() != engine.ShapeLog:
		return false
	case o == engine.OpRefund:
		return d.Remaining == 0 || used >= heavyRefundUnits
	}
	return o == engine.OpCheck && d.Allowed && used >= heavyCheckUnits
}

// cmdReset is RL.RESET, DEL and UNLINK.
func cmdReset(r *request) {
	for _, key := range r.args[1:] {
		if err := engine.CheckKey(resp.View(key)); err != nil {
			r.fail(errDecision(err))
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
	allowed := int64(0)
	if d.Allowed {
		allowed = 1
	}
	retry := int64(-1)
	if d.RetryAfter != engine.Never {
		retry = ceilMillis(d.RetryAfter)
	}
	c.reply.Integers(allowed, d.Limit, d.Remaining, retry, ceilMillis(d.ResetAfter), ceilMillis(d.Delay))
}

// parseQuestion parses key algorithm limit period [BURST n] [COST n] into r.question. If an argument
// is wrong, it returns an error that names the argument.
func (r *request) parseQuestion() (problem string) {
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
	*q = question{key: q.key}
	r.parsed = false
	var err error
	if q.algorithm, err = engine.ParseAlgorithm(resp.View(r.args[2])); err != nil {
		return errDecision(err)
	}
	units, problem := parseUnits("limit", r.args[3])
	if problem != "" {
		return problem
	}
	period, ok := parsePeriod(r.args[4])
	if !ok {
		return errPeriod(r.args[4])
	}
	burst, problem := q.parseOptions(r.args[5:])
	if problem != "" {
		return problem
	}
	if q.limit, err = engine.NewLimit(units, period, burst); err != nil {
		return errDecision(err)
	}
	q.isNew = q.algorithm != before.algorithm || q.limit != before.limit || q.cost != before.cost
	r.parsed = true
	return ""
}

// parseOptions parses BURST n and COST n, in any order. The burst is 0 when it is not given.
func (q *question) parseOptions(options [][]byte) (burst int64, problem string) {
	for i := 0; i < len(options); i += 2 {
		var to *int64
		var name string
		switch option := resp.View(options[i]); {
		case equalFold(option, "burst"):
			to, name = &burst, "BURST"
		case equalFold(option, "cost"):
			to, name = &q.cost, "COST"
		default:
			return 0, errUnknownOption(options[i], "BURST n and COST n")
		}
		switch {
		case *to != 0:
			return 0, errOptionTwice(name)
		case i+1 == len(options):
			return 0, errOptionValue(name)
		}
		if *to, problem = parseUnits(lower(name), options[i+1]); problem != "" {
			return 0, problem
		}
	}
	if burst != 0 && !q.algorithm.HasBurst() {
		return 0, errBurst(q.algorithm)
	}
	q.cost = max(q.cost, 1)
	return burst, ""
}

// parseUnits parses a limit, burst or cost: 1 … engine.UnitsMax.
func parseUnits(argument string, value []byte) (n int64, problem string) {
	n, ok := wholeNumber(value)
	if !ok {
		return 0, errNotWhole(argument, value)
	}
	if err := engine.CheckUnits(argument, n); err != nil {
		return 0, errDecision(err)
	}
	return n, ""
}

// periodUnits may stand behind the number of a period. Without a unit it is seconds.
var periodUnits = map[string]time.Duration{
	"": time.Second, "ms": time.Millisecond, "s": time.Second,
	"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// parsePeriod parses whole seconds, or a whole number with its unit. It checks the range before it
// multiplies, so the product cannot overflow.
func parsePeriod(value []byte) (time.Duration, bool) {
	digits := len(value)
	for digits > 0 && (value[digits-1] < '0' || value[digits-1] > '9') {
		digits--
	}
	unit, known := time.Second, true
	if digits < len(value) {
		unit, known = periodUnits[string(value[digits:])]
	}
	n, ok := wholeNumber(value[:digits])
	if !ok || !known || n > int64(engine.PeriodMax/unit) {
		return 0, false
	}
	period := time.Duration(n) * unit
	return period, period >= engine.PeriodMin
}
