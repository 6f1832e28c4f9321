package lua

import (
	"errors"
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
	d := engine.Decision{Allowed: true, Limit: q.Limit.Burst(), Remaining: -1}
	switch fallback {
	case FailAllow:
		l.stats.degradedAllowed.Add(1)
		q.Decision = d
	case FailDeny:
		l.stats.degradedDenied.Add(1)
		if q.Op != engine.OpRefund {
			d.Allowed, d.RetryAfter = false, degradedRetry
		}
		q.Decision = d
	case FailLocal:
		l.stats.degradedLocal.Add(1)
		q.Err = l.decideLocally(q, t.LocalShare)
	case FailError:
		l.stats.degradedErrors.Add(1)
		q.Err = unavailable(why)
	}
}

// decideLocally decides with this process's share of the limit.
func (l *Limiter) decideLocally(q *engine.Question, share int64) error {
	part, err := shareOf(q.Limit, share)
	if err != nil {
		return err
	}
	now := l.started.UnixMicro() + l.now().Microseconds()
	err = l.options.Local.Ask(q.Op, q.Key, q.Algorithm, &part, q.Cost, now, &q.Decision)
	var wrong *engine.WrongTypeError
	if errors.As(err, &wrong) {
		return err
	}
	if err != nil {
		return unavailable("Redis does not decide, and neither can this process: " + err.Error())
	}
	if q.Decision.RetryAfter == engine.Never && q.Cost <= q.Limit.Burst() {
		q.Decision.RetryAfter = degradedRetry // more than the share, but not more than Redis admits
	}
	q.Decision.Limit = q.Limit.Burst()
	return nil
}

// shareOf is a limit divided by a number of servers, rounded down, but at least one unit. So
// servers that share a limit of less than their number admit one unit each.
func shareOf(l engine.Limit, share int64) (engine.Limit, error) {
	limit, burst := max(l.Limit()/share, 1), max(l.Burst()/share, 1)
	part, err := engine.NewLimit(limit, l.Period(), burst)
	if err != nil { // rounding has made the burst take more than a century to fill
		return engine.NewLimit(limit, l.Period(), limit)
	}
	return part, nil
}
