package policies

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

var (
	callsFlag = flag.Int("calls", 20_000, "how many `calls` TestTogether makes of Redis and of a cluster each, and ten times as many in memory")
	seedFlag  = flag.Uint64("seed", 1, "draw what workers ask from this `number`")
)

const (
	connections = 64
	costMax     = 3
	// spuriousTarget is the share of calls that may be denied spuriously in memory.
	spuriousTarget = 0.001
)

// Connections ask of policies at the same time, several pairs in a call, and give back some of what
// they have. No limit is ever exceeded, each limit says that exactly as much is taken as callers have,
// so a call that was denied has left nothing behind.
func TestTogether(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)
			establish(t, fleet)
			v := run(t, s, fleet, connections, s.times**callsFlag)
			t.Log(v)
			v.demandSums(t, fleet[0].Dial(), s.groups)
			if v.admitted == 0 || v.denied == 0 || v.refunds == 0 {
				t.Error("nothing is shown: no call was admitted, none denied, or none refunded")
			}
			if s.name == "memory" && harness.TimesMatter && v.spuriousShare() > spuriousTarget {
				t.Errorf("%.3f%% of the calls were denied spuriously; want %.3f%% at most", 100*v.spuriousShare(), 100*spuriousTarget)
			}
		})
	}
}

// Where one connection asks, of one server, every denial is right.
func TestAlone(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)[:1]
			establish(t, fleet)
			v := run(t, s, fleet, 1, *callsFlag/10)
			v.demandSums(t, fleet[0].Dial(), s.groups)
			if v.spurious+v.doubtful > 0 || v.certain == 0 {
				t.Error(v)
			}
		})
	}
}

// A worker asks over one connection. It sends one call or several, and waits for all answers.
type worker struct {
	*harness.Conn
	groups int
	rng    *rand.Rand
	glass  *hourglass
	held   []call // what it was admitted and has not given back, one pair each
	calls  []call
}

// batchMax is how many calls a worker sends at once.
const batchMax = 16

// run has workers make calls of the servers in turn, and judges what they were answered.
func run(t testing.TB, s setting, fleet []*harness.Process, workers, calls int) *verdict {
	t.Helper()
	var glass hourglass
	all := make([]*worker, workers)
	var working sync.WaitGroup
	for i := range all {
		w := &worker{Conn: harness.DialAddr(t, fleet[i%len(fleet)].Addr()), groups: s.groups, rng: rand.New(rand.NewPCG(*seedFlag, uint64(i))), glass: &glass}
		w.Reader = bufio.NewReader(w.Conn)
		all[i] = w
		working.Go(func() {
			defer func() { _ = w.Close() }()
			for len(w.calls) < calls/workers {
				if err := w.step(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var list []call
	for _, w := range all {
		list = append(list, w.calls...)
	}
	return judge(list, glass.Load())
}

// step sends one call, or several, and reads the answers.
func (w *worker) step() error {
	batch := make([]call, 1)
	if w.rng.IntN(2) == 0 {
		batch = make([]call, 1+w.rng.IntN(batchMax))
	}
	var text string
	for i := range batch {
		words := w.draw(&batch[i])
		text += harness.Command(words...)
	}
	for i := range batch {
		batch[i].sent = w.glass.now()
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	for i := range batch {
		if err := w.read(&batch[i]); err != nil {
			return err
		}
	}
	w.calls = append(w.calls, batch...)
	return nil
}

// draw draws a call and returns its words: a question, or a refund of something that the worker has.
func (w *worker) draw(c *call) (words []string) {
	if n := len(w.held); n > 0 && w.rng.IntN(3) == 0 {
		i := w.rng.IntN(n)
		*c, w.held[i], w.held = w.held[i], w.held[n-1], w.held[:n-1]
		words = []string{"RL.REFUND"}
	} else {
		c.pairs, c.cost = draw(w.rng, w.groups), 1+w.rng.Int64N(costMax)
		words = []string{"RL.MCHECK", strconv.Itoa(len(c.pairs))}
		if len(c.pairs) == 1 && w.rng.IntN(2) == 0 {
			words = []string{"RL.CHECK"}
		}
	}
	for _, p := range c.pairs {
		words = append(words, p.words(w.groups)...)
	}
	return append(words, "COST", strconv.FormatInt(c.cost, 10))
}

// read reads the answer to a call.
func (w *worker) read(c *call) error {
	six, err := integersOf(w.Conn)
	c.answered = w.glass.now()
	if err != nil || len(six) != 6 || six[2] < 0 || c.refund && six[0] != 1 {
		return fmt.Errorf("%+v was answered %v, %w", c, six, err)
	}
	if c.admitted = six[0] == 1 && !c.refund; c.admitted {
		for _, p := range c.pairs {
			w.held = append(w.held, call{pairs: []pair{p}, cost: c.cost, refund: true})
		}
	}
	return nil
}
