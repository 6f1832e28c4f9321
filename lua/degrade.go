package lua

import (
	"errors"
	"slices"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// The answers when no Redis has decided. Where nobody counts, the caller is told so by a Remaining
// of −1. Under FailLocal it is what is left of this server's share.

// degradedRetry is when a caller that is denied because no Redis could decide may ask again.
const degradedRetry = time.Second

// degrade answers questions by the fallback. why is what went wrong.
func (l *Limiter) degrade(list []inFlight, why string) {
	t := l.tuning.Load()
	for _, i := range list {
		l.decideWithout(i.Question, t, why)
		l.done(i)
	}
}

func (l *Limiter) decideWithout(q *engine.Question, t *Tuning, why string) {
	l.stats.degraded.Add(1)
	q.Decision, q.Existed, q.Err = engine.Decision{}, false, nil
	fallback := t.OnFailure
	if q.Reset { // which cannot be pretended
		fallback = FailError
	}
	switch fallback {
	case FailAllow:
		l.stats.degradedAllowed.Add(1)
		pretend(q, true)
	case FailDeny:
		l.stats.degradedDenied.Add(1)
		pretend(q, false)
	case FailLocal:
		l.stats.degradedLocal.Add(1)
		q.Err = l.decideLocally(q, t.LocalShare)
	case FailError:
		l.stats.degradedErrors.Add(1)
		q.Err = unavailable(why)
	}
}

// pretend answers a question that nobody has counted. A refund cannot be denied, and neither does a
// shadow deny.
func pretend(q *engine.Question, allowed bool) {
	uncounted := func(o engine.Op, l *engine.Limit, allowed bool) engine.Decision {
		d := engine.Decision{Allowed: true, Limit: l.Burst(), Remaining: -1}
		if !allowed && o != engine.OpRefund {
			d.Allowed, d.RetryAfter = false, degradedRetry
		}
		return d
	}
	if q.Call == nil {
		q.Decision = uncounted(q.Op, &q.Limit, allowed)
		return
	}
	for i := range q.Call.Parts {
		p := &q.Call.Parts[i]
		p.Decision = uncounted(q.Call.Op, &p.Limit, allowed || p.Shadow)
	}
	q.Call.Conclude()
}

// decideLocally decides with this process's share of each limit.
func (l *Limiter) decideLocally(q *engine.Question, share int64) error {
	now := l.started.UnixMicro() + l.now().Microseconds()
	var err error
	if q.Call == nil {
		var part engine.Limit
		if part, err = shareOf(q.Limit, share); err == nil {
			err = l.options.Local.Ask(q.Op, q.Key, q.Algorithm, &part, q.Cost, now, &q.Decision)
			q.Decision = wholeOf(q.Decision, &q.Limit, q.Cost)
		}
	} else {
		err = l.callLocally(q.Call, share, now)
	}
	if errors.As(err, new(*engine.WrongTypeError)) || errors.Is(err, engine.ErrReplaced) {
		return err
	}
	if err != nil {
		return unavailable("Redis does not decide, and neither can this process: " + err.Error())
	}
	return nil
}

// callLocally decides a call with this process's share of each of its limits.
func (l *Limiter) callLocally(c *engine.Call, share, now int64) (err error) {
	own := *c
	own.Parts = slices.Clone(c.Parts)
	for i := range own.Parts {
		p := &own.Parts[i]
		if p.Limit, err = shareOf(p.Limit, share); err != nil {
			return err
		}
		p.Formers = slices.Clone(p.Formers)
		for j := range p.Formers {
			if p.Formers[j].Limit, err = shareOf(p.Formers[j].Limit, share); err != nil {
				return err
			}
		}
	}
	if err = l.options.Local.AskCall(&own, now); err != nil {
		return err
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		p.Decision = wholeOf(own.Parts[i].Decision, &p.Limit, c.Cost)
	}
	c.Conclude()
	return nil
}

// wholeOf is the decision of a limit of which a share has decided.
func wholeOf(d engine.Decision, l *engine.Limit, cost int64) engine.Decision {
	if d.RetryAfter == engine.Never && cost <= l.Burst() {
		d.RetryAfter = degradedRetry // more than the share, but not more than Redis admits
	}
	d.Limit = l.Burst()
	return d
}

// shareOf is a limit divided by a number of servers, rounded down, but at least one unit. So
// servers that share a limit of less than their number admit one unit each.
func shareOf(l engine.Limit, share int64) (engine.Limit, error) {
	limit, burst := max(l.Limit()/share, 1), max(l.Burst()/share, 1)
	if c := l.Calendar(); c != engine.NoCalendar {
		return engine.NewCalendarLimit(limit, c)
	}
	part, err := engine.NewLimit(limit, l.Period(), burst)
	if err != nil { // rounding has made the burst take more than a century to fill
		return engine.NewLimit(limit, l.Period(), limit)
	}
	return part, nil
}
