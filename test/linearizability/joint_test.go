package linearizability

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// Calls over several limits are all or nothing: there has to be an order of them in which each one that
// was admitted finds room on all of its limits. One that is denied changes nothing, and it has to be
// denied in that order, unless it crossed another call: one that was under way at the same time, about
// one of the same states. A call that crosses none has to be answered as the model does, whole.
//
// Time stands still while calls can cross, and what is given back was taken before at the same
// instant. So the order of two calls makes no difference to what is taken, also where it is another
// one on each of their states.

const (
	jointStates = 4
	jointRounds = 400
	// jointPhases of a round follow each other, with the clock between: no two cross.
	jointPhases = 2
	jointTurns  = 8 // of each worker in a phase
)

// A joint is what porcupine is told of a call: the states it is about, by number, in their order.
type joint struct {
	op      engine.Op
	states  []int
	cost    int64
	now     int64 // µs
	limits  *[jointStates]jointLimit
	crossed bool
}

// A jointLimit is the limit of a state.
type jointLimit struct {
	engine.Algorithm
	engine.Limit
}

// A jointAnswer is what the call was answered: as a whole, and for each of its states.
type jointAnswer struct {
	whole engine.Decision
	parts []engine.Decision
}

// jointly is how a store has to answer. The state is what it remembers of each.
var jointly = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation { return [][]porcupine.Operation{history} },
	Init:      func() []any { return []any{[jointStates]model.Key{}} },
	Step: func(state, input, output any) []any {
		before, c, got := state.([jointStates]model.Key), input.(joint), output.(jointAnswer)
		after, want := c.ask(before)
		switch {
		case !c.crossed && !want.equal(got), c.op == engine.OpCheck && got.whole.Allowed && !want.whole.Allowed:
			return nil
		case c.op == engine.OpPeek, c.op == engine.OpCheck && !got.whole.Allowed:
			return []any{before}
		}
		return []any{after}
	},
	Equal: func(a, b any) bool {
		x, y := a.([jointStates]model.Key), b.([jointStates]model.Key)
		return slices.EqualFunc(x[:], y[:], model.Key.Equal)
	},
}).ToModel()

// ask is the contract of a call.
func (c joint) ask(keys [jointStates]model.Key) (after [jointStates]model.Key, a jointAnswer) {
	after, a.whole.Allowed = keys, true
	ops := map[engine.Op]model.Op{engine.OpCheck: model.Check, engine.OpPeek: model.Peek, engine.OpRefund: model.Refund}
	for _, op := range []model.Op{model.Peek, ops[c.op]} {
		if op == model.Check && !a.whole.Allowed {
			break // with what it says then, nothing taken
		}
		a.parts = nil
		for _, s := range c.states {
			next, answer := keys[s].Ask(model.Question{Op: op, Algorithm: c.limits[s].Algorithm, Limit: c.limits[s].Limit, Cost: c.cost, Now: c.now})
			if op != model.Peek {
				after[s] = next
			}
			a.whole.Allowed = a.whole.Allowed && answer.Decision.Allowed || op == model.Refund
			a.parts = append(a.parts, answer.Decision)
		}
	}
	return after, a
}

// equal says whether an answer is what was wanted: on each limit, and as a whole the one that binds.
func (a jointAnswer) equal(got jointAnswer) bool {
	if !slices.Equal(a.parts, got.parts) || a.whole.Allowed != got.whole.Allowed {
		return false
	}
	binds := func(i, j engine.Decision) int { // the one that binds is the least
		if !a.whole.Allowed {
			return int(min(max(wait(j)-wait(i), -1), 1))
		}
		return int(min(max(i.Remaining-j.Remaining, -1), 1))
	}
	least := slices.MinFunc(a.parts, binds)
	delay := slices.MaxFunc(a.parts, func(i, j engine.Decision) int { return int(i.Delay - j.Delay) }).Delay
	whole := got.whole
	return slices.ContainsFunc(a.parts, func(d engine.Decision) bool {
		if d.Delay = delay; !a.whole.Allowed {
			d.Delay = whole.Delay // which says nothing to one who is denied
		}
		return d == whole && binds(d, least) == 0
	})
}

// wait is how long a denial is, and nothing of what admits.
func wait(d engine.Decision) time.Duration {
	switch {
	case d.Allowed:
		return -1
	case d.RetryAfter == engine.Never:
		return 1 << 62
	}
	return d.RetryAfter
}

// TestJointHistories finds an order for calls over several limits.
func TestJointHistories(t *testing.T) {
	random := rand.New(rand.NewPCG(seed(t), 0))
	var calls, denied, crossed, deniedCrossed int
	for range scaled(jointRounds) {
		history := newJointRound(random).record(t)
		for _, o := range history {
			calls++
			c := o.Input.(joint)
			if c.crossed {
				crossed++
			}
			if c.op == engine.OpCheck && !o.Output.(jointAnswer).whole.Allowed {
				denied++
				if c.crossed {
					deniedCrossed++
				}
			}
		}
		if got := porcupine.CheckOperationsTimeout(jointly, history, checkTime); got != porcupine.Ok {
			t.Fatalf("%s: no order of these calls gives their answers:\n%s", got, jointTranscript(history))
		}
	}
	t.Logf("%d calls, %d of them crossed by another; %d were denied, %d of these crossed", calls, crossed, denied, deniedCrossed)
}

// A jointRound is a store with some states, and workers that ask about several of them at a time.
type jointRound struct {
	workers int
	limits  [jointStates]jointLimit
	seeds   []uint64
	barrier barrier
}

func newJointRound(random *rand.Rand) *jointRound {
	r := &jointRound{workers: 2}
	if random.IntN(4) == 0 {
		r.workers = 3
	}
	// With each turn all start at once, for a call takes a fraction of a microsecond.
	r.barrier.parties, r.barrier.awake = int64(r.workers), 50_000
	all := engine.Algorithms()
	for i := range r.limits {
		r.limits[i] = jointLimit{all[random.IntN(len(all))], limits[random.IntN(len(limits))]}
	}
	for range r.workers {
		r.seeds = append(r.seeds, random.Uint64())
	}
	return r
}

// record lets the workers ask, and returns their history.
func (r *jointRound) record(t *testing.T) (history []porcupine.Operation) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(r.workers))
	s, begun := mustStore(0), time.Now()
	parts := make([][]porcupine.Operation, r.workers)
	var working sync.WaitGroup
	for i := range r.workers {
		working.Go(func() {
			random := rand.New(rand.NewPCG(r.seeds[i], 0))
			for phase := range int64(jointPhases) {
				var held []joint
				for range jointTurns {
					c := r.draw(random, &held)
					c.now = noon + phase*30_000
					call := c.call()
					r.barrier.wait()
					o := porcupine.Operation{ClientId: i, Call: int64(time.Since(begun))}
					if err := s.AskCall(call, c.now); err != nil {
						t.Errorf("%+v: %v", c, err)
					}
					o.Return = int64(time.Since(begun))
					a := jointAnswer{whole: call.Decision}
					for _, p := range call.Parts {
						a.parts = append(a.parts, p.Decision)
					}
					if c.op == engine.OpCheck && a.whole.Allowed {
						held = append(held, c)
					}
					o.Input, o.Output = c, a
					parts[i] = append(parts[i], o)
				}
			}
		})
	}
	working.Wait()
	history = slices.Concat(parts...)
	for i := range history {
		markCrossed(history, i)
	}
	return history
}

// draw draws a call. One in a few gives back what the worker has taken.
func (r *jointRound) draw(random *rand.Rand, held *[]joint) (c joint) {
	switch n := len(*held); {
	case n > 0 && random.IntN(3) == 0:
		c, *held = (*held)[n-1], (*held)[:n-1]
		c.op = engine.OpRefund
		return c
	case random.IntN(8) == 0:
		c.op = engine.OpPeek
	default:
		c.op = engine.OpCheck
	}
	c.limits, c.cost = &r.limits, 1+random.Int64N(2)
	c.states = random.Perm(jointStates)[:1+random.IntN(jointStates)]
	return c
}

func jointName(state int) string { return fmt.Sprintf("key@policy:%d", state) }

// call is the question as the store is asked it.
func (c joint) call() *engine.Call {
	call := &engine.Call{Op: c.op, Cost: c.cost, Clock: func() int64 { return c.now }}
	for pair, s := range c.states {
		call.Parts = append(call.Parts, engine.Part{State: jointName(s), Algorithm: c.limits[s].Algorithm | engine.Named, Limit: c.limits[s].Limit, Pair: pair})
	}
	return call
}

// markCrossed says of a call whether another was under way at the same time, about one of its states,
// that could have changed it.
func markCrossed(history []porcupine.Operation, i int) {
	o := &history[i]
	c := o.Input.(joint)
	c.crossed = slices.ContainsFunc(history, func(p porcupine.Operation) bool {
		d := p.Input.(joint)
		return p.ClientId != o.ClientId && p.Call <= o.Return && o.Call <= p.Return && d.op != engine.OpPeek &&
			slices.ContainsFunc(c.states, func(s int) bool { return slices.Contains(d.states, s) })
	})
	o.Input = c
}

func jointTranscript(history []porcupine.Operation) string {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range history {
		c := o.Input.(joint)
		fmt.Fprintf(&b, "%9d … %9d ns, worker %d: op %d of %d units of %v at %d, crossed %v\n\t%+v\n", o.Call, o.Return, o.ClientId, c.op, c.cost, c.states, c.now, c.crossed, o.Output)
	}
	return b.String()
}

// What a call takes and then gives back, because a later limit refused it, may not make room for others
// while time goes on: of a meter's limit never more is admitted in any span than its burst and what
// its rate gives. A call is stopped between the two if it meets others at the second limit, a window of
// one unit that ends all the time.
func TestUndoForgivesNothing(t *testing.T) {
	for _, a := range []engine.Algorithm{engine.TokenBucket, engine.LeakyBucket} {
		const price, burst = 3 * time.Microsecond, 10
		meter, err := engine.NewLimit(1000, 1000*price, burst)
		if err != nil {
			t.Fatal(err)
		}
		window := mustLimit(1, time.Millisecond)
		s := mustStore(0)
		var clock atomic.Int64 // each reading is the next microsecond
		clock.Store(noon)
		const last = noon + 200_000
		var mu sync.Mutex
		var admitted []int64
		together(4, func() {
			var mine []int64
			for now := clock.Add(1); now < last; now = clock.Add(1) {
				call := &engine.Call{Op: engine.OpCheck, Cost: 1, Clock: clock.Load, Parts: []engine.Part{
					{State: "k@p:t", Algorithm: a | engine.Named, Limit: meter},
					{State: "k@p:f", Algorithm: engine.FixedWindow | engine.Named, Limit: window},
				}}
				if now%3 > 0 {
					call.Parts = call.Parts[:1]
				}
				if err := s.AskCall(call, now); err != nil && !errors.Is(err, engine.ErrReplaced) {
					t.Error(err)
				}
				if call.Decision.Allowed {
					mine = append(mine, now)
				}
			}
			mu.Lock()
			admitted = append(admitted, mine...)
			mu.Unlock()
		})
		slices.Sort(admitted)
		// Debt after each, were there no other calls: never above the burst, from whichever on.
		var debt, worst time.Duration
		for i, now := range admitted {
			if i > 0 {
				debt = max(0, debt-time.Duration(now-admitted[i-1])*time.Microsecond)
			}
			debt += price
			worst = max(worst, debt)
		}
		if worst > burst*price {
			t.Errorf("%v: %v were admitted at once, more than the burst of %v", a, worst, burst*price)
		}
	}
}
