package policies

import (
	"strconv"
	"sync"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// together has connections send the same commands, in one write each, at the same time, and returns how
// many of each were answered that they are allowed.
func together(t *testing.T, fleet []*harness.Process, connections int, commands ...[]string) []int {
	t.Helper()
	allowed := make([]int, len(commands))
	var text string
	for _, words := range commands {
		text += harness.Command(words...)
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	start := make(chan struct{})
	for i := range connections {
		c := harness.DialAddr(t, fleet[i%len(fleet)].Addr())
		asking.Go(func() {
			defer func() { _ = c.Close() }()
			<-start
			if _, err := c.Write([]byte(text)); err != nil {
				t.Error(err)
				return
			}
			for command := range commands {
				six, err := integersOf(c)
				if err != nil {
					if !t.Failed() { // else others say the same
						t.Error(err)
					}
					return
				}
				mu.Lock()
				allowed[command] += int(six[0])
				mu.Unlock()
			}
		})
	}
	close(start)
	asking.Wait()
	return allowed
}

func sum(numbers []int) (sum int) {
	for _, n := range numbers {
		sum += n
	}
	return sum
}

// demandUsed wants each limit of a policy to say that so much is taken of a key.
func demandUsed(t *testing.T, c *harness.Conn, key, policy string, used int64) {
	t.Helper()
	for _, l := range explain(c, key, policy) {
		if l.used != used {
			t.Errorf("%s: %s says that %d units are taken; want %d", l.state, l.rule, l.used, used)
		}
	}
}

// What is taken by force is taken of every limit, however much it is, and can be given back. Of those
// that force at the same time no more are told that they are allowed than would have been.
func TestForceTogether(t *testing.T) {
	const cost, times = 3, 5
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)
			establish(t, fleet)
			c := fleet[0].Dial()
			for _, p := range plans {
				var commands [][]string
				for range times {
					commands = append(commands, []string{"RL.MCHECK", "2", "{f}1", "@" + p.name, "{f}2", "@" + p.name, "COST", strconv.Itoa(cost), "FORCE"})
				}
				// In memory one may come first at one limit and another at the next.
				if got, want := sum(together(t, fleet, connections, commands...)), int(p.most/cost); got > want || got < want && s.name != "memory" {
					t.Errorf("@%s: %d calls by force were allowed; want %d", p.name, got, want)
				}
				const left = 11
				back := []string{"RL.REFUND", "{f}1", "@" + p.name, "COST", strconv.Itoa(connections*times*cost - left)}
				if got, err := c.Ask(back...).Integers(); err != nil || got[0] != 1 {
					t.Errorf("%q was answered %v (%v)", back, got, err)
				}
				demandUsed(t, c, "{f}1", p.name, left)
			}
		})
	}
}

// A shadow admits all, takes what its limits have room for, and counts the others.
func TestShadowTogether(t *testing.T) {
	const times = 5
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			fleet := s.start(t)
			c := fleet[0].Dial()
			c.MustSay("OK", "RL.POLICY", "SET", "trial", "LIMIT", "fixed_window", "50", "366d", "LIMIT", "sliding_window_log", "40", "366d", "SHADOW")
			for _, p := range fleet[1:] {
				awaitPolicies(t, p.Dial(), 1)
			}
			var commands [][]string
			for range times {
				commands = append(commands, []string{"RL.CHECK", "user", "@trial"})
			}
			if got := sum(together(t, fleet, connections, commands...)); got != connections*times {
				t.Errorf("%d calls were allowed of %d", got, connections*times)
			}
			demandUsed(t, c, "user", "trial", 40)
			denied := int64(0)
			for _, p := range fleet {
				denied += count(p.Dial(), "denied_shadow")
			}
			if want := int64(connections*times - 40); denied != want {
				t.Errorf("denied_shadow is %d; want %d", denied, want)
			}
		})
	}
}
