package model_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

var mixedSteps = flag.Int("mixed", 60_000, "how many `steps` the test of mixed periods takes at least")

// A ledger is what was admitted on a key of a log and not given back, every unit since the key was
// idle last, however many there are. It knows no rule of the log but when a unit is forgotten: when
// it is as old as every period that has written by then.
type ledger struct {
	period  time.Duration // the longest that has written
	entries []entry
}

type entry struct {
	at, units int64
	forgotten bool
}

// counted is how many units of a window are not forgotten, and takes some of the newest back.
func (l *ledger) counted(now int64, period time.Duration, back int64) (sum int64) {
	for i := len(l.entries) - 1; i >= 0; i-- {
		e := &l.entries[i]
		if age := time.Duration(now-e.at) * time.Microsecond; age >= l.period {
			e.forgotten = true
		} else if age < period && !e.forgotten {
			less := min(back, e.units)
			back, e.units = back-less, e.units-less
			sum += e.units
		}
	}
	return sum
}

// take notes what an answer says of the key's units. It returns how many units of the question's
// window are admitted now.
func (l *ledger) take(q model.Question, a model.Answer) (used int64) {
	period := q.Limit.Period()
	switch {
	case q.Op == model.Refund:
		window := period
		if q.Algorithm == engine.SlidingWindowCounter { // of which some units count for longer
			window += max(period, l.period) / 32
		}
		if l.counted(q.Now, window, q.Cost) > 0 {
			l.period = max(l.period, period)
		}
		return 0
	case q.Op != model.Check || !a.Decision.Allowed:
		return 0
	}
	used = l.counted(q.Now, period, 0) + q.Cost
	l.entries = append(l.entries, entry{at: q.Now, units: q.Cost})
	l.period = max(l.period, period)
	return used
}

// TestNoLimitIsExceededUnderMixedPeriods: when a request is admitted, the units of its window, of
// all that was admitted on the key and not given back, are at most its limit. It need not count
// what was as old, at some time, as all periods that had written by then. So where a period as long
// has written before, it counts everything.
func TestNoLimitIsExceededUnderMixedPeriods(t *testing.T) {
	steps, over, admitted, mixed, cut := 0, 0, 0, 0, 0
	for n := uint64(0); steps < *mixedSteps; n++ {
		script := model.NewScript(rand.New(rand.NewPCG(*seed, n)), "k")
		script.MixPeriods()
		script.Wild, script.Backward = false, false
		store, err := engine.NewStore(engine.Options{LogLimitMax: script.LogLimitMax})
		if err != nil {
			t.Fatal(err)
		}
		ledgers, referee := map[string]*ledger{}, model.Limiter{}
		for range 300 {
			s := script.Next()
			if s.Op == model.Force { // which exceeds limits
				s.Op = model.Check
			}
			steps++
			if _, live := store.Lookup(s.Key, s.Now); !live || s.Op == model.Reset {
				ledgers[s.Key] = &ledger{}
			}
			l := ledgers[s.Key]
			before := *l
			got, err := s.Of(store, s.Key)
			if err != nil {
				t.Fatal(err)
			}
			if want := referee.Ask(s.Key, s.Question); got != want {
				t.Fatalf("sequence %d, %s: %v\n got %v\nwant %v", n, s.Key, s.Question, got, want)
			}
			used := l.take(s.Question, got)
			if used > s.Limit.Limit() {
				over++
				t.Errorf("sequence %d, %s: %v: %d units are admitted", n, s.Key, s.Question, used)
			}
			if used > 0 {
				admitted++
				if before.period > s.Limit.Period() {
					mixed++
				}
			}
			all := int64(0)
			for _, e := range l.entries {
				if !e.forgotten {
					all += e.units
				}
			}
			if all > s.LogLimitMax {
				cut++
			}
			if over > 10 {
				t.FailNow()
			}
		}
	}
	t.Logf("-seed %d: %d steps, %d admitted, of which %d within a longer period; %d steps with more units than a log keeps; %d over", *seed, steps, admitted, mixed, cut, over)
	if admitted < steps/10 || mixed < steps/50 || cut < steps/100 {
		t.Errorf("%d of %d steps were admitted, %d of them within a longer period, %d beyond what a log keeps: this run proves little", admitted, steps, mixed, cut)
	}
}
