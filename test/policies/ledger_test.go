package policies

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// A call is what a worker asked and was answered. Its instants count all sendings and answers of a run.
type call struct {
	pairs          []pair
	cost           int64
	sent, answered int64
	refund         bool
	admitted       bool // and not refund
}

// An hourglass gives instants: of two events of a run the one that happened first has the lower one.
type hourglass struct{ atomic.Int64 }

func (h *hourglass) now() int64 { return h.Add(1) - 1 }

// A verdict is what the calls of a run say about a limiter.
type verdict struct {
	admitted, denied, refunds int

	spurious, doubtful, certain int      // of the denied ones
	over                        []string // where more was certainly taken than a limit holds
	taken                       []int64  // units of each pair, in the end
}

func (v *verdict) String() string {
	return fmt.Sprintf("%d calls were admitted, %d denied, %d refunded; of the denials %d were spurious (%.3f%%), %d may have been, %d were right",
		v.admitted, v.denied, v.refunds, v.spurious, 100*v.spuriousShare(), v.doubtful, v.certain)
}

// spuriousShare is the share of all questions that were denied spuriously.
func (v *verdict) spuriousShare() float64 {
	return float64(v.spurious) / float64(max(1, v.admitted+v.denied))
}

// A denial is a call that is under way and will be denied.
type denial struct {
	*call
	possible, certain bool // that a limit has had no room for it
}

// judge goes through all events of a run in their order.
func judge(calls []call, events int64) *verdict {
	v := &verdict{taken: make([]int64, keys*len(plans))}
	order := make([]*call, events)
	for i := range calls {
		order[calls[i].sent], order[calls[i].answered] = &calls[i], &calls[i]
	}
	most, least := make([]int64, len(v.taken)), v.taken // units of each pair that may be, and must be, taken
	open := map[*call]*denial{}
	look := func(d *denial) {
		for _, p := range d.pairs {
			d.possible = d.possible || most[p]+d.cost > p.plan().most
			d.certain = d.certain || least[p]+d.cost > p.plan().most
		}
	}
	change := func(count []int64, c *call, units int64) {
		for _, p := range c.pairs {
			if count[p] += units; least[p] > p.plan().most {
				v.over = append(v.over, fmt.Sprintf("%s @%s: %d units are taken of %d", p.key(1), p.plan().name, least[p], p.plan().most))
			}
		}
		for _, d := range open {
			look(d)
		}
	}
	for at, c := range order {
		sent := int64(at) == c.sent
		switch {
		case c.refund && sent:
			change(least, c, -c.cost)
		case c.refund:
			v.refunds++
			change(most, c, -c.cost)
		case c.admitted && sent:
			change(most, c, c.cost)
		case c.admitted:
			v.admitted++
			change(least, c, c.cost)
		case sent:
			open[c] = &denial{call: c}
			look(open[c])
		default:
			v.denied++
			switch d := open[c]; {
			case d.certain:
				v.certain++
			case d.possible:
				v.doubtful++
			default:
				v.spurious++
			}
			delete(open, c)
		}
	}
	return v
}

// demandSums wants each limit of each pair to say that as much is taken as was admitted.
func (v *verdict) demandSums(t testing.TB, c *harness.Conn, groups int) {
	t.Helper()
	for i, over := range v.over {
		if i == 10 {
			t.Errorf("and %d times more", len(v.over)-i)
			break
		}
		t.Error(over)
	}
	for i, taken := range v.taken {
		p := pair(i)
		for i, l := range explain(c, p.key(groups), p.plan().name) {
			if l.used != taken || l.rule != p.plan().rules[i] {
				t.Errorf("%s: %s says that %d units are taken; %d were admitted", l.state, l.rule, l.used, taken)
			}
		}
	}
}

// The judge finds what it is there to find.
func TestJudge(t *testing.T) {
	// @last holds 40 units. Of each call its sending and its answer.
	last := []pair{0}
	for _, c := range []struct {
		why                               string
		calls                             []call
		over, spurious, doubtful, certain int
	}{
		{"all of it is taken", []call{{pairs: last, cost: 40, admitted: true, sent: 0, answered: 1}}, 0, 0, 0, 0},
		{"one unit too many", []call{
			{pairs: last, cost: 40, admitted: true, sent: 0, answered: 1},
			{pairs: last, cost: 1, admitted: true, sent: 2, answered: 3},
		}, 1, 0, 0, 0},
		{"there was room", []call{
			{pairs: last, cost: 39, admitted: true, sent: 0, answered: 1},
			{pairs: last, cost: 1, sent: 2, answered: 3},
		}, 0, 1, 0, 0},
		{"there was none", []call{
			{pairs: last, cost: 39, admitted: true, sent: 0, answered: 1},
			{pairs: last, cost: 2, sent: 2, answered: 3},
		}, 0, 0, 0, 1},
		{"another came at the same time", []call{
			{pairs: last, cost: 39, admitted: true, sent: 1, answered: 3},
			{pairs: last, cost: 2, sent: 0, answered: 2},
		}, 0, 0, 1, 0},
		{"a refund came at the same time", []call{
			{pairs: last, cost: 40, admitted: true, sent: 0, answered: 1},
			{pairs: last, cost: 40, refund: true, sent: 2, answered: 4},
			{pairs: last, cost: 1, sent: 3, answered: 5},
		}, 0, 0, 1, 0},
		{"a refund came before", []call{
			{pairs: last, cost: 40, admitted: true, sent: 0, answered: 1},
			{pairs: last, cost: 40, refund: true, sent: 2, answered: 3},
			{pairs: last, cost: 1, sent: 4, answered: 5},
		}, 0, 1, 0, 0},
		{"two at once that did not fit together", []call{
			{pairs: last, cost: 40, sent: 0, answered: 2},
			{pairs: last, cost: 40, sent: 1, answered: 3},
		}, 0, 2, 0, 0},
	} {
		if v := judge(c.calls, int64(2*len(c.calls))); len(v.over) != c.over || v.spurious != c.spurious || v.doubtful != c.doubtful || v.certain != c.certain {
			t.Errorf("%s: %d over, %v", c.why, len(v.over), v)
		}
	}
}
