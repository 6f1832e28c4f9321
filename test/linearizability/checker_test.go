package linearizability

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// A recording makes a history by hand, one call after the other unless said otherwise.
type recording struct {
	history []porcupine.Operation
	clock   int64
}

// add records a call that begins at an instant of the recording and ends at another.
func (r *recording) add(c call, answer model.Answer, begin, end int64) {
	c.key, c.newest = "key", max(c.newest, c.Now)
	r.history = append(r.history, porcupine.Operation{
		ClientId: len(r.history), Input: c, Output: answer, Call: begin, Return: end,
	})
}

// answered records a call that the model answers, after all others.
func (r *recording) answered(k model.Key, c call) model.Key {
	after, answer := k.Ask(c.Question)
	r.clock += 2
	r.add(c, answer, r.clock, r.clock+1)
	return after
}

func check(a engine.Algorithm, cost, now int64) call {
	return call{Question: model.Question{Op: model.Check, Algorithm: a, Limit: limits[0], Cost: cost, Now: now}}
}

func demand(t *testing.T, what string, m porcupine.Model, history []porcupine.Operation, want porcupine.CheckResult) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(m, history, checkTime); got != want {
		t.Errorf("%s: %s, want %s:\n%s", what, got, want, transcript(history))
	}
}

// The checker finds what it is there to find: a limit of three that admits four at once, by
// either model, while three in any order are as they should be.
func TestCheckerFindsOneUnitTooMany(t *testing.T) {
	for _, a := range engine.Algorithms() {
		var good, bad, late recording
		k := model.Key{}
		for i := range int64(3) {
			var answer model.Answer
			k, answer = k.Ask(check(a, 1, noon).Question)
			// The first to begin is the last to be admitted: all overlap.
			for _, r := range []*recording{&good, &bad} {
				r.add(check(a, 1, noon), answer, 10-i, 20)
			}
			late.add(check(a, 1, noon), answer, 10-i, 10-i) // the same, but none overlap
			if i == 2 {
				bad.add(check(a, 1, noon), answer, 10, 20)
			}
		}
		for name, m := range map[string]porcupine.Model{"kept": kept, "evicted": evicted} {
			demand(t, a.String()+", three of three, "+name, m, good.history, porcupine.Ok)
			demand(t, a.String()+", four of three, "+name, m, bad.history, porcupine.Illegal)
			demand(t, a.String()+", in the wrong order, "+name, m, late.history, porcupine.Illegal)
		}
	}
}

// A key that is forgotten is forgotten whole, and only where that may be.
func TestCheckerFindsWhatIsHalfForgotten(t *testing.T) {
	for _, a := range engine.Algorithms() {
		var whole, half recording
		k := whole.answered(model.Key{}, check(a, 2, noon))
		half.answered(model.Key{}, check(a, 2, noon))
		whole.answered(model.Key{}, check(a, 1, noon)) // as if it were the first
		halved, _ := model.Key{}.Ask(check(a, 1, noon).Question)
		half.answered(halved, check(a, 1, noon)) // one of the two units is gone
		demand(t, a.String()+", forgotten, kept", kept, whole.history, porcupine.Illegal)
		demand(t, a.String()+", forgotten, evicted", evicted, whole.history, porcupine.Ok)
		demand(t, a.String()+", half forgotten", evicted, half.history, porcupine.Illegal)

		var full recording
		full.answered(k, check(a, 2, noon)) // a denial that nothing before explains
		demand(t, a.String()+", never taken", evicted, full.history, porcupine.Illegal)
	}
}

// A key of two algorithms may be forgotten for a call with an older reading only once it is
// idle by a newer one; and never for a key of one.
func TestCheckerKnowsWhenASharedKeyMayBeGone(t *testing.T) {
	rest := noon + (20 * time.Millisecond).Microseconds() // of one unit of limits[0]
	for _, c := range []struct {
		what   string
		shared bool
		newest int64
		want   porcupine.CheckResult
	}{
		{"shared and idle by a newer reading", true, rest, porcupine.Ok},
		{"shared and not idle", true, rest - 1, porcupine.Illegal},
		{"not shared", false, rest, porcupine.Illegal},
	} {
		var r recording
		r.answered(model.Key{}, check(engine.TokenBucket, 1, noon))
		second := check(engine.TokenBucket, 1, rest-1)
		second.shared, second.newest = c.shared, c.newest
		r.answered(model.Key{}, second)
		demand(t, c.what, kept, r.history, c.want)
	}

	// Nor may one algorithm be answered while the key is the other's.
	var r recording
	r.answered(model.Key{}, check(engine.TokenBucket, 1, noon))
	both := check(engine.LeakyBucket, 1, noon)
	both.shared = true
	r.answered(model.Key{}, both)
	demand(t, "admitted by two algorithms", kept, r.history, porcupine.Illegal)
}

// No memory is an answer to a log that would grow in a bounded store, and to nothing else.
func TestCheckerKnowsWhoMayHaveNoMemory(t *testing.T) {
	for _, c := range []struct {
		what string
		call call
		want porcupine.CheckResult
	}{
		{"a log that would grow", check(engine.SlidingWindowLog, 1, noon), porcupine.Ok},
		{"a log that denies", check(engine.SlidingWindowLog, 4, noon), porcupine.Illegal},
		{"a bucket", check(engine.TokenBucket, 1, noon), porcupine.Illegal},
	} {
		var r recording
		r.add(c.call, model.Answer{NoMemory: true}, 1, 2)
		demand(t, c.what, evicted, r.history, c.want)
		demand(t, c.what+", without a bound", kept, r.history, porcupine.Illegal)
	}
}
