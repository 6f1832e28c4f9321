package judge

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// An oracle looks at all sets: those of the requests that were sent from one instant on and received
// until another.
type oracle struct {
	rule Rule
	seen []admission // of one key
}

// sets calls what follows with each set: its span, and how many requests.
func (o *oracle) sets(visit func(from, until, requests int64)) {
	for _, first := range o.seen {
		for _, last := range o.seen {
			from, until, n := first.sent, last.received, int64(0)
			for _, a := range o.seen {
				if a.sent >= from && a.received <= until {
					n++
				}
			}
			if n > 0 {
				visit(from, until, n)
			}
		}
	}
}

// allowed is how many units are allowed in a span, and whether that is known: a log of a
// longer span than a period is not looked at.
func (o *oracle) allowed(from, until int64) (units int64, known bool) {
	l, period := &o.rule.Limit, int64(o.rule.Limit.Period())
	switch o.rule.Algorithm {
	case engine.SlidingWindowLog, engine.SlidingWindowCounter:
		return l.Limit() / o.rule.Cost * o.rule.Cost, until-from+int64(o.rule.Tick) < period
	case engine.FixedWindow:
		// The clocks differ by exactly serverEpoch less a tick or nothing.
		begin := (from + serverEpoch - int64(o.rule.Tick)) / period
		end := (until + serverEpoch + int64(o.rule.Tick)) / period
		return (end - begin + 1) * (l.Limit() / o.rule.Cost) * o.rule.Cost, true
	case engine.TokenBucket, engine.LeakyBucket, engine.Named: // which is none
	}
	capacity := l.Slack(1) + l.Price(1)
	return (until - from + capacity + int64(o.rule.Tick)) / l.Price(o.rule.Cost) * o.rule.Cost, true
}

// shows says whether there is a set of at least so many units in at most such a span, of which so
// many were allowed.
func (o *oracle) shows(v Violation) (found bool) {
	o.sets(func(from, until, n int64) {
		span := time.Duration(until - from)
		if o.rule.Algorithm == engine.FixedWindow { // of which it tells whole windows
			units, _ := o.allowed(from, until)
			found = found || n*o.rule.Cost >= v.Admitted && units <= v.Allowed
			return
		}
		found = found || n*o.rule.Cost >= v.Admitted && span <= v.Span
	})
	return found
}

// worst is by how much any set exceeds what is allowed.
func (o *oracle) worst() (over int64) {
	o.sets(func(from, until, n int64) {
		if units, known := o.allowed(from, until); known {
			over = max(over, n*o.rule.Cost-units)
		}
	})
	return over
}

// told is what a judge finds when it is told admissions in their order.
func (o *oracle) told() []Violation {
	j, err := New(o.rule, 1)
	if err != nil {
		panic(err)
	}
	j.SawTime(0, 0, serverEpoch/1000)
	w := j.Witness()
	for _, a := range o.seen {
		w.Admitted(0, time.Duration(a.sent), time.Duration(a.received))
	}
	w.Flush()
	return j.Violations()
}

// oracles calls what follows with small histories, which no limiter has decided.
func oracles(t *testing.T, latencyMax int64, check func(t *testing.T, o *oracle)) {
	for _, a := range engine.Algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			found := 0
			for seed := range uint64(3000) {
				random := rand.New(rand.NewPCG(seed, uint64(a)))
				limit, burst := 1+random.Int64N(4), int64(0)
				if a.HasBurst() {
					burst = 1 + random.Int64N(4)
				}
				o := &oracle{rule: Rule{Algorithm: a, Limit: limitOf(limit, time.Millisecond, burst), Cost: 1 + random.Int64N(2), Tick: time.Microsecond}}
				spread := 1 + random.Int64N(4e6)
				for range 1 + random.IntN(12) {
					// Whole microseconds, so that the time is told exactly.
					sent := (1 + random.Int64N(spread)) / 1000 * 1000
					o.seen = append(o.seen, admission{0, sent, sent + random.Int64N(latencyMax)/1000*1000})
				}
				if check(t, o); o.worst() > 0 {
					found++
				}
			}
			if found < 100 {
				t.Errorf("only %d histories exceed their limit", found)
			}
		})
	}
}

// What a judge tells is so: there is such a set, whatever the order in which it is told.
func TestSetsAreTruthful(t *testing.T) {
	oracles(t, 1e6, func(t *testing.T, o *oracle) {
		for _, v := range o.told() {
			if units, known := o.allowed(0, int64(v.Span)); !o.shows(v) || v.over() <= 0 ||
				o.rule.Algorithm != engine.FixedWindow && (!known || units != v.Allowed) {
				t.Fatalf("%+v is not so of %+v (%d allowed)\n%+v", v, o.seen, units, o.rule)
			}
		}
	})
}

// A judge that is told requests in the order of sending and of receipt misses none.
func TestNothingIsMissedInOrder(t *testing.T) {
	oracles(t, 1e5, func(t *testing.T, o *oracle) {
		slices.SortFunc(o.seen, func(a, b admission) int { return cmp.Compare(a.sent, b.sent) })
		for i := range o.seen[1:] {
			o.seen[i+1].received = max(o.seen[i+1].received, o.seen[i].received)
		}
		if found, over := o.told(), o.worst(); len(found) == 0 && over > 0 {
			t.Fatalf("%d units too many were not found in %+v\n%+v", over, o.seen, o.rule)
		}
	})
}
