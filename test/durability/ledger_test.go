package durability

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// A ledger is what clients know of keys of which no unit returns while a test runs: what they
// were told that they have, and what they have asked for and not heard of. It is held against
// what a server says that has been killed and started again.
//
// Counted keys are checked by all workers at once. Each worker has private keys as well, which
// it also refunds and resets; being the only one it knows their state after each command.
type ledger struct {
	counted []*countedKey
	private []*privateKey
}

// A question is the part of a command that is the same each time.
type question struct {
	name, algorithm string
	rest            []string // limit, period and burst
	most            int64    // units that can be taken
}

// Of a bucket a unit returns every 366 days / limit, which for these limits is an hour and a
// half or more. What is to hold more has a burst.
const (
	ledgerLimitMax = 5000
	ledgerPeriod   = "366d"
)

func newQuestion(name string, a engine.Algorithm, most int64) question {
	q := question{name, a.String(), []string{fmt.Sprint(most), ledgerPeriod}, most}
	if most > ledgerLimitMax && a.HasBurst() {
		q.rest = []string{"1000", ledgerPeriod, "BURST", fmt.Sprint(most)}
	}
	return q
}

// say writes a command about the key.
func (q *question) say(name string, cost int64) string {
	words := append([]string{name, q.name, q.algorithm}, q.rest...)
	if name == "RL.RESET" {
		words = words[:2]
	} else {
		words = append(words, "COST", fmt.Sprint(cost))
	}
	return harness.Command(words...)
}

// An admission is what a client was told that it has.
type admission struct {
	at    time.Time
	units int64
}

type countedKey struct {
	question
	mu       sync.Mutex
	admitted int64       // units that clients have, since the last flush
	known    int64       // units that must be taken now, found at the last start or admitted since
	asked    int64       // units of questions that were not answered
	recent   []admission // since the last start
}

// A privateKey's states are the units that are taken after each command.
type privateKey struct {
	question
	known  int64         // after the last command that was answered
	past   []privateStep // commands that were answered since the last start
	future []int64       // after each command that was not answered yet, in order
}

type privateStep struct {
	before int64
	at     time.Time // when the answer came
}

const (
	hotMost        = 90_000
	spreadKeys     = 200 // of each algorithm
	spreadMostMin  = 30
	spreadMostMore = 300
	privateKeys    = 2 // of each worker
	privateMost    = 60
)

func newLedger(rng *rand.Rand, workers int) *ledger {
	l, algorithms := &ledger{}, engine.Algorithms()
	for _, a := range algorithms {
		l.counted = append(l.counted, &countedKey{question: newQuestion("hot:"+a.String(), a, hotMost)})
	}
	for i := range len(algorithms) * spreadKeys {
		a := algorithms[i%len(algorithms)]
		most := spreadMostMin + rng.Int64N(spreadMostMore)
		l.counted = append(l.counted, &countedKey{question: newQuestion(fmt.Sprintf("spread:%v:%d", a, i), a, most)})
	}
	for i := range workers * privateKeys {
		a := algorithms[i%len(algorithms)]
		l.private = append(l.private, &privateKey{question: newQuestion(fmt.Sprintf("private:%v:%d", a, i), a, privateMost)})
	}
	return l
}

// forget makes the ledger that of a server without keys.
func (l *ledger) forget() {
	for _, k := range l.counted {
		k.admitted, k.known, k.asked, k.recent = 0, 0, 0, nil
	}
	for _, k := range l.private {
		k.known, k.past, k.future = 0, nil, nil
	}
}

// A worker asks over one connection: it sends some commands, reads the answers, and so on
// until it is stopped or the connection ends.
type worker struct {
	l       *ledger
	rng     *rand.Rand
	private []*privateKey
	stop    *atomic.Bool
	problem string // an answer that cannot be
	done    ledgerCounts

	expected func(harness.Value) bool // errors that may be answered; nil: none
}

type ledgerCounts struct{ commands, admitted, denied, unanswered, refused int64 }

func (c *ledgerCounts) add(d ledgerCounts) {
	c.commands, c.admitted, c.denied = c.commands+d.commands, c.admitted+d.admitted, c.denied+d.denied
	c.unanswered, c.refused = c.unanswered+d.unanswered, c.refused+d.refused
}

// pipelineMax is how many commands a worker sends before it reads answers.
const pipelineMax = 16

// A pending is a command that was sent.
type pending struct {
	counted *countedKey
	private *privateKey
	command string
	cost    int64
	before  int64 // units of a private key that are taken before it
}

// work asks over c until the end.
func (w *worker) work(c *harness.Conn) {
	defer func() { _ = c.Close() }()
	for !w.stop.Load() && w.problem == "" {
		batch, text := w.prepare(1 + w.rng.IntN(pipelineMax))
		if _, err := c.Write([]byte(text)); err != nil {
			w.done.unanswered += int64(len(batch))
			return
		}
		for i, p := range batch {
			reply, err := harness.ParseValue(c.Reader)
			if err != nil {
				w.done.unanswered += int64(len(batch) - i)
				return
			}
			w.take(p, reply)
		}
	}
}

// prepare makes a batch, and enters into the ledger that it is asked for.
func (w *worker) prepare(n int) (batch []pending, text string) {
	for range n {
		var p pending
		if len(w.private) > 0 && w.rng.IntN(8) == 0 {
			p = w.preparePrivate()
			text += p.private.say(p.command, p.cost)
		} else {
			k := w.l.counted[w.rng.IntN(len(w.l.counted))]
			if w.rng.IntN(3) == 0 {
				k = w.l.counted[w.rng.IntN(len(engine.Algorithms()))] // a hot one
			}
			p = pending{counted: k, command: "RL.CHECK", cost: 1 + w.rng.Int64N(5)}
			k.mu.Lock()
			k.asked += p.cost
			k.mu.Unlock()
			text += k.say(p.command, p.cost)
		}
		batch = append(batch, p)
	}
	return batch, text
}

// preparePrivate foretells what a command about a private key does.
func (w *worker) preparePrivate() pending {
	k := w.private[w.rng.IntN(len(w.private))]
	now := k.known
	if n := len(k.future); n > 0 {
		now = k.future[n-1]
	}
	p := pending{private: k, cost: 1 + w.rng.Int64N(7), before: now, command: "RL.CHECK"}
	next := now
	switch w.rng.IntN(12) {
	case 0:
		p.command, next = "RL.RESET", 0
	case 1, 2, 3:
		p.command, next = "RL.REFUND", max(0, now-p.cost)
	default:
		if now+p.cost <= k.most {
			next = now + p.cost
		}
	}
	k.future = append(k.future, next)
	return p
}

// take enters an answer into the ledger.
func (w *worker) take(p pending, reply harness.Value) {
	w.done.commands++
	if reply.Kind == '-' {
		w.refused(p, reply)
		return
	}
	now := time.Now()
	admitted := len(reply.Parts) == 6 && reply.Parts[0].Text == "1"
	if k := p.counted; k != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.asked -= p.cost
		if !admitted {
			w.done.denied++
			return
		}
		w.done.admitted += p.cost
		k.admitted, k.known = k.admitted+p.cost, k.known+p.cost
		k.recent = append(k.recent, admission{now, p.cost})
		return
	}
	k := p.private
	k.past = append(k.past, privateStep{p.before, now})
	k.known, k.future = k.future[0], k.future[1:]
	if p.command == "RL.RESET" {
		return
	}
	passes := p.command == "RL.REFUND" || p.before+p.cost <= k.most
	if want := fmt.Sprint(k.most - k.known); len(reply.Parts) != 6 || passes != admitted || reply.Parts[2].Text != want {
		w.problem = fmt.Sprintf("%s %s of %d with %d of %d taken was answered %q; want that %s remain",
			p.command, k.name, p.cost, p.before, k.most, reply.Texts(), want)
	}
}

// refused enters an error into the ledger. The units stay asked for: a change that was made
// in memory before it could not be written is there, although the client does not have it.
func (w *worker) refused(p pending, reply harness.Value) {
	w.done.refused++
	switch {
	case w.expected == nil || !w.expected(reply):
		w.problem = fmt.Sprintf("%s was answered %q", p.command, reply.Text)
	case p.private != nil:
		w.problem = fmt.Sprintf("%s of a private key was answered %q", p.command, reply.Text)
	}
}

// A load is workers that ask.
type load struct {
	stop    atomic.Bool
	workers []*worker
	running sync.WaitGroup
}

// startLoad has workers ask of a node, each over a connection of its own.
func startLoad(n *harness.Node, l *ledger, rng *rand.Rand, workers int) *load {
	n.T.Helper()
	return startLoadThat(n, l, rng, workers, nil)
}

// startLoadThat is startLoad where some errors are to be expected. What private keys would be
// after them cannot be foretold, so there must be none.
func startLoadThat(n *harness.Node, l *ledger, rng *rand.Rand, workers int, expected func(harness.Value) bool) *load {
	n.T.Helper()
	all := &load{}
	for i := range workers {
		c := harness.DialAddr(n.T, n.Addr())
		w := &worker{l: l, rng: rand.New(rand.NewPCG(rng.Uint64(), 0)), stop: &all.stop, expected: expected}
		if len(l.private) > 0 {
			w.private = l.private[i*privateKeys : (i+1)*privateKeys]
		}
		all.workers = append(all.workers, w)
		all.running.Go(func() { w.work(c) })
	}
	return all
}

// end waits until all have ended, because they were told to or their connections ended.
func (l *load) end(t testing.TB) (sum ledgerCounts) {
	t.Helper()
	l.running.Wait()
	for _, w := range l.workers {
		if w.problem != "" {
			t.Error(w.problem)
		}
		sum.add(w.done)
	}
	return sum
}

// finish tells all to end, and waits until they have had their answers.
func (l *load) finish(t testing.TB) ledgerCounts {
	t.Helper()
	l.stop.Store(true)
	return l.end(t)
}
