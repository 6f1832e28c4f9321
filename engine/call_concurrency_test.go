package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// randomOf is a caller's source of chance.
func randomOf(worker int) *rand.Rand { return rand.New(rand.NewPCG(1, uint64(worker))) }

// perYear is a limit of which nothing decays in a test.
func perYear(limit int64) Limit { return mustLimit(limit, PeriodMax, 0) }

// used is how many units of a limit a state holds.
func used(t *testing.T, s *Store, p *Part) int64 {
	d, err := s.Peek(p.State, p.Algorithm, p.Limit, 1, noon)
	if err != nil {
		t.Fatal(err)
	}
	return d.Limit - d.Remaining
}

// Whatever calls cross, each state holds what was admitted and nothing of what was denied, and never
// more than its limit.
func TestCallsThatCross(t *testing.T) {
	collide(t)
	for round := range 200 {
		if denied, contended := crossRound(t); denied > 0 && contended > 0 && round >= 3 {
			return
		}
	}
	t.Error("the calls did not cross")
}

const (
	crossKeys    = 10
	crossCallers = 8
)

// crossed are the limits of keys, and what was admitted of each.
type crossed struct {
	limits   [crossKeys][]Part
	admitted [crossKeys][3]atomic.Int64
	denied   atomic.Int64
}

func crossRound(t *testing.T) (denied, contended int64) {
	s, c := mustStore(), new(crossed)
	for key := range c.limits {
		for i := range 3 {
			a := Algorithms()[(key+i)%len(Algorithms())]
			c.limits[key] = append(c.limits[key], Part{
				State: fmt.Sprintf("%d@p:%d", key, i), Algorithm: a | Named, Limit: perYear(int64(fewer(3000) + 100*i)), Shadow: key == 0,
			})
		}
	}
	together(crossCallers, func(worker int) {
		r := randomOf(worker)
		for range fewer(3000) {
			c.ask(t, s, r)
		}
	})
	for key := range c.limits {
		for i := range c.limits[key] {
			p, sum := &c.limits[key][i], c.admitted[key][i].Load()
			if got := used(t, s, p); got != sum || got > p.Limit.limit {
				t.Errorf("%s of %v holds %d units, %d were admitted of %d", p.State, p.Algorithm, got, sum, p.Limit.limit)
			}
		}
	}
	return c.denied.Load(), int64(s.Stats().Contended)
}

// ask asks some limits of some keys, in any order.
func (c *crossed) ask(t *testing.T, s *Store, r *rand.Rand) {
	call := Call{Op: OpCheck, Cost: 1 + r.Int64N(3), Clock: func() int64 { return noon }}
	picked := r.Perm(crossKeys)[:1+r.IntN(3)]
	for pair, key := range picked {
		for _, p := range c.limits[key][:1+r.IntN(3)] {
			p.Pair = pair
			call.Parts = append(call.Parts, p)
		}
	}
	if err := s.AskCall(&call, noon); err != nil {
		t.Error(err)
	}
	if !call.Decision.Allowed {
		c.denied.Add(1)
		return
	}
	limit := 0 // of the pair
	for i := range call.Parts {
		p := &call.Parts[i]
		if limit++; i == 0 || call.Parts[i-1].Pair != p.Pair {
			limit = 0
		}
		if !p.Shadow || shadowTook(&call, p.Pair) {
			c.admitted[picked[p.Pair]][limit].Add(call.Cost)
		}
	}
}

// shadowTook says whether a pair in shadow admitted a call.
func shadowTook(c *Call, pair int) bool {
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Pair == pair && !p.Decision.Allowed {
			return false
		}
	}
	return true
}

// A limit that is replaced while it is asked: what was admitted under either one is what the states hold,
// once, and within the limit that is in force.
func TestUnitsAreCarriedOverOnce(t *testing.T) {
	collide(t)
	for _, from := range Algorithms() {
		for _, to := range Algorithms() {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) {
				for round := range fewer(100) {
					carryRound(t, from, to, round)
				}
			})
		}
	}
}

func carryRound(t *testing.T, from, to Algorithm, round int) {
	const limit, callers = 60, 4
	s := mustStore()
	var replaced atomic.Bool
	old := Part{State: "user:1@p:old", Algorithm: from | Named, Limit: perYear(limit), Replaced: &replaced}
	now := Part{State: "user:1@p:new", Algorithm: to | Named, Limit: mustLimit(limit, PeriodMax-time.Hour, 0)}
	now.Formers = []Former{{old.State, old.Algorithm, old.Limit}}
	var admitted atomic.Int64
	together(callers, func(worker int) {
		r := randomOf(worker)
		c := Call{Op: OpCheck, Clock: func() int64 { return noon }, Parts: make([]Part, 1)}
		for n := range 40 {
			if worker == 0 && n == round%20 {
				replaced.Store(true)
			}
			for asked := false; !asked; {
				c.Parts[0], c.Cost, c.Op = old, 1+r.Int64N(int64(1+round%2)), OpCheck
				stale := r.IntN(4) == 0 // as one that has looked at the flag before
				if replaced.Load() && !stale {
					c.Parts[0] = now
				}
				if r.IntN(8) == 0 {
					c.Op = OpPeek
				}
				err := s.AskCall(&c, noon)
				if asked = !errors.Is(err, ErrReplaced); asked && err != nil {
					t.Error(err)
					return
				}
				if err == nil && c.Decision.Allowed && c.Op == OpCheck {
					admitted.Add(c.Cost)
				}
			}
		}
	})
	before, after := used(t, s, &old), used(t, s, &now)
	// Where costs differ, one caller may find another's units, and leave some that are counted twice.
	exact := after == admitted.Load() || round%2 == 1 && after > admitted.Load()
	if before != 0 || !exact || after > limit {
		t.Errorf("round %d: %d units were admitted of %d; there are %d under the old limit and %d under the new", round, admitted.Load(), limit, before, after)
	}
}

// The same of calls of two limits, of which one is replaced. What crosses the change may leave units that
// count besides, but nobody is given more than there is.
func TestUnitsOfCallsAreCarriedOver(t *testing.T) {
	collide(t)
	for round := range fewer(400) {
		const limit = 60
		s, a := mustStore(), Algorithms()[round%len(Algorithms())]
		var replaced atomic.Bool
		old := Part{State: "user:1@p:old", Algorithm: a | Named, Limit: perYear(limit), Replaced: &replaced}
		now := replacing(old, Part{State: "user:1@p:new", Algorithm: a | Named, Limit: mustLimit(limit, PeriodMax-time.Hour, 0)})
		kept := Part{State: "user:1@p:kept", Algorithm: FixedWindow | Named, Limit: perYear(limit + limit/2)}
		before := kept
		before.Replaced = &replaced
		var admitted atomic.Int64
		together(4, func(worker int) {
			c := Call{Op: OpCheck, Cost: 1, Clock: func() int64 { return noon }}
			for n := range 40 {
				if worker == 0 && n == round%20 {
					replaced.Store(true)
				}
				err := ErrReplaced
				for try := 0; errors.Is(err, ErrReplaced); try++ {
					c.Parts = append(c.Parts[:0], old, before)
					if replaced.Load() && (worker < 2 || try > 0) {
						c.Parts = append(c.Parts[:0], now, kept)
					}
					err = s.AskCall(&c, noon)
				}
				if err != nil {
					t.Error(err)
				} else if c.Decision.Allowed {
					admitted.Add(1)
				}
			}
		})
		sum := admitted.Load()
		left, one, two := used(t, s, &old), used(t, s, &now), used(t, s, &kept)
		if left != 0 || one < sum || two < sum || one > limit || two > limit+limit/2 {
			t.Errorf("round %d: %d calls were admitted of %d; there are %d under the old limit, %d under the new, %d under the other", round, sum, limit, left, one, two)
		}
	}
}
