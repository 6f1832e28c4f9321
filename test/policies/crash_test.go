package policies

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

var crashesFlag = flag.Int("crashes", 6, "how often TestCrash kills the server")

const (
	crashWorkers = 16
	crashKeys    = 2 // of each worker
	crashLifeMax = 250 * time.Millisecond
	// crashPipelineMax is how many calls a worker sends before it reads answers.
	crashPipelineMax = 8
)

// A server with appendfsync always is killed again and again while calls over several limits are under
// way. A call that was answered is there as a whole. One that was not may be there on some of its
// limits only: then units are taken that nobody has, and less is admitted, never more.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seedFlag, 0))
	n := harness.StartNode(t, "--appendonly", "yes", "--appendfsync", "always")
	establish(t, []*harness.Process{n.Process})
	clients := make([]*client, crashWorkers)
	for i := range clients {
		clients[i] = newClient(i, rng.Uint64())
	}
	var sum fates
	for crash := 0; !t.Failed() && (crash < *crashesFlag || !sum.shown() && crash < 20**crashesFlag); crash++ {
		var asking sync.WaitGroup
		for _, w := range clients {
			c := harness.DialAddr(t, n.Addr())
			asking.Go(func() { w.work(t, c) })
		}
		time.Sleep(crashLifeMax/4 + time.Duration(rng.Int64N(int64(crashLifeMax))))
		n.Kill()
		asking.Wait()
		n.Start()
		c := n.Dial()
		for _, w := range clients {
			sum.add(w.judge(t, c))
		}
	}
	t.Logf("%d kills amid calls; %d calls were answered; of those that were not, %d were found whole, %d absent, and %d on some limits only",
		*crashesFlag, sum.answered, sum.whole, sum.absent, sum.partial)
	if !sum.shown() {
		t.Error("nothing is shown: no call was cut off by a kill")
	}
}

// Fates are how many calls were answered, and what became of the others.
type fates struct{ answered, whole, absent, partial int }

func (f *fates) add(g fates) {
	f.answered, f.whole, f.absent, f.partial = f.answered+g.answered, f.whole+g.whole, f.absent+g.absent, f.partial+g.partial
}

// shown says that calls were under way at a kill.
func (f *fates) shown() bool { return f.whole+f.absent+f.partial > 0 }

// used are the units that are taken of each limit of a client's pairs.
type used []int64

// A client is the only one that asks about its keys, so it knows what is taken after each of its calls.
type client struct {
	rng     *rand.Rand
	id      int
	now     used   // after the last call that was answered
	pending []used // after each call that was not
	fates
}

const rulesMax = 3

func newClient(id int, seed uint64) *client {
	return &client{rng: rand.New(rand.NewPCG(seed, 0)), id: id, now: make(used, crashKeys*len(plans)*rulesMax)}
}

// name is the key of a pair of the client, and plan its policy.
func (w *client) name(pair int) string { return fmt.Sprintf("client:%d:%d", w.id, pair/len(plans)) }
func (w *client) plan(pair int) *plan  { return &plans[pair%len(plans)] }

// work asks until the connection ends.
func (w *client) work(t *testing.T, c *harness.Conn) {
	defer func() { _ = c.Close() }()
	for {
		var text string
		var admitted []bool
		for range 1 + w.rng.IntN(crashPipelineMax) {
			words, fits := w.foretell()
			text, admitted = text+harness.Command(words...), append(admitted, fits)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			return
		}
		for _, fits := range admitted {
			reply, err := harness.ParseValue(c.Reader)
			if err != nil {
				return
			}
			if six, err := reply.Integers(); err != nil || len(six) != 6 || (six[0] == 1) != fits {
				t.Errorf("client %d was answered %v (%v); want %v", w.id, reply, err, fits)
				return
			}
			w.answered++
			w.now, w.pending = w.pending[0], w.pending[1:]
		}
	}
}

// foretell draws a call, and what is taken after it. It is admitted if every limit has room.
func (w *client) foretell() (words []string, fits bool) {
	before := w.now
	if n := len(w.pending); n > 0 {
		before = w.pending[n-1]
	}
	after := slices.Clone(before)
	defer func() { w.pending = append(w.pending, after) }()
	cost := 1 + w.rng.Int64N(costMax)
	if w.rng.IntN(3) == 0 {
		p := w.rng.IntN(crashKeys * len(plans))
		for i := range rulesMax {
			after[p*rulesMax+i] = max(0, before[p*rulesMax+i]-cost)
		}
		return []string{"RL.REFUND", w.name(p), "@" + w.plan(p).name, "COST", strconv.FormatInt(cost, 10)}, true
	}
	pairs := w.rng.Perm(crashKeys * len(plans))[:1+w.rng.IntN(pairsMax)]
	words, fits = []string{"RL.MCHECK", strconv.Itoa(len(pairs))}, true
	for _, p := range pairs {
		words = append(words, w.name(p), "@"+w.plan(p).name)
		for i, rule := range w.plan(p).rules {
			after[p*rulesMax+i] += cost
			fits = fits && after[p*rulesMax+i] <= mostOf(rule)
		}
	}
	if !fits {
		copy(after, before)
	}
	return append(words, "COST", strconv.FormatInt(cost, 10)), fits
}

// judge holds what the client knows against a server that has started again, and takes over what is
// found.
func (w *client) judge(t *testing.T, c *harness.Conn) fates {
	t.Helper()
	var found used
	for p := range crashKeys * len(plans) {
		for _, l := range explain(c, w.name(p), w.plan(p).name) {
			found = append(found, l.used)
		}
	}
	// After which of the calls was it so? Those of no effect are not told from the ones before.
	states := append([]used{w.now}, w.pending...)
	for i := range found {
		if !slices.ContainsFunc(states, func(s used) bool { return s[i] == found[i] }) {
			t.Errorf("client %d, %s @%s, limit %d: %d units are taken; %d were after the last answer, and after calls without one %v", w.id,
				w.name(i/rulesMax), w.plan(i/rulesMax).name, i%rulesMax, found[i], w.now[i], w.pending)
		}
	}
	whole := slices.IndexFunc(states, func(s used) bool { return slices.Equal(s, found) })
	f := fates{answered: w.answered}
	switch {
	case whole >= 0:
		f.whole, f.absent = whole, len(w.pending)-whole
	default:
		f.partial = len(w.pending)
	}
	w.now, w.pending, w.answered = found, nil, 0
	return f
}
