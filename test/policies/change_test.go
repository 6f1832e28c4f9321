package policies

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// changing are the definitions that a policy changes between. Each replaces another state: another
// algorithm, period or rate. All hold more than a test takes, and no unit returns meanwhile.
var changing = []string{
	"token_bucket 1000 366d BURST 90000",
	"fixed_window 90000 366d",
	"sliding_window_log 90000 366d",
	"token_bucket 2000 366d BURST 90000",
	"sliding_window_counter 90000 366d",
	"fixed_window 90000 300d",
	"leaky_bucket 1000 366d BURST 90000",
	"sliding_window_log 90000 300d",
	"fixed_window 80000 300d", // the same state as of 90000
	"sliding_window_counter 90000 300d",
}

const (
	changedKeys = 5
	changes     = 60
)

// A tally is how many units callers have of each key.
type tally [changedKeys]atomic.Int64

func changedKey(i int) string { return fmt.Sprintf("{changed}:%d", i) }

// ask takes units of keys over a connection, and may give back some, until the channel is closed.
func (y *tally) ask(t *testing.T, c *harness.Conn, rng *rand.Rand, refunds bool, done <-chan struct{}) {
	defer func() { _ = c.Close() }()
	var held [changedKeys]int64
	for {
		select {
		case <-done:
			return
		default:
		}
		key, cost := rng.IntN(changedKeys), 1+rng.Int64N(costMax)
		words := []string{"RL.CHECK", changedKey(key), "@changed", "COST", strconv.FormatInt(cost, 10)}
		switch draw := rng.IntN(6); {
		case draw < 2 && refunds && held[key] >= cost:
			words[0], cost = "RL.REFUND", -cost
		case draw == 2:
			words = []string{"RL.MCHECK", "2", changedKey(key), "@changed", changedKey((key + 1) % changedKeys), "@changed", "COST", words[4]}
		}
		c.Send(harness.Command(words...))
		reply, err := harness.ParseValue(c.Reader)
		if err != nil {
			t.Errorf("%q: %v", words, err)
			return
		}
		if six, err := reply.Integers(); err != nil || six[0] != 1 {
			if t.Failed() {
				return // others say the same
			}
			t.Errorf("%q was answered %c%q %v (%v)", words, reply.Kind, reply.Text, six, err)
			return
		}
		held[key] += cost
		y[key].Add(cost)
		if words[0] == "RL.MCHECK" {
			held[(key+1)%changedKeys] += cost
			y[(key+1)%changedKeys].Add(cost)
		}
	}
}

// during has connections ask while something happens. Of several servers they take only: one that
// does not know of a change yet gives back to the limit before, of which the units may have been carried
// over, and then they stay taken.
func (y *tally) during(t *testing.T, fleet []*harness.Process, happens func()) {
	t.Helper()
	done := make(chan struct{})
	var asking sync.WaitGroup
	for i := range connections {
		c := harness.DialAddr(t, fleet[i%len(fleet)].Addr())
		rng := rand.New(rand.NewPCG(*seedFlag, uint64(i)))
		asking.Go(func() { y.ask(t, c, rng, len(fleet) == 1, done) })
	}
	happens()
	close(done)
	asking.Wait()
}

// demand wants each limit of the policy to say that exactly so much is taken of each key, or up to so
// many units more.
func (y *tally) demand(t *testing.T, c *harness.Conn, limits int, more int64) {
	t.Helper()
	for key := range y {
		got := explain(c, changedKey(key), "changed")
		if len(got) != limits {
			t.Errorf("%s has limits %+v; want %d", changedKey(key), got, limits)
		}
		for _, l := range got {
			if want := y[key].Load(); l.used < want || l.used > want+more {
				t.Errorf("%s: %s says that %d units are taken; callers have %d, and up to %d more may be", l.state, l.rule, l.used, want, more)
			}
		}
	}
}

// A policy that changes again and again under load carries each unit over exactly once, whatever the
// limits before and after, for all keys or for one.
func TestChangeUnderLoad(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)
			c := fleet[0].Dial()
			c.SetPolicy("changed", changing[0])
			for _, p := range fleet[1:] {
				awaitPolicies(t, p.Dial(), 1)
			}
			// Both limits of the second policy must say the same, and one of them stays.
			rng := rand.New(rand.NewPCG(*seedFlag, 0))
			var y tally
			y.during(t, fleet, func() {
				for range changes {
					rule := changing[rng.IntN(len(changing))]
					switch key := changedKey(rng.IntN(changedKeys)); rng.IntN(4) {
					case 0:
						c.MustSay("OK", append([]string{"RL.POLICY", "OVERRIDE", "changed", key, "LIMIT"}, strings.Fields(rule)...)...)
					case 1:
						_ = c.Ask("RL.POLICY", "UNSET", "changed", key) // which may have none
					default:
						c.SetPolicy("changed", rule)
					}
					for range 10 { // some questions come between
						c.MustSay("PONG", "PING")
					}
				}
			})
			settled(t, fleet)
			y.demand(t, c, 1, 0)
		})
	}
}

// settled waits until all servers have the policy as the first one has it.
func settled(t testing.TB, fleet []*harness.Process) {
	t.Helper()
	inForce := func(c *harness.Conn) string {
		c.Send(harness.CommandLine("RL.POLICY LIST; RL.POLICY OVERRIDES changed"))
		return c.Reply() + c.Reply()
	}
	first := fleet[0].Dial()
	for _, p := range fleet[1:] {
		c := p.Dial()
		harness.Eventually(t, "the servers have the same policies", func() bool { return inForce(c) == inForce(first) })
	}
}

// One of two limits changes and the other stays: no unit is lost on either. A call that is under way when
// the one is replaced may be made anew for both, or its refund be for the other only; its units may stay
// taken on the one that was replaced, and never the other way.
func TestChangeOneOfTwoLimits(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	const stays = "fixed_window 95000 200d"
	c.SetPolicy("changed", stays, changing[0])
	rng := rand.New(rand.NewPCG(*seedFlag, 0))
	var y tally
	y.during(t, []*harness.Process{p}, func() {
		for range changes {
			c.SetPolicy("changed", stays, changing[rng.IntN(len(changing))])
			c.MustSay("PONG", "PING")
		}
	})
	y.demand(t, c, 2, changes*connections*costMax)
}

// firstKeys are keys of which all is taken before a policy changes.
const firstKeys = 100

// askFirst has connections ask for one unit of each key, all at the same time and in the same order. It
// returns how many were admitted of each.
func askFirst(t *testing.T, fleet []*harness.Process, prefix string, connections int) []int {
	t.Helper()
	var commands [][]string
	for key := range firstKeys {
		commands = append(commands, []string{"RL.CHECK", fmt.Sprint(prefix, key), "@changed"})
	}
	return together(t, fleet, connections, commands...)
}

// integersOf reads a decision.
func integersOf(c *harness.Conn) ([]int64, error) {
	reply, err := harness.ParseValue(c.Reader)
	if err != nil {
		return nil, err
	}
	return reply.Integers()
}

// takeAll takes ten units of each key.
func takeAll(t *testing.T, c *harness.Conn, prefix string) {
	t.Helper()
	for key := range firstKeys {
		if got, err := c.Ask("RL.CHECK", fmt.Sprint(prefix, key), "@changed", "COST", "10").Integers(); err != nil || got[0] != 1 {
			t.Fatalf("taking ten units: %v %v", got, err)
		}
	}
}

func demandFirst(t *testing.T, admitted []int, why string) {
	t.Helper()
	for key, n := range admitted {
		if n != 10 {
			t.Fatalf("%s, key %d: %d units were admitted of 20 of which 10 had been taken", why, key, n)
		}
	}
}

// Who had used 10 of 10 and gets 20 has 10 left, however many ask first at the same time.
func TestFirstCallersAfterAChange(t *testing.T) {
	for _, s := range settings[:2] {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)
			c := fleet[0].Dial()
			for _, from := range []string{"token_bucket 10 366d", "fixed_window 10 366d", "sliding_window_log 10 366d", "sliding_window_counter 10 366d"} {
				for _, to := range []string{"leaky_bucket 1000 366d BURST 20", "fixed_window 20 300d", "sliding_window_log 20 300d", "sliding_window_counter 20 300d"} {
					c.SetPolicy("changed", from)
					settled(t, fleet)
					prefix := from + to
					takeAll(t, c, prefix)
					c.SetPolicy("changed", to)
					settled(t, fleet)
					demandFirst(t, askFirst(t, fleet, prefix, 24), from+" → "+to)
				}
			}
		})
	}
}

// The same holds when the server is killed between the change and the first callers, and between
// several changes, and is not forgotten when it is killed after them.
func TestRestartBetweenChangeAndFirstCallers(t *testing.T) {
	n := harness.StartNode(t, "--appendonly", "yes", "--appendfsync", "always")
	c := n.Dial()
	c.SetPolicy("changed", "sliding_window_log 10 366d")
	takeAll(t, c, "first:")
	for _, rule := range []string{"token_bucket 1000 366d BURST 20", "fixed_window 20 366d", "sliding_window_counter 20 366d"} {
		c.SetPolicy("changed", rule)
		n.Kill()
		n.Start()
		c = n.Dial()
	}
	demandFirst(t, askFirst(t, []*harness.Process{n.Process}, "first:", 24), "after a kill")
	n.Dial().SetPolicy("changed", "leaky_bucket 1000 366d BURST 20")
	n.Kill()
	n.Start()
	for key, more := range askFirst(t, []*harness.Process{n.Process}, "first:", 2) {
		if more != 0 {
			t.Errorf("key %d: %d units more were admitted after another change and another kill", key, more)
		}
	}
	n.End(syscall.SIGTERM)
}

// A file of settings that changes under load, and is read by SIGHUP, changes policies as commands do. A
// file that is wrong changes nothing.
func TestFileChangesUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rlserver.yaml")
	write := func(text string) {
		next := path + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
	}
	write("policies:\n  changed: " + changing[0] + "\n")
	p := harness.StartServer(t, "--config", path)
	c := p.Dial()
	var y tally
	y.during(t, []*harness.Process{p}, func() {
		for i := range 20 {
			version := count(c, "policies_version")
			write("policies:\n  changed: " + changing[(i+1)%len(changing)] + "\n")
			if i%2 == 0 {
				if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
					t.Error(err)
				}
				harness.Eventually(t, "the file is read", func() bool { return count(c, "policies_version") > version })
			} else {
				c.MustSay("OK", "RL.POLICY", "RELOAD")
			}
			write("policies:\n  changed: " + changing[0] + "\n  changed: fixed_window\n")
			c.MustFail(path+":3", "RL.POLICY", "RELOAD")
		}
	})
	y.demand(t, c, 1, 0)
}
