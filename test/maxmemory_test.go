package test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// The bound on memory, seen from outside: INFO tells what is in use and what was
// forgotten, and the bound holds whatever comes.

// info is the numbers of INFO, those that are whole.
func info(t testing.TB, c *redis.Client) map[string]int64 {
	t.Helper()
	text, err := c.Info(context.Background(), "everything").Result()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int64{}
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			numbers[name] = n
		}
	}
	return numbers
}

// fill checks keys from … to−1 once each, in pipelines, and counts the answers that are
// errors, all of which must be OOM's.
func fill(t testing.TB, c *redis.Client, key func(i int) string, from, to int, question ...any) (refused int) {
	t.Helper()
	ctx := context.Background()
	for from < to {
		pipe := c.Pipeline()
		for ; from < to && pipe.Len() < 1000; from++ {
			pipe.Do(ctx, append([]any{"RL.CHECK", key(from)}, question...)...)
		}
		commands, _ := pipe.Exec(ctx) // each command has its own error
		for _, cmd := range commands {
			if err := cmd.Err(); err != nil {
				if err.Error() != "OOM command not allowed when used memory > 'maxmemory'." {
					t.Fatalf("%v: %v", cmd.Args(), err)
				}
				refused++
			}
		}
	}
	return refused
}

// numbered are keys of one format, 11 digits at the end.
func numbered(prefix string) func(int) string {
	return func(i int) string { return fmt.Sprintf("%s%011d", prefix, i) }
}

const maxMemory = 16 << 20

// Far more live keys than fit: the bound holds, live keys are forgotten and counted, and
// nobody is refused.
func TestMaxMemoryForgetsKeys(t *testing.T) {
	for _, c := range []struct{ name, prefix string }{
		{"short keys", "user:"},
		{"long keys", "tenant:4711:session:0123456789abcdef:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := startServer(t, "--maxmemory", "16mb").client()
			const step, steps = 50_000, 12
			for i := range steps {
				if refused := fill(t, client, numbered(c.prefix), i*step, (i+1)*step, "token_bucket", 100, "1h"); refused != 0 {
					t.Fatalf("%d checks of a token bucket were refused", refused)
				}
				if used := info(t, client)["used_memory"]; used > maxMemory {
					t.Fatalf("after %d keys %d bytes are used", (i+1)*step, used)
				}
			}
			seen := info(t, client)
			if seen["evicted_live_keys"]+seen["keys"] != step*steps || seen["evicted_keys"] != seen["evicted_live_keys"] ||
				seen["maxmemory"] != maxMemory || seen["keys"] < maxMemory/200 || seen["used_memory_tables"] < maxMemory/2 {
				t.Errorf("INFO has %v", seen)
			}
			if err := client.ConfigSet(context.Background(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			fill(t, client, numbered("more:"+c.prefix), 0, 100_000, "token_bucket", 100, "1h")
			if after := info(t, client); after["evicted_live_keys"] != seen["evicted_live_keys"] || after["keys"] != seen["keys"]+100_000 {
				t.Errorf("without a bound INFO has %v", after)
			}
		})
	}
}

// Those nearest to rest go first: of two kinds of keys that come in turn, those that would
// soon be at rest make way for those that would not.
func TestMaxMemoryForgetsTheNearestToRest(t *testing.T) {
	client := startServer(t, "--maxmemory", "16mb").client()
	for i := range 20 {
		fill(t, client, numbered("soon:"), i*20_000, (i+1)*20_000, "token_bucket", 100, "1h")
		fill(t, client, numbered("late:"), i*20_000, (i+1)*20_000, "token_bucket", 100, "100d")
	}
	kept := map[string]int{}
	for iter := client.Scan(context.Background(), 0, "", 1000).Iterator(); iter.Next(context.Background()); {
		kept[iter.Val()[:4]]++
	}
	if kept["late"] < 10*kept["soon"] || kept["late"] < 100_000 {
		t.Errorf("kept %v", kept)
	}
}

// Logs are bounded as well: small ones make way for small ones, and all for large ones.
func TestMaxMemoryBoundsLogs(t *testing.T) {
	p := startServer(t, "--maxmemory", "16mb", "--max-log-limit", "500000")
	client := p.client()
	if refused := fill(t, client, numbered("log:"), 0, 300_000, "sliding_window_log", 100, "1h"); refused != 0 {
		t.Errorf("%d new logs were refused where others could be forgotten", refused)
	}
	seen := info(t, client)
	if seen["used_memory"] > maxMemory || seen["evicted_live_keys"] == 0 || seen["used_memory_logs"] == 0 {
		t.Errorf("INFO has %v", seen)
	}
	refused := 0
	for i := range 6 { // logs that want 5 MB each
		refused += fill(t, client, func(int) string { return fmt.Sprint("big:", i) }, 0, 400_000, "sliding_window_log", 500_000, "1h")
		if used := info(t, client)["used_memory"]; used > maxMemory {
			t.Fatalf("%d bytes are used", used)
		}
	}
	// Who needs megabytes at once forgets thousands of small logs, but not in one call.
	if refused > 100 {
		t.Errorf("%d checks of large logs were refused where others could be forgotten", refused)
	}
	if got := integers(t, client, "RL.CHECK", "user:123", "token_bucket", 100, 60); got[0] != 1 {
		t.Errorf("the server answers %v", got)
	}
}

// GOGC and GOMEMLIMIT are whoever starts the server's to set.
func TestTheEnvironmentSetsTheCollector(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        map[string]int64
	}{
		{"GOGC", "77", map[string]int64{"gc_percent": 77}},
		{"GOMEMLIMIT", "123456789", map[string]int64{"gc_soft_limit": 123456789, "gc_percent": 400}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getenv("GOGC")+os.Getenv("GOMEMLIMIT") != "" {
				t.Fatal("run this without GOGC and GOMEMLIMIT in the environment")
			}
			t.Setenv(c.name, c.value)
			client := startServer(t, "--maxmemory", "32mb").client()
			for name, want := range c.want {
				if got := info(t, client)[name]; got != want {
					t.Errorf("%s is %d, want %d", name, got, want)
				}
			}
		})
	}
}
