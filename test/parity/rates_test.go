package parity_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// TestRates compares what a greedy caller gets with what the limit is, whatever the rate and the
// cost. The table is in the output of go test -v.
func TestRates(t *testing.T) {
	const mebi, requests = 1 << 20, 400
	p := newPair(t)
	for _, limit := range []struct {
		name   string
		units  int64
		period time.Duration
	}{
		{"1/d", 1, 24 * time.Hour},
		{"7/s", 7, time.Second},
		{"3M/s", 3_000_000, time.Second},
		{"128 MiB/s", 128 * mebi, time.Second},
		{"300M/s", 300_000_000, time.Second},
	} {
		for _, cost := range []int64{1, 1500, 1_000_000} {
			l, err := engine.NewLimit(limit.units, limit.period, max(limit.units, 2*cost))
			if err != nil {
				t.Logf("%-9s cost %9d: %v", limit.name, cost, err)
				continue
			}
			for _, a := range []engine.Algorithm{engine.TokenBucket, engine.LeakyBucket} {
				store, err := engine.NewStore(engine.Options{})
				if err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprint(limit.name, a, cost)
				sequence := greedy(t, store, key, a, l, cost, requests)
				units, span := sequence.units, sequence.span
				if a == engine.TokenBucket {
					t.Logf("%-9s cost %9d: asked %14.6f/s, got %14.6f/s, %.6f %% less", limit.name, cost,
						rate(l.Limit(), int64(l.Period())), rate(units, span), 100-100*rate(units, span)/rate(l.Limit(), int64(l.Period())))
				}
				// units·period/limit ≤ span < units·period/limit + 1 ns a request
				due := float64(units) * float64(l.Period()) / float64(l.Limit())
				if float64(span) < due*(1-1e-12) || float64(span) >= due*(1+1e-12)+float64(sequence.admitted) {
					t.Errorf("%v %s at cost %d: %d units took %d ns", a, limit.name, cost, units, span)
				}
				p.compare(t, sequence.steps, false, map[string]int{})
			}
		}
	}
}

// century is how long (µs) the slowest of them ask.
const century = int64(36525 * 24 * time.Hour / time.Microsecond)

func rate(units, span int64) float64 { return float64(units) / float64(span) * 1e9 }

// A greed is what a greedy caller asked and got.
type greed struct {
	steps           []model.Step
	units, admitted int64
	span            int64 // ns that the units cost: the time that went by, and what is owed at its end
}

// greedy empties a bucket and then asks at each instant at which a request can pass.
func greedy(t *testing.T, store *engine.Store, key string, a engine.Algorithm, l engine.Limit, cost int64, requests int) (g greed) {
	now, owed := int64(model.Noon), time.Duration(0)
	ask := func(cost int64) engine.Decision {
		q := model.Question{Op: model.Check, Algorithm: a, Limit: l, Cost: cost, Now: now}
		g.steps = append(g.steps, model.Step{Key: key, Question: q})
		answer, err := q.Of(store, key)
		if err != nil {
			t.Fatal(err)
		}
		g.span = (now-model.Noon)*1000 + (answer.Decision.ResetAfter - owed).Nanoseconds()
		return answer.Decision
	}
	owed = ask(l.Burst()).ResetAfter
	for range requests {
		if d := ask(cost); d.Allowed {
			g.units, g.admitted = g.units+cost, g.admitted+1
		} else if now += (d.RetryAfter.Nanoseconds() + 999) / 1000; now > model.Noon+century {
			break
		}
	}
	return g
}
