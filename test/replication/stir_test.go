package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// A stir changes keys of a server in every way, so that there is something to replicate:
// buckets and logs, hot keys and many, keys that are soon idle and keys that stay, costs,
// refunds, resets, flushes, and more and more keys.
type stir struct {
	addr     string
	stop     atomic.Bool
	running  sync.WaitGroup
	mu       sync.Mutex
	problem  string
	commands atomic.Int64
	flushes  atomic.Int64
	flushMin time.Duration // between two flushes; 0: none
	grown    atomic.Int64  // keys that were new
	pace     time.Duration // between two batches of a connection
}

const (
	stirKeys = 6000
	// stirPeriod is so long that no unit comes back while a test runs.
	stirPeriod = "300d"
	// stirShort is the longest period, in ms, of keys that are soon idle.
	stirShort = 1500
	stirBatch = 50
)

// stirLimit is the limit of a key that stays.
func stirLimit(i int) string { return strconv.Itoa(20 + i%500) }

func stirAlgorithm(i int) string {
	algorithms := harness.Algorithms()
	return algorithms[i%len(algorithms)]
}

// startStir has connections change keys, until end.
func startStir(t testing.TB, n *harness.Node, rng *rand.Rand, connections int, flushMin, pace time.Duration) *stir {
	t.Helper()
	c := &stir{addr: n.Addr(), flushMin: flushMin, pace: pace}
	for i := range connections {
		conn := harness.DialAddr(t, c.addr)
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		c.running.Go(func() { c.work(conn, own, i == 0) })
	}
	return c
}

func (c *stir) work(conn *harness.Conn, rng *rand.Rand, flushes bool) {
	defer func() { _ = conn.Close() }()
	flushed := time.Now()
	for !c.stop.Load() {
		var text strings.Builder
		for range stirBatch {
			text.WriteString(c.command(rng))
		}
		sent := stirBatch
		if flushes && c.flushMin > 0 && time.Since(flushed) > c.flushMin {
			text.WriteString(harness.Command("FLUSHALL"))
			flushed = time.Now()
			c.flushes.Add(1)
			sent++
		}
		if _, err := conn.Write([]byte(text.String())); err != nil {
			c.fail(err.Error())
			return
		}
		for range sent {
			if reply, err := harness.ParseValue(conn.Reader); err != nil || reply.Kind == '-' {
				c.fail(fmt.Sprint(reply.Text, err))
				return
			}
		}
		c.commands.Add(int64(sent))
		time.Sleep(c.pace)
	}
}

func (c *stir) fail(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem = text
}

// command is one command about a key whose name tells its algorithm and limit.
func (c *stir) command(rng *rand.Rand) string {
	i := rng.IntN(stirKeys)
	words := []string{"RL.CHECK", "stay:" + strconv.Itoa(i), stirAlgorithm(i), stirLimit(i), stirPeriod, "COST", strconv.Itoa(1 + rng.IntN(3))}
	switch rng.IntN(20) {
	case 0, 1:
		words[0] = "RL.REFUND"
	case 2:
		words = []string{"RL.RESET", words[1]}
	case 3, 4: // a hot one
		a := rng.IntN(len(harness.Algorithms()))
		words[1], words[2], words[3] = "hot:"+strconv.Itoa(a), stirAlgorithm(a), "1000"
	case 5, 6, 7: // soon idle
		words[1], words[4] = "short:"+strconv.Itoa(i), strconv.Itoa(20+rng.IntN(stirShort-20))+"ms"
		if words[2] == "sliding_window_log" {
			words[3] = "20"
		}
	case 8: // one more
		g := int(c.grown.Add(1))
		words[1], words[2], words[3] = "grown:"+strconv.Itoa(g), stirAlgorithm(g), stirLimit(g)
	}
	return harness.Command(words...)
}

// end stops it, and wants it to have gone well.
func (c *stir) end(t testing.TB) {
	t.Helper()
	c.stop.Store(true)
	c.running.Wait()
	if c.problem != "" {
		t.Errorf("the load on %s: %s", c.addr, c.problem)
	}
}

// A keyState is what can be asked about a key. Instants are in ms, and each is known to lie
// between two.
type keyState struct {
	kind      string
	remaining []int64 // for each of stateCosts whether it would be admitted, and how many remain
	instants  [][2]int64
}

// stateCosts are what a state is asked for. When the units of a log leave is told by when so
// many have: so several costs tell several instants of it.
var stateCosts = []string{"1", "7", "20"}

// states asks a server about keys.
func states(n *harness.Node, names []string) map[string]keyState {
	n.T.Helper()
	c := harness.DialAddr(n.T, n.Addr())
	defer func() { _ = c.Close() }()
	all := map[string]keyState{}
	for part := range slices.Chunk(names, 200) {
		var text strings.Builder
		for _, name := range part {
			text.WriteString(harness.Command("TYPE", name) + harness.Command("PTTL", name))
			for _, cost := range stateCosts {
				algorithm, limit := keyQuestion(name)
				text.WriteString(harness.Command("RL.PEEK", name, algorithm, limit, stirPeriod, "COST", cost))
			}
		}
		before := time.Now().UnixMilli()
		c.Send(text.String())
		var states []keyState
		var spans [][]int64
		for range part {
			s, after := keyState{kind: c.Value().Text}, []int64{c.Value().Number(n.T)}
			for range stateCosts {
				got, err := c.Value().Integers()
				if err != nil {
					n.T.Fatal(err)
				}
				s.remaining = append(s.remaining, got[0], got[1], got[2])
				after = append(after, got[3], got[4])
			}
			states, spans = append(states, s), append(spans, after)
		}
		now := time.Now().UnixMilli()
		for i, s := range states {
			for _, span := range spans[i] {
				if span <= 0 { // now, or never
					s.instants = append(s.instants, [2]int64{span, span})
				} else {
					s.instants = append(s.instants, [2]int64{before + span - 1, now + span + 1})
				}
			}
			all[part[i]] = s
		}
	}
	return all
}

// keyQuestion is the algorithm and limit of a key of a stir.
func keyQuestion(name string) (algorithm, limit string) {
	prefix, number, _ := strings.Cut(name, ":")
	i, _ := strconv.Atoi(number)
	if prefix == "hot" {
		return stirAlgorithm(i), "1000"
	}
	return stirAlgorithm(i), stirLimit(i)
}

// keys are the names of all keys, by SCAN, in order.
func keys(n *harness.Node) []string {
	n.T.Helper()
	c := harness.DialAddr(n.T, n.Addr())
	defer func() { _ = c.Close() }()
	var names []string
	for cursor := ""; cursor != "0"; {
		reply := c.Ask("SCAN", max(cursor, "0"), "COUNT", "1000")
		if len(reply.Parts) != 2 {
			n.T.Fatalf("SCAN: %+v", reply)
		}
		cursor = reply.Parts[0].Text
		names = append(names, reply.Parts[1].Texts()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// differs says how two states differ; empty if they do not.
func (s keyState) differs(o keyState) string {
	if s.kind != o.kind || !slices.Equal(s.remaining, o.remaining) {
		return fmt.Sprintf("%s %v and %s %v", s.kind, s.remaining, o.kind, o.remaining)
	}
	for i, mine := range s.instants {
		if other := o.instants[i]; mine[0] > other[1] || other[0] > mine[1] {
			return fmt.Sprintf("instant %d is within %v and %v", i, mine, other)
		}
	}
	return ""
}

// mustEqual wants servers to have equal state, key by key, and returns how many keys that is.
// No client may change anything meanwhile.
func mustEqual(t testing.TB, primary *harness.Node, replicas ...*harness.Node) int {
	t.Helper()
	names := keys(primary)
	want := states(primary, names)
	for _, r := range replicas {
		got := keys(r)
		for _, pair := range []struct {
			what string
			a, b []string
		}{{"lacks", names, got}, {"has, and its primary not,", got, names}} {
			var only []string
			for _, name := range pair.a {
				if _, found := slices.BinarySearch(pair.b, name); !found {
					only = append(only, name)
				}
			}
			if len(only) > 0 {
				t.Errorf("the replica on port %d %s %d keys of %d: %.200q", r.Port, pair.what, len(only), len(names), only)
			}
		}
		differ := 0
		for name, s := range states(r, names) {
			if problem := want[name].differs(s); problem != "" {
				if differ++; differ < 5 {
					t.Errorf("%s on the primary and on the replica on port %d: %s", name, r.Port, problem)
				}
			}
		}
		if differ > 0 {
			t.Errorf("%d of %d keys differ", differ, len(names))
		}
	}
	return len(names)
}
