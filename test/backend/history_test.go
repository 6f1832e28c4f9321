package backend

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// A history is what was answered about keys.
type history struct{ keys []keyHistory }

type keyHistory struct {
	name     string
	primary  int
	mu       sync.Mutex
	admitted []time.Time // when the answer came
	errors   []string
	answered time.Time // when the last answer came that was none
	denied   time.Time // when the last denial came
}

func (w *history) ask(c *redis.Client, i, limit int) {
	k := &w.keys[i]
	got, err := ask(c, k.name, engine.Algorithms()[i%len(engine.Algorithms())].String(), limit)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		k.errors = append(k.errors, err.Error())
	case got[0] == 1:
		k.admitted, k.answered = append(k.admitted, time.Now()), time.Now()
	default:
		k.answered, k.denied = time.Now(), time.Now()
	}
}

// recovered says whether every key of the first primary was answered after an instant.
func (w *history) recovered(since time.Time) bool {
	for i := range w.keys {
		k := &w.keys[i]
		k.mu.Lock()
		late := k.primary == 0 && !k.answered.After(since.Add(harness.NodeTimeout/2)) // what was on its way does not count
		k.mu.Unlock()
		if late {
			return false
		}
	}
	return true
}

// full is how many keys were denied after an instant.
func (w *history) full(since time.Time) (n int) {
	for i := range w.keys {
		k := &w.keys[i]
		k.mu.Lock()
		if k.denied.After(since) {
			n++
		}
		k.mu.Unlock()
	}
	return n
}

// judge holds what was admitted of each key, which has been asked for until it was denied,
// against its limit.
func (w *history) judge(t *testing.T, limit int, killed time.Time, unreplicated time.Duration) {
	t.Helper()
	over, lost, degraded, unanswered, untold := 0, 0, 0, 0, 0
	for i := range w.keys {
		k := &w.keys[i]
		before := 0
		for _, at := range k.admitted {
			if k.primary == 0 && at.After(killed.Add(-unreplicated)) && at.Before(killed.Add(unreplicated)) {
				before++
			}
		}
		beyond := max(len(k.admitted)-limit, 0)
		if beyond > limit {
			t.Errorf("%s: %d were admitted; two primaries admit at most %d each", k.name, len(k.admitted), limit)
		}
		if beyond > before {
			t.Errorf("%s: %d over the limit of %d; at most %d were admitted within %v of the end", k.name, beyond, limit, before, unreplicated)
		}
		over, lost, degraded = over+beyond, lost+before, degraded+len(k.errors)
		open := 0 // questions that Redis had and did not answer
		for _, text := range k.errors {
			if !strings.Contains(text, " cannot decide: ") {
				open++
			}
			if k.primary != 0 || !strings.HasPrefix(text, "UNAVAILABLE ") {
				t.Errorf("%s of primary %d: %s", k.name, k.primary, text)
			}
		}
		// What such a question took has reached the replica, and the answer not the caller.
		short := max(limit-len(k.admitted), 0)
		if short > open {
			t.Errorf("%s: denied with %d of %d units admitted and %d questions open", k.name, len(k.admitted), limit, open)
		}
		unanswered, untold = unanswered+open, untold+short
	}
	t.Logf("%d units over the limits in all, where %d could have been; %d questions were answered UNAVAILABLE, %d of them were open, which are known to have taken %d units",
		over, lost, degraded, unanswered, untold)
	if degraded == 0 {
		t.Error("nothing has been shown: no question failed")
	}
}
