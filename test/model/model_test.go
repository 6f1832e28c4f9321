package model_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness/race"
	"github.com/rlserver/rlserver/test/model"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// A row asks one question of the key, so long after noon, and knows the answer.
type row struct {
	at    time.Duration
	op    model.Op
	cost  int64
	limit engine.Limit
	want  engine.Decision
	why   string
}

// TestModel asks questions whose answers were worked out by hand from DESIGN.md: were the
// model wrong in the way the engine is, comparing the two would not tell.
func TestModel(t *testing.T) {
	three, one := mustLimit(3, 3*sec, 0), mustLimit(1, sec, 0)
	odd := mustLimit(3, 10*ms, 0) // E = 3,333,334 ns
	slow := mustLimit(3, 64*sec, 0)
	month, err := engine.NewCalendarLimit(3, engine.Month)
	if err != nil {
		t.Fatal(err)
	}
	const untilDecember = 1_701_388_800*sec - 1_700_000_004*sec // date -d 2023-12-01 +%s, and noon and 4 s
	for a, rows := range map[engine.Algorithm][]row{
		engine.TokenBucket: {
			{0, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 2 * sec}, "two of three"},
			{0, model.Check, 2, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: sec, ResetAfter: 2 * sec}, "one is missing, for a second"},
			{0, model.Check, 4, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: engine.Never, ResetAfter: 2 * sec}, "more than the burst"},
			{sec, model.Peek, 2, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: sec}, "it would pass now"},
			{sec, model.Refund, 9, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 3}, "never beyond full"},
			{sec, model.Check, 3, odd, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 10_000_000}, "the price is rounded once"},
		},
		engine.LeakyBucket: {
			{0, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: sec}, "the first goes at once"},
			{0, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec, Delay: sec}, "the next waits for it"},
			{0, model.Check, 1, three, engine.Decision{Limit: 3, RetryAfter: sec, ResetAfter: 3 * sec}, "full"},
			{0, model.Refund, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 2 * sec}, "one given back"},
			{-sec, model.Peek, 1, three, engine.Decision{Limit: 3, RetryAfter: sec, ResetAfter: 3 * sec}, "stricter by an older reading"},
		},
		engine.SlidingWindowLog: {
			{0, model.Check, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 3 * sec}, "one of three"},
			{sec, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "full"},
			{sec, model.Check, 2, three, engine.Decision{Limit: 3, RetryAfter: 3 * sec, ResetAfter: 3 * sec}, "those of 1 s stand in the way as well"},
			{0, model.Peek, 1, three, engine.Decision{Limit: 3, RetryAfter: 2 * sec, ResetAfter: 3 * sec}, "an older reading counts as the newest unit's"},
			{3 * sec, model.Peek, 1, one, engine.Decision{Allowed: true, Limit: 1, Remaining: 1}, "nothing within a second"},
			{3 * sec, model.Refund, 1, one, engine.Decision{Allowed: true, Limit: 1, Remaining: 1}, "no unit to give back, so nothing is written"},
			{3 * sec, model.Refund, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: sec}, "the newest leaves"},
			{3500 * ms, model.Check, 1, one, engine.Decision{Allowed: true, Limit: 1, ResetAfter: sec}, "one within a second"},
			{3500 * ms, model.Peek, 2, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: 500 * ms, ResetAfter: 3 * sec}, "a shorter period forgets nothing"},
			{3600 * ms, model.Peek, 1, mustLimit(2, 9*sec, 0), engine.Decision{Limit: 2, RetryAfter: 400 * ms, ResetAfter: 2900 * ms}, "a longer period counts what is there, while it is"},
			{4400 * ms, model.Refund, 1, one, engine.Decision{Allowed: true, Limit: 1, Remaining: 1}, "the unit of 3.5 s is given back: what is older has left"},
			{4400 * ms, model.Peek, 3, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 3}, "idle"},
			{5 * sec, model.Check, 1, one, engine.Decision{Allowed: true, Limit: 1, ResetAfter: sec}, "a new log, of a second"},
			{6 * sec, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "which is over"},
		},
		engine.SlidingWindowCounter: { // of 64 s, whose slices are the seconds of the clock
			{0, model.Check, 2, slow, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 65 * sec}, "65 slices"},
			{900 * ms, model.Check, 1, slow, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 64100 * ms}, "the same slice"},
			{900 * ms, model.Peek, 1, slow, engine.Decision{Limit: 3, RetryAfter: 64100 * ms, ResetAfter: 64100 * ms}, "they leave together"},
			{900 * ms, model.Refund, 1, slow, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 64100 * ms}, "one given back"},
			{2 * sec, model.Force, 2, slow, engine.Decision{Limit: 3, RetryAfter: 63 * sec, ResetAfter: 65 * sec}, "one too many, by force"},
			{40 * sec, model.Peek, 1, mustLimit(3, 32*sec, 0), engine.Decision{Allowed: true, Limit: 3, Remaining: 3}, "33 slices are over"},
			{40 * sec, model.Check, 1, mustLimit(9, 640*sec, 0), engine.Decision{Allowed: true, Limit: 9, Remaining: 4, ResetAfter: 650 * sec}, "slices of 10 s from now on"},
			{70 * sec, model.Check, 4, mustLimit(9, 640*sec, 0), engine.Decision{Allowed: true, Limit: 9, ResetAfter: 650 * sec}, "full"},
			{70 * sec, model.Peek, 5, mustLimit(9, 640*sec, 0), engine.Decision{Limit: 9, RetryAfter: 620 * sec, ResetAfter: 650 * sec}, "those of 0 to 10 s and of 40 s"},
			{650 * sec, model.Peek, 4, mustLimit(9, 640*sec, 0), engine.Decision{Allowed: true, Limit: 9, Remaining: 4, ResetAfter: 70 * sec}, "the first slice has left"},
		},
		engine.FixedWindow: { // a window of 3 s ends a second after noon
			{0, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: sec}, "two of three"},
			{0, model.Check, 2, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: sec, ResetAfter: sec}, "until the window ends"},
			{0, model.Check, 4, three, engine.Decision{Limit: 3, Remaining: 1, RetryAfter: engine.Never, ResetAfter: sec}, "more than the limit"},
			{-sec, model.Peek, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 2 * sec}, "an older reading is within the window"},
			{0, model.Refund, 1, three, engine.Decision{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: sec}, "one given back"},
			{sec - ms, model.Check, 2, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: ms}, "full"},
			{sec, model.Check, 3, three, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 3 * sec}, "the next window"},
			{2 * sec, model.Check, 1, one, engine.Decision{Limit: 1, RetryAfter: 2 * sec, ResetAfter: 2 * sec}, "a shorter period waits for the window's end"},
			{2 * sec, model.Refund, 3, one, engine.Decision{Allowed: true, Limit: 1, Remaining: 1}, "idle"},
			{2 * sec, model.Check, 1, one, engine.Decision{Allowed: true, Limit: 1, ResetAfter: sec}, "a window of a second"},
			{3 * sec, model.Force, 5, one, engine.Decision{Limit: 1, RetryAfter: engine.Never, ResetAfter: sec}, "five, by force"},
			{3 * sec, model.Refund, 4, one, engine.Decision{Allowed: true, Limit: 1, ResetAfter: sec}, "one of the five is left"},
			{4 * sec, model.Check, 3, month, engine.Decision{Allowed: true, Limit: 3, ResetAfter: untilDecember}, "until the first of December"},
			{untilDecember + 4*sec - 1000, model.Check, 1, month, engine.Decision{Limit: 3, RetryAfter: 1000, ResetAfter: 1000}, "still November"},
			{untilDecember + 4*sec, model.Check, 3, month, engine.Decision{Allowed: true, Limit: 3, ResetAfter: 31 * 24 * time.Hour}, "all of December"},
		},
	} {
		k := model.Key{}
		for i, r := range rows {
			var got model.Answer
			k, got = k.Ask(model.Question{Op: r.op, Algorithm: a, Limit: r.limit, Cost: r.cost, Now: noon + r.at.Microseconds()})
			if want := (model.Answer{Decision: r.want}); got != want {
				t.Errorf("%v, row %d, %s:\n got %v\nwant %v", a, i, r.why, got, want)
			}
		}
	}
}

// A key belongs to the algorithm that wrote it until it is idle; then the one that asks has it, and
// the state is gone.
func TestModelOwner(t *testing.T) {
	l := mustLimit(2, 2*sec, 0)
	k := model.Key{}
	for i, r := range []struct {
		model.Question
		want model.Answer
	}{
		{model.Question{Op: model.Reset, Now: noon}, model.Answer{}},
		{model.Question{Op: model.Check, Algorithm: engine.TokenBucket, Limit: l, Cost: 1, Now: noon},
			model.Answer{Decision: engine.Decision{Allowed: true, Limit: 2, Remaining: 1, ResetAfter: sec}}},
		{model.Question{Op: model.Peek, Algorithm: engine.LeakyBucket, Limit: l, Cost: 1, Now: noon + 999_999},
			model.Answer{Owner: engine.TokenBucket}},
		{model.Question{Op: model.Lookup, Now: noon + 999_999},
			model.Answer{Live: true, Owner: engine.TokenBucket, IdleMicros: noon + 1_000_000}},
		{model.Question{Op: model.Peek, Algorithm: engine.LeakyBucket, Limit: l, Cost: 1, Now: noon + 1_000_000},
			model.Answer{Decision: engine.Decision{Allowed: true, Limit: 2, Remaining: 2}}},
		{model.Question{Op: model.Lookup, Now: noon}, model.Answer{}},
		{model.Question{Op: model.Check, Algorithm: engine.SlidingWindowLog, Limit: l, Cost: 1, Now: noon},
			model.Answer{Decision: engine.Decision{Allowed: true, Limit: 2, Remaining: 1, ResetAfter: 2 * sec}}},
		{model.Question{Op: model.Reset, Now: noon}, model.Answer{Live: true}},
		{model.Question{Op: model.Lookup, Now: noon}, model.Answer{}},
	} {
		var got model.Answer
		if k, got = k.Ask(r.Question); got != r.want {
			t.Errorf("row %d, %v:\n got %v\nwant %v", i, r.Question, got, r.want)
		}
	}
}

// TestStoreAnswersAsTheModel puts drawn sequences over the whole domain to a store and to the
// model: limits that change, algorithms that meet on one key, resets, sweeps, a clock that stands,
// jumps and steps back, and tables that the keys share with others or not.
func TestStoreAnswersAsTheModel(t *testing.T) {
	sequences, length := uint64(2000), 60
	if race.Enabled {
		sequences = 200
	}
	for n := range sequences {
		script := model.NewScript(rand.New(rand.NewPCG(*seed, n)), "k")
		script.Wild = false // a store may drop an idle key that an older reading would find
		r := newRun(t, script.LogLimitMax)
		for ; r.at < length; r.at++ {
			s := script.Next()
			r.now, r.newest = s.Now, max(r.newest, s.Now)
			if r.at == 0 {
				r.newest = s.Now // which may be before noon
			}
			if r.at == 0 && n%4 == 0 {
				r.crowd(s.Question)
			}
			r.ask(s.Key, s.Question)
			r.ask(s.Key, model.Question{Op: model.Lookup, Now: s.Now})
			if script.IntN(20) == 0 {
				r.store.Sweep(1+script.IntN(2000), r.newest-lag)
			}
		}
	}
}

// crowd asks the same about so many keys that every table has some.
func (r *run) crowd(q model.Question) {
	for i := range 8 * 256 {
		r.ask(numberedKey(i), q)
	}
}
