package debugging

import (
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// Every container has a HELP in the form of Redis: a line for each subcommand with its arguments, and
// one for what it does.
func TestHelpOfContainers(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, container := range []string{"CLIENT", "CLUSTER", "COMMAND", "CONFIG", "LATENCY", "MEMORY", "MODULE", "OBJECT", "PUBSUB", "SLOWLOG"} {
		lines := c.Ask(container, "HELP").Parts
		if len(lines) < 5 || len(lines)%2 != 1 || !strings.HasPrefix(lines[0].Text, container+" <subcommand>") {
			t.Errorf("%s HELP has %d lines", container, len(lines))
			continue
		}
		for i, line := range lines[1:] {
			if indented := strings.HasPrefix(line.Text, "    "); line.Kind != '+' || indented != (i%2 == 1) {
				t.Errorf("line %d of %s HELP is %c%q", i+1, container, line.Kind, line.Text)
			}
		}
	}
}

// OBJECT tells of keys what there is to tell.
func TestObject(t *testing.T) {
	c := harness.StartServer(t).Dial()
	c.Fill("word", "token_bucket", 1)
	c.Fill("log", "sliding_window_log", 1)
	c.MustSay("word", "OBJECT", "ENCODING", "word0")
	c.MustSay("log", "object", "encoding", "log0")
	c.MustSay("1", "OBJECT", "REFCOUNT", "log0")
	c.MustFail("ERR An LFU maxmemory policy is not selected", "OBJECT", "FREQ", "word0")
	c.MustFail("ERR when a key was last used is not kept", "OBJECT", "IDLETIME", "word0")
}

// MEMORY STATS agrees with INFO, with names and types of Redis.
func TestMemoryStats(t *testing.T) {
	redis, ours := harness.StartRedis(t).Dial(), harness.StartServer(t).Dial()
	ours.Fill("k", "token_bucket", 100)
	theirs, got := redis.Ask("MEMORY", "STATS").Pairs(), ours.Ask("MEMORY", "STATS").Pairs()
	for name, value := range got {
		if like, found := theirs[name]; !found || like.Kind != value.Kind {
			t.Errorf("%s is %c%s, from Redis %c%s", name, value.Kind, value.Text, like.Kind, like.Text)
		}
	}
	if used := ours.InfoNumber("used_memory"); got["keys.count"].Text != "100" || got["total.allocated"].Text != strconv.FormatInt(used, 10) {
		t.Errorf("100 keys take %d bytes, and MEMORY STATS says %+v", used, got)
	}
	for _, words := range []string{"MEMORY DOCTOR", "MEMORY MALLOC-STATS", "LATENCY DOCTOR"} {
		if got := ours.Ask(strings.Fields(words)...); got.Kind != '$' || len(got.Text) < 10 {
			t.Errorf("%s says %c%q", words, got.Kind, got.Text)
		}
	}
}

// LATENCY HISTOGRAM counts each call that was timed once, with bounds that are powers of two.
func TestLatencyHistogram(t *testing.T) {
	for name, p := range map[string]*harness.Process{"Redis": harness.StartRedis(t), "rlserver": harness.StartServer(t)} {
		c := p.Dial()
		for range 3 {
			c.Ask("DBSIZE")
			c.Ask("CONFIG", "GET", "nosuch")
		}
		c.Ask("CONFIG", "GET", "timeout")
		reply := c.Ask("LATENCY", "HISTOGRAM", "config", "nosuch").Pairs()
		if len(reply) != 1 {
			t.Errorf("%s: LATENCY HISTOGRAM of config has %d commands", name, len(reply))
		}
		command := reply["config|get"].Pairs()
		buckets := command["histogram_usec"].Parts
		if command["calls"].Text != "4" || len(buckets) < 2 || buckets[len(buckets)-1].Text != "4" {
			t.Errorf("%s: after four calls of CONFIG GET there is %+v", name, command)
		}
		most, calls := int64(0), int64(0)
		for i := 0; i+1 < len(buckets); i += 2 {
			bound, counted := buckets[i].Number(t), buckets[i+1].Number(t)
			if bound <= most || counted <= calls {
				t.Errorf("%s: %d calls up to %d µs, and %d up to %d", name, counted, bound, calls, most)
			}
			most, calls = bound, counted
		}
		if all := c.Ask("LATENCY", "HISTOGRAM").Pairs(); all["dbsize"].Kind == 0 || all["config|get"].Kind == 0 {
			t.Errorf("%s: LATENCY HISTOGRAM has only %d commands", name, len(all))
		}
	}
}
