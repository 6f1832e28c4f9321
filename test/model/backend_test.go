package model_test

import (
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// TestModelOfABackend asks questions whose answers were worked out by hand, of a clock that steps
// back by an hour after the first one.
func TestModelOfABackend(t *testing.T) {
	three := mustLimit(3, 3*sec, 0)
	for a, rows := range map[engine.Algorithm][]row{
		engine.TokenBucket: {
			{0, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "all"},
			{-time.Hour, model.Peek, 1, three, engine.Decision{Limit: 3, RetryAfter: sec, ResetAfter: 3 * sec}, "it owes as much"},
			{-time.Hour + sec, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: sec, ResetAfter: 3 * sec}, "a peek has written nothing"},
			{-time.Hour + 2*sec, model.Check, 2, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: sec, ResetAfter: 2 * sec}, "a denial has"},
			{-time.Hour, model.Refund, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 2 * sec}, "time since the last write does not count"},
			{-time.Hour + 2*sec, model.Peek, 3, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 3}, "idle"},
		},
		engine.SlidingWindowLog: {
			{0, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 3 * sec}, "one of three"},
			{sec, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "full"},
			{-time.Hour, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: 2 * sec, ResetAfter: 3 * sec}, "each is as old as it was"},
			{-time.Hour + 2*sec, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "the first has left"},
		},
		engine.FixedWindow: { // a window of 3 s ends a second after noon, and an hour before
			{0, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: sec}, "all"},
			{-time.Hour - sec, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: 2 * sec, ResetAfter: 2 * sec}, "until a window ends"},
			{-time.Hour + sec, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "the next one"},
		},
	} {
		b := model.NewBackend()
		for i, r := range rows {
			got := b.Ask("key", model.Question{Op: r.op, Algorithm: a, Limit: r.limit, Cost: r.cost, Now: noon + r.at.Microseconds()})
			if want := (model.Answer{Decision: r.want}); got != want {
				t.Errorf("%v, row %d, %s:\n got %v\nwant %v", a, i, r.why, got, want)
			}
		}
	}
}
