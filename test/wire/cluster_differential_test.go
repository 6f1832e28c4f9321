package wire

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// The same commands go to a node of a real Redis Cluster that has all slots, and to an rlserver that
// says the same of itself.

// shape writes a reply with all its types.
func shape(v harness.Value) string {
	text := fmt.Sprintf("%c%s", v.Kind, v.Text)
	for _, part := range v.Parts {
		text += " (" + shape(part) + ")"
	}
	return text
}

var (
	nodeIDPattern  = regexp.MustCompile(`[0-9a-f]{40}`)
	busPortPattern = regexp.MustCompile(`@\d+`)
)

// shapeOf asks a server, and puts names in place of what two servers cannot have in common.
func shapeOf(c *harness.Conn, p *harness.Process, line string) string {
	text := shape(c.Ask(strings.Split(line, " ")...))
	text = strings.ReplaceAll(text, strconv.Itoa(p.Port), "PORT")
	return alike(busPortPattern.ReplaceAllString(nodeIDPattern.ReplaceAllString(text, "ID"), "@BUS"))
}

func TestClusterSameAsRedis(t *testing.T) {
	t.Parallel() // Redis takes its time to be a cluster
	redis := harness.StartRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", strconv.Itoa(harness.FreePort(t)))
	ours := harness.StartServer(t, "--cluster-enabled", "emulated")
	theirs, c := redis.Dial(), ours.Dial()
	theirs.MustSay("OK", "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	harness.Eventually(t, "the cluster is whole", func() bool {
		return strings.Contains(theirs.Ask("CLUSTER", "INFO").Text, "cluster_state:ok")
	})
	for _, protocol := range []string{"2", "3"} {
		theirs.Ask("HELLO", protocol)
		c.Ask("HELLO", protocol)
		for _, line := range []string{
			"CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER MYID", "CLUSTER LINKS", "CLUSTER", "CLUSTER FOO", "CLUSTER SLOTS x",
			"CLUSTER KEYSLOT", "CLUSTER KEYSLOT foo", "CLUSTER KEYSLOT {foo}bar", "CLUSTER KEYSLOT a b", "CLUSTER COUNTKEYSINSLOT", "CLUSTER COUNTKEYSINSLOT 5",
			"CLUSTER COUNTKEYSINSLOT x", "CLUSTER COUNTKEYSINSLOT -1", "CLUSTER COUNTKEYSINSLOT 16384", "CLUSTER GETKEYSINSLOT 5", "CLUSTER GETKEYSINSLOT 5 10",
			"CLUSTER GETKEYSINSLOT 5 -1", "CLUSTER GETKEYSINSLOT 16384 1", "CLUSTER GETKEYSINSLOT x 1", "CLUSTER GETKEYSINSLOT 1 x", "CLUSTER REPLICAS x", "CLUSTER SLAVES x",
			"INFO cluster", "ASKING", "ASKING x", "READONLY", "READONLY x", "READWRITE", "SELECT 0", "SELECT 1", "SELECT x",
		} {
			if want, got := shapeOf(theirs, redis, line), shapeOf(c, ours, line); got != want {
				t.Errorf("RESP%s: %s\nrlserver %s\n   Redis %s", protocol, line, got, want)
			}
		}
		mine := []string{"CLUSTER", "REPLICAS", c.Ask("CLUSTER", "MYID").Text}
		if v := c.Ask(mine...); v.Kind != '*' || len(v.Parts) != 0 {
			t.Errorf("%q without replicas: %+v", mine, v)
		}
		if mode := c.Ask("HELLO").Pairs()["mode"].Text; mode != "cluster" {
			t.Errorf("HELLO says that the mode is %q", mode)
		}
	}
	if _, fields := ours.Dial().Info("server"); fields["redis_mode"] != "cluster" {
		t.Errorf("INFO says that the mode is %q", fields["redis_mode"])
	}
}

// Without cluster-enabled the answers are those of a Redis that is no cluster.
func TestClusterDisabledSameAsRedis(t *testing.T) {
	redis, ours := harness.StartRedis(t), harness.StartServer(t)
	for _, line := range []string{"CLUSTER", "CLUSTER FOO", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER MYID", "CLUSTER KEYSLOT a", "CLUSTER KEYSLOT", "CLUSTER COUNTKEYSINSLOT 1", "ASKING", "INFO cluster"} {
		compare(t, redis, ours, line, harness.CommandLine(line))
	}
}

// Keys are found by their slots, and commands about keys of several slots are answered: the server
// has them all.
func TestClusterKeys(t *testing.T) {
	c := harness.StartServer(t, "--cluster-enabled", "emulated").Dial()
	c.Fill("{tag}", "token_bucket", 3)
	c.Fill("other", "sliding_window_log", 2)
	slot := c.Ask("CLUSTER", "KEYSLOT", "tag").Text
	c.MustSay("3", "CLUSTER", "COUNTKEYSINSLOT", slot)
	if got := c.Ask("CLUSTER", "GETKEYSINSLOT", slot, "2").Texts(); len(got) != 2 || !strings.HasPrefix(got[0], "{tag}") || !strings.HasPrefix(got[1], "{tag}") {
		t.Errorf("two keys of the slot are %q", got)
	}
	c.MustSay("3", "RL.RESET", "{tag}0", "other0", "other1", "nosuch")
	c.MustSay("2", "CLUSTER", "COUNTKEYSINSLOT", slot)
}
