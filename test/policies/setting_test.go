package policies

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// A plan is a policy as the judge knows it.
type plan struct {
	name  string
	rules []string
	most  int64 // units that the smallest of its limits holds
}

// Of these no unit returns while a test runs: a unit of a meter takes nine hours. The smallest limit
// is the last of a policy, the first, the one between, or all of them, so calls that cross are refused
// at each place.
var plans = []plan{
	{"last", []string{"token_bucket 1000 366d BURST 60", "sliding_window_counter 50 366d", "sliding_window_log 40 366d"}, 40},
	{"first", []string{"fixed_window 40 366d", "leaky_bucket 1000 366d BURST 50", "sliding_window_log 60 366d"}, 40},
	{"between", []string{"sliding_window_counter 50 366d", "token_bucket 1000 366d BURST 40", "fixed_window 60 366d"}, 40},
	{"all", []string{"leaky_bucket 1000 366d BURST 50", "fixed_window 50 366d", "sliding_window_log 50 366d"}, 50},
}

// mostOf is how many units the limit of a rule holds: its burst, or else its limit.
func mostOf(rule string) int64 {
	words := strings.Fields(rule)
	last := words[len(words)-1]
	if len(words) == 3 {
		last = words[1]
	}
	most, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		panic(err)
	}
	return most
}

// keys are those that calls are about.
const keys = 100

// A setting is how a server decides, and how many keys may be in one call.
type setting struct {
	name   string
	groups int // of keys; a call is about keys of one group
	times  int // as many calls as elsewhere, which take as long
	start  func(testing.TB) []*harness.Process
}

var settings = []setting{
	{"memory", 1, 10, func(t testing.TB) []*harness.Process {
		// With one loop, which is usual with two cores, no calls cross.
		return startFleet(t, 1, "--event-loops", "4")
	}},
	{"redis", 1, 1, func(t testing.TB) []*harness.Process {
		return startFleet(t, 2, "--backend", "redis", "--redis-addr", harness.StartRedis(t).Addr(), "--redis-timeout", "20s")
	}},
	{"cluster", 10, 1, func(t testing.TB) []*harness.Process {
		return startFleet(t, 2, "--backend", "redis-cluster", "--redis-addr", harness.StartCluster(t, false).Addrs(), "--redis-timeout", "20s")
	}},
}

// startFleet starts servers that share what is behind them.
func startFleet(t testing.TB, n int, flags ...string) (fleet []*harness.Process) {
	t.Helper()
	for range n {
		fleet = append(fleet, harness.StartServer(t, flags...))
	}
	return fleet
}

// establish makes the plans, and waits until all servers have them.
func establish(t testing.TB, fleet []*harness.Process) {
	t.Helper()
	c := fleet[0].Dial()
	for _, p := range plans {
		c.SetPolicy(p.name, p.rules...)
	}
	for _, p := range fleet[1:] {
		awaitPolicies(t, p.Dial(), len(plans))
	}
}

// awaitPolicies waits until a server has that many policies.
func awaitPolicies(t testing.TB, c *harness.Conn, n int) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("the server has %d policies", n), func() bool { return count(c, "policies") == int64(n) })
}

// count is a number that INFO has of the limiter, or of what was asked.
func count(c *harness.Conn, field string) int64 {
	c.T.Helper()
	_, fields := c.Info("limiter", "stats")
	n, err := strconv.ParseInt(fields[field], 10, 64)
	if err != nil {
		c.T.Fatalf("INFO's %s: %v", field, err)
	}
	return n
}

// A pair is a key and a policy.
type pair int

func (p pair) key(groups int) string {
	key := int(p) / len(plans)
	if groups == 1 {
		return fmt.Sprintf("user:%d", key)
	}
	return fmt.Sprintf("{tenant:%d}:%d", key%groups, key)
}

func (p pair) plan() *plan { return &plans[int(p)%len(plans)] }

// words are the pair as a command has it.
func (p pair) words(groups int) []string { return []string{p.key(groups), "@" + p.plan().name} }

// pairsMax is how many pairs a call has at most. More are accepted.
const pairsMax = 4

// draw draws the pairs of a call. Half of them are about few keys, so that calls cross.
func draw(rng *rand.Rand, groups int) (pairs []pair) {
	group := rng.IntN(groups)
	for wanted := 1 + rng.IntN(pairsMax); len(pairs) < wanted; {
		members := keys / groups
		if rng.IntN(2) == 0 {
			members = max(2, members/10)
		}
		p := pair((group+groups*rng.IntN(members))*len(plans) + rng.IntN(len(plans)))
		if !slices.Contains(pairs, p) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// A limitState is what RL.EXPLAIN says of a limit.
type limitState struct {
	rule, state string
	used        int64
}

// explain asks for the limits of a pair.
func explain(c *harness.Conn, key, policy string) (limits []limitState) {
	c.T.Helper()
	got := c.Ask("RL.EXPLAIN", key, "@"+policy)
	for _, part := range got.Pairs()["limits"].Parts {
		fields := part.Pairs()
		limits = append(limits, limitState{fields["rule"].Text, fields["state"].Text, fields["used"].Number(c.T)})
	}
	if len(limits) == 0 {
		c.T.Fatalf("RL.EXPLAIN %q @%s: %+v", key, policy, got)
	}
	return limits
}
