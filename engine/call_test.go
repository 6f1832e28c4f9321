package engine

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawParts draws the parts of calls: some pairs, each of some limits, some in shadow.
func drawParts(t *rapid.T) (parts []Part) {
	for pair := range rapid.IntRange(1, 4).Draw(t, "pairs") {
		shadow := rapid.IntRange(0, 3).Draw(t, "shadow") == 0
		for i := range rapid.IntRange(1, 3).Draw(t, "limits") {
			a := rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
			parts = append(parts, Part{
				State: fmt.Sprintf("user:%d@policy:%d", pair, i), Algorithm: a | Named, Limit: drawLimit(t, a), Pair: pair, Shadow: shadow,
			})
		}
	}
	return parts
}

// answer is what a call must answer, by asking one part after the other, where nobody else asks.
func answer(t *rapid.T, s *Store, c *Call, now int64) (want []Decision) {
	one := func(o Op, p *Part) Decision {
		d, err := ask(s, o, p.State, p.Algorithm, p.Limit, c.Cost, now)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if c.Op != OpCheck {
		for i := range c.Parts {
			want = append(want, one(c.Op, &c.Parts[i]))
		}
		return want
	}
	denied, deniedPairs := false, map[int]bool{}
	for i := range c.Parts {
		p := &c.Parts[i]
		want = append(want, one(OpPeek, p))
		if !want[i].Allowed {
			deniedPairs[p.Pair] = true
			denied = denied || !p.Shadow
		}
	}
	for i := range c.Parts {
		if p := &c.Parts[i]; !denied && !deniedPairs[p.Pair] {
			want[i] = one(OpCheck, p)
		}
	}
	return want
}

// Where nobody else asks, a call is what it says: all or nothing.
func TestCallIsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, each, now := mustStore(), mustStore(), drawStart(t)
		c := Call{Parts: drawParts(t)}
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			p := &c.Parts[rapid.IntRange(0, len(c.Parts)-1).Draw(t, "part")]
			c.Op, c.Cost = drawOp(t), drawCost(t, p.Limit)
			now = drawNow(t, now, p.Limit, p.Decision, true)
			err := s.AskCall(&c, now)
			want := answer(t, each, &c, now)
			for i := range c.Parts {
				if p := &c.Parts[i]; err != nil || p.Decision != want[i] {
					t.Fatalf("%v %d, part %d: %+v, %v, want %+v", opNames[c.Op], c.Cost, i, p.Decision, err, want[i])
				}
			}
			if got, want := contents(s, now), contents(each, now); !sameContents(got, want) {
				t.Fatalf("%v %d leaves %v, want %v", opNames[c.Op], c.Cost, got, want)
			}
			checkBinding(t, &c)
		}
	})
}

// sameContents compares contents but for the references of logs, which are a store's own.
func sameContents(one, two map[string]content) bool {
	return maps.EqualFunc(one, two, func(a, b content) bool {
		return a.owner == b.owner && a.log == b.log && (a.log != "" || a.state == b.state)
	})
}

// checkBinding checks a call's decision against those of its parts.
func checkBinding(t *rapid.T, c *Call) {
	shadows := true
	for i := range c.Parts {
		shadows = shadows && c.Parts[i].Shadow
	}
	var counted []Decision
	allowed, delay := true, time.Duration(0)
	for i := range c.Parts {
		if p := &c.Parts[i]; shadows || !p.Shadow {
			counted = append(counted, p.Decision)
			allowed = allowed && (shadows || p.Decision.Allowed)
			if !p.Shadow {
				delay = max(delay, p.Decision.Delay)
			}
		}
	}
	if c.Decision.Allowed != allowed || allowed && c.Decision.Delay != delay || !allowed && c.Decision.Delay != 0 {
		t.Fatalf("%+v of %+v", c.Decision, counted)
	}
	found := false
	for _, d := range counted {
		switch {
		case allowed && d.Remaining < c.Decision.Remaining,
			!allowed && !d.Allowed && (d.RetryAfter == Never && c.Decision.RetryAfter != Never || c.Decision.RetryAfter != Never && d.RetryAfter > c.Decision.RetryAfter):
			t.Fatalf("%+v binds before %+v", d, c.Decision)
		}
		d.Delay, d.Allowed = c.Decision.Delay, allowed
		if shadows {
			d.RetryAfter = 0
		}
		found = found || d == c.Decision
	}
	if !found {
		t.Fatalf("%+v is of none of %+v", c.Decision, counted)
	}
}

// A call without parts is one that nobody has counted.
func TestCallOfNothing(t *testing.T) {
	c := Call{Cost: 1}
	if err := mustStore().AskCall(&c, noon); err != nil || c.Decision != (Decision{Allowed: true, Limit: UnitsMax, Remaining: -1}) {
		t.Errorf("%+v, %v", c.Decision, err)
	}
}

// part is a part of a limit of so many units an hour.
func part(state string, a Algorithm, limit int64) Part {
	return Part{State: state, Algorithm: a | Named, Limit: mustLimit(limit, time.Hour, 0)}
}

// An error of one part is the call's, and changes nothing.
func TestCallErrorsChangeNothing(t *testing.T) {
	for _, o := range []Op{OpCheck, OpPeek, OpRefund, OpForce} {
		for name, bad := range map[string]Part{
			"key":       part("", TokenBucket, 5),
			"algorithm": part("bad", Named, 5),
			"limit":     {State: "bad", Algorithm: TokenBucket | Named},
			"":          part("wrong", TokenBucket, 5),
		} {
			s := mustStore()
			if _, err := s.Check("wrong", TokenBucket, mustLimit(5, time.Hour, 0), 1, noon); err != nil {
				t.Fatal(err)
			}
			c := Call{Op: OpCheck, Cost: 2, Parts: []Part{part("a", TokenBucket, 5), part("b", SlidingWindowLog, 5), part("c", FixedWindow, 5)}}
			if err := s.AskCall(&c, noon); err != nil {
				t.Fatal(err)
			}
			before := contents(s, noon)
			c.Op, c.Cost, c.Parts = o, 1, append(c.Parts, bad)
			err := s.AskCall(&c, noon+1)
			if argumentOf(err) != name || name == "" && !errors.Is(err, ErrWrongType) || c.Decision != (Decision{}) {
				t.Errorf("%s with a bad %s: %v, %+v", opNames[o], name, err, c.Decision)
			}
			if after := contents(s, noon+1); !sameContents(before, after) {
				t.Errorf("%s with a bad %s: %v became %v", opNames[o], name, before, after)
			}
		}
	}
}

// Under a limit that was replaced nothing is taken.
func TestCallUnderAReplacedLimit(t *testing.T) {
	var replaced atomic.Bool
	replaced.Store(true)
	for _, a := range Algorithms() {
		for _, o := range []Op{OpCheck, OpPeek, OpForce, OpRefund} {
			for parts := 1; parts <= 3; parts++ {
				s := mustStore()
				c := Call{Op: OpCheck, Cost: 2, Clock: func() int64 { return noon }}
				for i := range parts {
					c.Parts = append(c.Parts, part(fmt.Sprint("state ", i), a, 5))
				}
				if o != OpRefund {
					if err := s.AskCall(&c, noon); err != nil {
						t.Fatal(err)
					}
				}
				before := contents(s, noon)
				for i := range c.Parts {
					c.Parts[i].Replaced = &replaced
				}
				c.Op = o
				if err := s.AskCall(&c, noon); !errors.Is(err, ErrReplaced) || c.Decision != (Decision{}) {
					t.Errorf("%v, %s of %d parts: %v", a, opNames[o], parts, err)
				}
				if after := contents(s, noon); !sameContents(before, after) {
					t.Errorf("%v, %s of %d parts: %v became %v", a, opNames[o], parts, before, after)
				}
			}
		}
	}
}

// A part that refuses what it was seen to admit has all taken back, and in the end denies. Two parts of
// one state do so without anybody else.
func TestCallThatIsRefusedAfterAll(t *testing.T) {
	for _, a := range Algorithms() {
		for _, shadow := range []bool{false, true} {
			s := mustStore()
			c := Call{Op: OpCheck, Cost: 6, Clock: func() int64 { return noon }, Parts: []Part{part("a", a, 10), part("b", a, 10), part("b", a, 10)}}
			for i := range c.Parts[1:] {
				c.Parts[1+i].Pair, c.Parts[1+i].Shadow = 1, shadow
			}
			if err := s.AskCall(&c, noon); err != nil || c.Decision.Allowed != shadow || c.Parts[2].Decision.Allowed {
				t.Fatalf("%v, shadow %v: %+v of %+v, %v", a, shadow, c.Decision, c.Parts, err)
			}
			if left := contents(s, noon); shadow != (len(left) == 1) {
				t.Errorf("%v, shadow %v: %v is left", a, shadow, left)
			}
			if d := c.Parts[1].Decision; d.Remaining != 10 || !d.Allowed {
				t.Errorf("%v, shadow %v: %+v of a part of which nothing was taken", a, shadow, d)
			}
		}
	}
}

// What was given back under a limit that was replaced meanwhile was given back; the call stands.
func TestRefundUnderAReplacedLimit(t *testing.T) {
	var replaced atomic.Bool
	replaced.Store(true)
	for _, a := range Algorithms() {
		for parts := 1; parts <= 2; parts++ {
			for back := int64(1); back <= 2; back++ { // some, and all
				s := mustStore()
				c := Call{Op: OpCheck, Cost: 2, Parts: []Part{part("a", a, 5), part("b", a, 5)}[:parts]}
				if err := s.AskCall(&c, noon); err != nil {
					t.Fatal(err)
				}
				c.Op, c.Cost, c.Parts[0].Replaced = OpRefund, back, &replaced
				if err := s.AskCall(&c, noon); err != nil || c.Decision.Remaining != 3+back {
					t.Errorf("%v, %d: %+v, %v", a, back, c.Decision, err)
				}
			}
		}
	}
}

// A call of states that exist allocates nothing, admitted or denied.
func TestCallAllocatesNothing(t *testing.T) {
	s, now := mustStore(), noon
	for _, limit := range []int64{1_000_000, 1} {
		c := Call{Op: OpCheck, Cost: 1, Parts: []Part{
			part("a@p:t", TokenBucket, 1_000_000), part("a@p:f", FixedWindow, 1_000_000), part("a@p:f2", FixedWindow, limit),
		}}
		c.Parts[0].Formers = []Former{{State: "a@p:former", Algorithm: TokenBucket | Named, Limit: c.Parts[0].Limit}}
		if err := s.AskCall(&c, now); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			now++
			if err := s.AskCall(&c, now); err != nil || c.Decision.Allowed != (limit > 1) {
				t.Fatal(err, c.Decision)
			}
		}); n != 0 {
			t.Errorf("a call of a limit of %d allocates %v times", limit, n)
		}
	}
}
