package durability

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// askPolicy asks for a key of the policy api, and wants so many units to remain.
func askPolicy(n *harness.Node, want int64, words ...string) {
	n.T.Helper()
	got, err := n.Ask(words...).Integers()
	if err != nil || got[0] != 1 || got[2] != want {
		n.T.Errorf("%q: %v %v; want %d to remain\n%s", words, got, err, want, n.Log)
	}
}

// says is what a server says of its policies.
func says(n *harness.Node) string {
	n.T.Helper()
	return fmt.Sprint(n.Ask("RL.POLICY", "LIST").Texts(), n.Ask("RL.POLICY", "OVERRIDES", "api").Texts())
}

// A policy that was set while the server ran is there after an end of any kind, with its overrides. What
// a changed limit carries over is carried over exactly once, also when the server ends between the
// change and the first question, and once more after it. FLUSHALL leaves policies.
func TestPoliciesAreKept(t *testing.T) {
	for _, c := range []struct {
		name, flags string
		end         func(*harness.Node)
		kept        bool
	}{
		{"log with always, killed", "--appendonly|yes|--appendfsync|always", (*harness.Node).Kill, true},
		{"log, SIGTERM", "--appendonly|yes", func(n *harness.Node) { n.End(syscall.SIGTERM) }, true},
		{"snapshot, killed", "--save|3600 1000000", func(n *harness.Node) { n.MustSay("OK", "SAVE"); n.Kill() }, true},
		{"log with always, rewritten and killed", "--appendonly|yes|--appendfsync|always", func(n *harness.Node) {
			n.Ask("BGREWRITEAOF")
			n.AwaitField("aof_rewrite_in_progress", "0")
			n.Kill()
		}, true},
		{"log that is turned on, killed", "--maxmemory|0", func(n *harness.Node) {
			n.MustSay("OK", "CONFIG", "SET", "appendonly", "yes")
			n.Ask("BGREWRITEAOF") // if it was on before
			n.AwaitField("aof_rewrite_in_progress", "0")
			n.Kill()
			n.Flags = []string{"--appendonly", "yes"}
		}, true},
		{"memory only", "--maxmemory|0", (*harness.Node).Kill, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := harness.StartNode(t, strings.Split(c.flags, "|")...)
			n.MustSay("OK", "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", "10", "1h", "LIMIT", "fixed_window", "100", "month")
			n.MustSay("OK", "RL.POLICY", "OVERRIDE", "api", "big", "LIMIT", "token_bucket", "1000", "1h")
			n.MustSay("OK", "RL.POLICY", "SET", "gone", "DENY")
			n.MustSay("OK", "RL.POLICY", "DEL", "gone")
			askPolicy(n, 6, "RL.CHECK", "k", "@api", "COST", "4")
			askPolicy(n, 95, "RL.CHECK", "big", "@api", "COST", "905")
			n.MustSay("OK", "FLUSHALL")
			askPolicy(n, 6, "RL.CHECK", "k", "@api", "COST", "4")
			n.MustSay("OK", "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", "20", "1h", "LIMIT", "fixed_window", "100", "month")
			before := says(n)
			c.end(n)
			n.Start()
			if !c.kept {
				n.MustFail("unknown policy 'api'", "RL.CHECK", "k", "@api")
				return
			}
			if got := says(n); got != before {
				t.Errorf("after the end the policies are %s; they were %s", got, before)
			}
			askPolicy(n, 16, "RL.PEEK", "k", "@api")
			askPolicy(n, 15, "RL.CHECK", "k", "@api")
			c.end(n)
			n.Start()
			askPolicy(n, 15, "RL.PEEK", "k", "@api")
			askPolicy(n, 14, "RL.CHECK", "k", "@api")
		})
	}
}

// A settings file that changes while the server is down is a change like any other: what was taken
// under its numbers from before is carried over.
func TestFileOfPoliciesChangesMeanwhile(t *testing.T) {
	n := harness.NewNode(t, "--appendonly", "yes", "--appendfsync", "always")
	file := func(rule string) {
		if err := os.WriteFile(filepath.Join(n.Dir, "rlserver.yaml"), []byte("policies:\n  api: "+rule+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file("token_bucket 10 1h")
	n.Flags = append(n.Flags, "--config", filepath.Join(n.Dir, "rlserver.yaml"))
	n.Start()
	askPolicy(n, 6, "RL.CHECK", "k", "@api", "COST", "4")
	for i, rule := range []string{"token_bucket 20 1h", "token_bucket 40 1h"} {
		n.Kill()
		file(rule)
		n.Start()
		askPolicy(n, int64(20*(i+1)-4-i-1), "RL.CHECK", "k", "@api")
	}
	// The server that does not end reads it too.
	file("token_bucket 80 1h")
	n.MustSay("OK", "RL.POLICY", "RELOAD")
	askPolicy(n, 80-4-3, "RL.CHECK", "k", "@api")
}
