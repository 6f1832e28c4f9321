package replication

import (
	"fmt"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// policiesOf is what a server says of its policies.
func policiesOf(n *harness.Node) string {
	n.T.Helper()
	return fmt.Sprint(n.Ask("RL.POLICY", "LIST").Texts(), n.Ask("RL.POLICY", "OVERRIDES", "api").Texts())
}

// mustHavePolicies wants servers to have the policies of the first, and so many units of a key to remain
// on each.
func mustHavePolicies(want int64, primary *harness.Node, replicas ...*harness.Node) {
	primary.T.Helper()
	harness.Drained(primary)
	harness.AwaitSync(primary, replicas...)
	for _, n := range append(replicas, primary) {
		if got, want := policiesOf(n), policiesOf(primary); got != want {
			n.T.Errorf("on port %d the policies are %s; the primary has %s", n.Port, got, want)
		}
		if got, err := n.Ask("RL.PEEK", "k", "@api").Integers(); err != nil || got[2] != want {
			n.T.Errorf("on port %d RL.PEEK is %v %v; want %d to remain", n.Port, got, err, want)
		}
	}
}

// mustTakePolicy takes units of a key under the policy api.
func mustTakePolicy(n *harness.Node, cost string) {
	n.T.Helper()
	if got, err := n.Ask("RL.CHECK", "k", "@api", "COST", cost).Integers(); err != nil || got[0] != 1 {
		n.T.Errorf("on port %d RL.CHECK of %s: %v %v", n.Port, cost, got, err)
	}
}

// setPolicy sets the policy api to so many units an hour, and as many more a month.
func setPolicy(n *harness.Node, limit string) {
	n.T.Helper()
	n.MustSay("OK", "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", limit, "1h", "LIMIT", "fixed_window", "1000", "month")
}

// Policies reach replicas, and the replicas of these, by a full sync as well as by the stream; what a
// replica had before is gone. A replica that takes over has them, carries over what was taken under a
// limit that was changed before, and tells its own replicas of changes.
func TestPoliciesReachReplicas(t *testing.T) {
	t.Parallel()
	first := harness.StartNode(t)
	setPolicy(first, "10")
	first.MustSay("OK", "RL.POLICY", "OVERRIDE", "api", "one", "LIMIT", "token_bucket", "1000", "1h")
	mustTakePolicy(first, "3")
	second, third := harness.StartNode(t), harness.StartNode(t)
	second.MustSay("OK", "RL.POLICY", "SET", "own", "DENY")
	follow(second, first)
	harness.AwaitSync(first, second)
	follow(third, second)
	harness.AwaitSync(first, third)
	mustHavePolicies(7, first, second, third) // by full syncs
	first.MustSay("OK", "RL.POLICY", "OVERRIDE", "api", "two", "DENY")
	first.MustSay("OK", "RL.POLICY", "UNSET", "api", "one")
	mustTakePolicy(first, "1")
	first.MustSay("OK", "FLUSHALL")
	mustTakePolicy(first, "4")
	mustHavePolicies(6, first, second, third) // by the stream
	third.MustFail("READONLY", "RL.POLICY", "SET", "api", "DENY")

	setPolicy(first, "20") // and nobody asks before the failover
	mustHavePolicies(16, first, second, third)
	first.Kill()
	second.MustSay("OK", "REPLICAOF", "NO", "ONE")
	mustTakePolicy(second, "1")
	mustHavePolicies(15, second, third)
	setPolicy(second, "40")
	mustTakePolicy(second, "1")
	mustHavePolicies(34, second, third)
	first.Start("--replicaof", fmt.Sprint("127.0.0.1 ", second.Port))
	mustHavePolicies(34, second, first, third)
}

// Sentinel makes a replica the primary, which has the policies and what was taken under them, and whose
// clients change them.
func TestSentinelKeepsPolicies(t *testing.T) {
	t.Parallel()
	w := startWatched(t)
	old := w.nodes[0]
	setPolicy(old, "10")
	mustTakePolicy(old, "3")
	setPolicy(old, "20")
	mustHavePolicies(17, old, w.others(0)...)
	old.Kill()
	now := 0
	awaitUnlessGone(t, w.nodes[1], "the Sentinels have another primary", failoverMax, func() bool { now = w.primaryNow(); return now > 0 })
	n := w.nodes[now]
	n.AwaitField("role", "master")
	mustTakePolicy(n, "1")
	setPolicy(n, "40")
	mustTakePolicy(n, "1")
	replica := w.nodes[3-now]
	replica.AwaitThat("it follows the new primary", func() bool {
		return replica.Field("master_link_status") == "up" && replica.Field("master_port") == fmt.Sprint(w.fronts[now].port)
	})
	mustHavePolicies(35, n, replica)
}
