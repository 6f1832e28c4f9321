package operator

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
	"github.com/rlserver/rlserver/test/harness/race"
)

// The bound on memory, seen from outside: INFO tells what is in use and what was
// forgotten, and the bound holds whatever comes.

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

const (
	maxMemory = 16 << 20
	// rebuildSlack is what the bound may be exceeded by for a moment once logs have taken all
	// the room: tables that are replaced meanwhile exist twice. It is what the engine's tests
	// allow; up to 232 KB, 1.4 percent, were seen here. Where there are no logs the bound is
	// exact.
	rebuildSlack = maxMemory / 10
)

// maxmemory is set with Redis's syntax and read in bytes, and what is refused changes nothing.
func TestMaxMemorySetting(t *testing.T) {
	client, ctx := harness.StartServer(t, "--maxmemory", "1Gb").Client(), context.Background()
	is := func(want string) {
		t.Helper()
		got, err := client.ConfigGet(ctx, "maxmemory*").Result()
		if err != nil || got["maxmemory"] != want || got["maxmemory-policy"] != "volatile-ttl" {
			t.Errorf("CONFIG GET has %v, %v, want %s", got, err, want)
		}
	}
	is("1073741824")
	for value, want := range map[string]string{"17m": "17000000", "17000K": "17000000", "16mb": "16777216", "2g": "2000000000", "0": "0"} {
		if err := client.ConfigSet(ctx, "maxmemory", value).Err(); err != nil {
			t.Errorf("%s: %v", value, err)
		}
		is(want)
		if got := fmt.Sprint(harness.InfoNumbers(t, client)["maxmemory"]); got != want {
			t.Errorf("INFO has maxmemory:%s, want %s", got, want)
		}
	}
	for _, value := range []string{"", "1", "15mb", "16m", "1.5g", "-1", "16 mb", "99999999999g"} {
		if err := client.ConfigSet(ctx, "maxmemory", value).Err(); err == nil || !strings.Contains(err.Error(), "0 for no bound, or bytes from 16mb on") {
			t.Errorf("%q: %v", value, err)
		}
	}
	if err := client.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err(); err == nil || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("the policy was set: %v", err)
	}
}

// Far more live keys than fit: the bound holds, live keys are forgotten and counted, and
// no check is refused.
func TestMaxMemoryForgetsKeys(t *testing.T) {
	for _, c := range []struct {
		name, prefix string
		step, least  int // keys that come between two looks, and that are kept at least
	}{
		{"short keys", "user:", 10_000, maxMemory / 200},
		{"long keys", harness.LongPrefix, 2000, maxMemory / 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if race.Enabled && c.step > 2000 {
				t.Skip("a minute with the race detector, for which the long keys are enough; make test runs it")
			}
			client := harness.StartServer(t, "--maxmemory", "16mb").Client()
			const steps = 60
			for i := range steps {
				if refused := fill(t, client, numbered(c.prefix), i*c.step, (i+1)*c.step, "token_bucket", 100, "100d"); refused != 0 {
					t.Fatalf("%d checks of a token bucket were refused", refused)
				}
				if used := harness.InfoNumbers(t, client)["used_memory"]; used > maxMemory {
					t.Fatalf("after %d keys %d bytes are used", (i+1)*c.step, used)
				}
			}
			seen := harness.InfoNumbers(t, client)
			if seen["evicted_live_keys"]+seen["keys"] != int64(c.step*steps) || seen["evicted_keys"] != seen["evicted_live_keys"] ||
				seen["maxmemory"] != maxMemory || seen["keys"] < int64(c.least) || seen["used_memory_tables"] < maxMemory/2 {
				t.Errorf("INFO has %v", seen)
			}
			if err := client.ConfigSet(context.Background(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			fill(t, client, numbered("more:"+c.prefix), 0, 10*c.step, "token_bucket", 100, "100d")
			if after := harness.InfoNumbers(t, client); after["evicted_live_keys"] != seen["evicted_live_keys"] || after["keys"] != seen["keys"]+int64(10*c.step) {
				t.Errorf("without a bound INFO has %v", after)
			}
			if err := client.ConfigResetStat(context.Background()).Err(); err != nil {
				t.Fatal(err)
			}
			if after := harness.InfoNumbers(t, client); after["evicted_keys"] != 0 || after["evicted_live_keys"] != 0 {
				t.Errorf("after CONFIG RESETSTAT INFO has %v", after)
			}
		})
	}
}

// Those nearest to rest go first: of two kinds of keys that come in turn, those that would
// soon be idle make way for the others.
func TestMaxMemoryForgetsTheNearestToRest(t *testing.T) {
	client := harness.StartServer(t, "--maxmemory", "16mb").Client()
	const step, steps = 3000, 20
	for i := range steps {
		fill(t, client, numbered("soon:"+harness.LongPrefix), i*step, (i+1)*step, "token_bucket", 100, "10d")
		fill(t, client, numbered("late:"+harness.LongPrefix), i*step, (i+1)*step, "token_bucket", 100, "100d")
	}
	kept := map[string]int{}
	for iter := client.Scan(context.Background(), 0, "", 1000).Iterator(); iter.Next(context.Background()); {
		kept[iter.Val()[:4]]++
	}
	if kept["late"] < 10*kept["soon"] || kept["late"] < maxMemory/1000 {
		t.Errorf("kept %v", kept)
	}
}

// Logs are bounded as well: small ones make way for small ones, and all for large ones.
func TestMaxMemoryBoundsLogs(t *testing.T) {
	p := harness.StartServer(t, "--maxmemory", "16mb", "--max-log-limit", "500000")
	client := p.Client()
	if refused := fill(t, client, numbered(harness.LongPrefix), 0, 100_000, "sliding_window_log", 100, "1h"); refused != 0 {
		t.Errorf("%d new logs were refused where others could be forgotten", refused)
	}
	seen := harness.InfoNumbers(t, client)
	if seen["used_memory"] > maxMemory+rebuildSlack || seen["evicted_live_keys"] == 0 || seen["used_memory_logs"] == 0 {
		t.Errorf("INFO has %v", seen)
	}
	refused, large := 0, 6
	if race.Enabled { // a quarter of a minute each
		large = 2
	}
	for i := range large { // logs that want 4 MB each
		refused += fill(t, client, func(int) string { return fmt.Sprint("big:", i) }, 0, 400_000, "sliding_window_log", 500_000, "1h")
		if used := harness.InfoNumbers(t, client)["used_memory"]; used > maxMemory+rebuildSlack {
			t.Fatalf("%d bytes are used", used)
		}
	}
	// A log that needs megabytes at once evicts thousands of small logs, but not in one call.
	if refused > 100 {
		t.Errorf("%d checks of large logs were refused where others could be forgotten", refused)
	}
	if got := harness.Integers(t, client, "RL.CHECK", "user:123", "token_bucket", 100, 60); got[0] != 1 {
		t.Errorf("the server answers %v", got)
	}
}

// A log that has no room is refused with Redis's words, and the refusal changes nothing: the
// log is as it was, other keys are served, and without a bound it grows again.
func TestMaxMemoryRefusesLogs(t *testing.T) {
	const most, step = 500_000, 1000
	client := harness.StartServer(t, "--maxmemory", "16mb", "--max-log-limit", strconv.Itoa(most)).Client()
	fill(t, client, numbered(harness.LongPrefix), 0, 100_000, "token_bucket", 100, "100d")
	before := harness.InfoNumbers(t, client)
	big, question := func(int) string { return "big" }, []any{"sliding_window_log", most, "100d"}
	asked, refused := 0, 0
	for ; refused == 0; asked += step {
		if asked == most {
			t.Fatalf("a log of 4 MB found room beside %d bytes of tables", before["used_memory_tables"])
		}
		refused = fill(t, client, big, 0, step, question...)
	}
	remaining := func() int {
		return int(harness.Integers(t, client, append([]any{"RL.PEEK", "big"}, question...)...)[2])
	}
	if got, want := remaining(), most-asked+refused; got != want {
		t.Errorf("%d units remain of the log, want %d", got, want)
	}
	if got := harness.Integers(t, client, "RL.CHECK", "another", "token_bucket", 100, "100d"); got[0] != 1 {
		t.Errorf("another key is answered %v", got)
	}
	seen := harness.InfoNumbers(t, client)
	if seen["used_memory"] > maxMemory+rebuildSlack || seen["total_error_replies"]-before["total_error_replies"] != int64(refused) {
		t.Errorf("after %d refusals INFO has %v", refused, seen)
	}
	if err := client.ConfigSet(context.Background(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if again := fill(t, client, big, 0, most-asked+refused, question...); again != 0 || remaining() != 0 {
		t.Errorf("without a bound %d checks were refused and %d units remain", again, remaining())
	}
}

// A bound that is set below what is in use is reached without any traffic. A log that is asked for
// meanwhile finds room in the end, though keys of another kind have taken all.
func TestMaxMemoryLowered(t *testing.T) {
	const keys = 70_000
	client := harness.StartServer(t).Client()
	fill(t, client, numbered(harness.LongPrefix), 0, keys, "token_bucket", 100, "100d")
	if seen := harness.InfoNumbers(t, client); seen["used_memory"] < maxMemory*3/2 || seen["keys"] != keys {
		t.Fatalf("INFO has %v", seen)
	}
	if err := client.ConfigSet(context.Background(), "maxmemory", "16mb").Err(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "used_memory is below maxmemory", func() bool {
		return harness.InfoNumbers(t, client)["used_memory"] <= maxMemory
	})
	seen := harness.InfoNumbers(t, client)
	if seen["evicted_live_keys"]+seen["keys"] != keys || seen["used_memory"] < maxMemory/2 {
		t.Errorf("INFO has %v", seen)
	}
	const logs = 30_000
	if refused := fill(t, client, numbered("log:"), 0, logs, "sliding_window_log", 100, "100d"); refused > logs/100 {
		t.Errorf("%d of %d logs were refused", refused, logs)
	}
}

// What a server needed while keys came, and does not need any more, it gives back to the system by
// itself.
func TestMemoryIsGivenBack(t *testing.T) {
	const keys = 300_000
	client := harness.StartServer(t).Client()
	empty := harness.InfoNumbers(t, client)["used_memory_rss"]
	fill(t, client, numbered("user:"), 0, keys, "token_bucket", 100, "100d")
	// What tables take, and 6 MB for garbage and for what is resident of the process only now.
	most := empty + harness.InfoNumbers(t, client)["used_memory"] + 6<<20
	harness.Eventually(t, fmt.Sprintf("no more than %d bytes are resident", most), func() bool {
		return harness.InfoNumbers(t, client)["used_memory_rss"] <= most
	})
}

// GOGC and GOMEMLIMIT can be set in the environment, each for itself.
func TestTheEnvironmentSetsTheCollector(t *testing.T) {
	// Of 32 MB: the bound, a quarter, and 32 and 64 MB for garbage and the process.
	const ownPercent, ownLimit = 400, 136 << 20
	for _, c := range []struct {
		gogc, gomemlimit    string
		percent, limit, at0 int64 // at0: the limit once maxmemory is 0
	}{
		{"", "", ownPercent, ownLimit, math.MaxInt64},
		{"77", "", 77, ownLimit, math.MaxInt64},
		{"off", "", -1, ownLimit, math.MaxInt64},
		{"", "123456789", ownPercent, 123456789, 123456789},
		{"77", "123456789", 77, 123456789, 123456789},
	} {
		t.Run("GOGC="+c.gogc+",GOMEMLIMIT="+c.gomemlimit, func(t *testing.T) {
			t.Setenv("GOGC", c.gogc)
			t.Setenv("GOMEMLIMIT", c.gomemlimit)
			p := harness.StartServer(t, "--maxmemory", "32mb", "--log-format", "text")
			client := p.Client()
			inForce := fmt.Sprintf("percent=%d percent_from=%s soft_limit=%d soft_limit_from=%s",
				c.percent, from(c.gogc), c.limit, from(c.gomemlimit))
			harness.Eventually(t, "the log tells "+inForce, func() bool { return strings.Contains(p.Log.String(), inForce) })
			if seen := harness.InfoNumbers(t, client); seen["gc_percent"] != c.percent || seen["gc_soft_limit"] != c.limit {
				t.Errorf("INFO has %v", seen)
			}
			if err := client.ConfigSet(context.Background(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, "the soft limit follows maxmemory", func() bool { return harness.InfoNumbers(t, client)["gc_soft_limit"] == c.at0 })
		})
	}
}

// from is where INFO says that a setting is from: the environment, unless its variable is empty.
func from(variable string) string {
	if variable == "" {
		return "rlserver"
	}
	return "environment"
}
