package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// By force, allowed and retry_after are those of a check, and the state afterwards is that of a check
// which the limit does not stop.
func TestForceTakesWhetherOrNotItFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		cost := drawCost(t, f.limit)
		checked, forced := f.replay(), f.replay()
		check, force := f.ask(checked, question{OpCheck, cost, f.now}), f.ask(forced, question{OpForce, cost, f.now})
		if check.Allowed {
			before, after := contents(checked, f.now)["key"], contents(forced, f.now)["key"]
			if check != force || before.log != after.log || before.log == "" && before != after {
				t.Fatalf("checked %+v %v, forced %+v %v", check, before, force, after)
			}
			return
		}
		if force.Allowed || force.RetryAfter != check.RetryAfter || force.Limit != check.Limit || force.Delay != 0 {
			t.Fatalf("checked %+v, forced %+v", check, force)
		}
		if force.Remaining > check.Remaining || force.ResetAfter < check.ResetAfter {
			t.Fatalf("nothing was taken: %+v, after %+v", force, check)
		}
		peek := f.ask(forced, question{OpPeek, 1, f.now})
		if peek.Remaining != force.Remaining || peek.ResetAfter != force.ResetAfter {
			t.Fatalf("forced %+v, and then there is %+v", force, peek)
		}
		if units := unitsHeld(forced, &f); units < min(cost, most(&f)) {
			t.Fatalf("%d units are taken, of %d", units, cost)
		}
	})
}

// most is how many units a state of a life can be forced to hold.
func most(f *life) int64 {
	if f.algorithm.Shape() == ShapeLog {
		return LogLimitMax
	}
	if f.algorithm.HasBurst() {
		return f.limit.units(int64(FillMax))
	}
	return UnitsMax
}

// unitsHeld is how many units the state of a life holds, rounded up.
func unitsHeld(s *Store, f *life) (units int64) {
	s.Dump(0, 1<<20, f.now, func(c *Change) {
		switch {
		case f.algorithm.Shape() != ShapeWord:
			for _, e := range c.Log.Entries {
				units += e.Units
			}
		case f.algorithm.HasBurst():
			units = f.limit.units(c.Word-f.now*1000) + 1
		default:
			_, units = windowOf(c.Word)
		}
	})
	return units
}

// What is forced can be given back, but for what was beyond the most that a state holds.
func TestForceSaturates(t *testing.T) {
	hour := mustLimit(10, time.Hour, 0)
	for _, c := range []struct {
		a      Algorithm
		forced int // times UnitsMax units
		reset  time.Duration
	}{
		{TokenBucket, 2, FillMax},
		{LeakyBucket, 2, FillMax},
		{FixedWindow, 2, 46*time.Minute + 40*time.Second},
		{SlidingWindowLog, 2, time.Hour},
		{SlidingWindowCounter, 2, time.Hour + 43*time.Second + 750*time.Millisecond},
	} {
		s := mustStore()
		for range c.forced {
			d, err := ask(s, OpForce, "k", c.a, hour, UnitsMax, noon)
			if want := denied(10, 0, Never, c.reset); err != nil || d != want {
				t.Errorf("%v: %+v, %v, want %+v", c.a, d, err, want)
			}
		}
		d, err := s.Refund("k", c.a, hour, UnitsMax, noon)
		if err != nil {
			t.Fatal(err)
		}
		if want := allowed(10, 10, 0); d != want && c.a != SlidingWindowLog {
			t.Errorf("%v: %+v is left, want %+v", c.a, d, want)
		}
		// A log that had more than the highest limit keeps as many.
		if c.a == SlidingWindowLog && d.Remaining != 0 {
			t.Errorf("%v: %+v is left", c.a, d)
		}
	}
}

// A debt that is beyond FillMax already, by a clock that stepped back, is not lowered.
func TestForceLowersNoDebt(t *testing.T) {
	l := mustLimit(1, time.Second, 0)
	x := meterStep(OpForce, 10*int64(time.Second)+int64(FillMax), &l, 0, 5)
	if x.next != 10*int64(time.Second)+int64(FillMax) {
		t.Errorf("%+v", x)
	}
}
