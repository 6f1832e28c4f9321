package backend

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// The targets.
const (
	backendRateTarget   = 0.9 // of the straight EVALSHA's checks/s, at least, at pipeline 16
	backendDeniedTarget = 5.0 // times Redis's own denials, at least
	backendCPUTarget    = 1.0 // of Redis's CPU time for redis_rate's script, at most
)

// A way is how Redis is asked.
type way struct {
	name  string
	p     *harness.Process // the server that is asked
	words []string
	keys  int
	to    int // the way that it is compared with
}

// A backendRow is a way at a pipeline, and what each round measured.
type backendRow struct {
	way
	connections, pipeline, requests int
	rounds                          bench.Rounds[backendRound]
}

type backendRound struct {
	bench.Report
	redisCPU, serverCPU float64 // µs a check
	redisCores, others  float64
}

// BenchmarkRedisBackendCompare compares checks through rlserver with the same EVALSHA sent to the
// same Redis straight, and with the script of go-redis/redis_rate.
func BenchmarkRedisBackendCompare(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	r := harness.StartRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "5s")
	check := []string{"RL.CHECK", "k:__rand_int__", "token_bucket", "1000000", "60"}
	denied := []string{"RL.CHECK", "d:__rand_int__", "token_bucket", "1", "1h"}
	logged := []string{"RL.CHECK", "w:__rand_int__", "sliding_window_log", "100", "60"}
	ways := []way{
		{"RL.CHECK through rlserver", p, check, bench.Keys, 1},
		{"the same EVALSHA straight", r, straight(t, p, r, check), bench.Keys, 1},
		{"redis_rate's EVALSHA straight", r, rateScript(t, r), bench.Keys, 1},
		{"a log of 100, through rlserver", p, logged, bench.Keys, 4},
		{"the same EVALSHA straight", r, straight(t, p, r, logged), bench.Keys, 4},
		{"denied, through rlserver", p, denied, 1000, 6},
		{"the same EVALSHA straight, denied", r, straight(t, p, r, denied), 1000, 6},
	}
	var rows []*backendRow
	for _, pipeline := range []int{16, 1, 64} {
		for _, w := range ways {
			rows = append(rows, newRow(t, p, r, backendRow{way: w, connections: bench.Connections, pipeline: pipeline}, length))
		}
	}
	for range rounds {
		for _, row := range rows {
			row.rounds = append(row.rounds, row.measure(t, p, r))
		}
	}
	mustCount(t, p)
	fmt.Fprintf(os.Stdout, "medians of %d rounds of about %v each, %d connections; × is the median of the ratios of single rounds\n", rounds, length, bench.Connections)
	printBackend(rows, len(ways))
}

// newRow gives a row as many requests as take that long.
func newRow(t testing.TB, p, r *harness.Process, row backendRow, length time.Duration) *backendRow {
	t.Helper()
	row.requests = bench.Scaled(50_000, 10)
	row.requests = max(5000, int(row.measure(t, p, r).PerSecond*length.Seconds()))
	return &row
}

// measure runs redis-benchmark once, which ends at the first error.
func (row *backendRow) measure(t testing.TB, p, r *harness.Process) (m backendRound) {
	t.Helper()
	machine, begin := bench.MachineTime(t), time.Now()
	redis, server := bench.ProcessTime(t, r.Cmd.Process.Pid), bench.ProcessTime(t, p.Cmd.Process.Pid)
	run := bench.Load{Words: row.words, Keys: row.keys, Connections: row.connections, Pipeline: row.pipeline, Requests: row.requests}.Put(t, row.p)
	redis, server = bench.ProcessTime(t, r.Cmd.Process.Pid)-redis, bench.ProcessTime(t, p.Cmd.Process.Pid)-server
	machine = bench.MachineTime(t) - machine
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(row.requests) }
	asking := float64(row.requests) / run.PerSecond
	return backendRound{run.Report, each(redis), each(server), redis.Seconds() / asking,
		max(0, (machine-redis-server-run.CPU).Seconds()/time.Since(begin).Seconds())}
}

// straight finds the EVALSHA that rlserver sends for a command, and gives it the keys of one.
func straight(t testing.TB, p, r *harness.Process, words []string) []string {
	t.Helper()
	key := strings.Replace(words[1], "__rand_int__", "straight", 1)
	got := monitored(t, r, key, func() {
		args := make([]any, len(words))
		for i, word := range words {
			args[i] = word
		}
		args[1] = key
		if first := harness.Integers(t, p.Client(), args...); first[0] != 1 {
			t.Fatalf("%v: %v", args, first)
		}
	})
	got[3] = "rl:" + words[1]
	return got
}

// rateScript is the EVALSHA of redis_rate for the same limit.
func rateScript(t testing.TB, r *harness.Process) []string {
	t.Helper()
	limit := redis_rate.Limit{Rate: 1_000_000, Burst: 1_000_000, Period: time.Minute}
	limiter, allow := redis_rate.NewLimiter(r.Client()), "straight"
	ask := func() {
		if got, err := limiter.Allow(t.Context(), allow, limit); err != nil || got.Allowed != 1 {
			t.Fatalf("redis_rate: %+v, %v", got, err)
		}
	}
	ask() // which loads the script
	got := monitored(t, r, allow, ask)
	got[3] = "rate:__rand_int__"
	return got
}

// monitored returns the EVALSHA about a key that reaches a Redis meanwhile.
func monitored(t testing.TB, r *harness.Process, key string, ask func()) []string {
	t.Helper()
	c := r.Dial()
	c.Send(harness.Command("MONITOR"))
	c.Reply()
	ask()
	lines := bufio.NewScanner(c.Reader)
	for lines.Scan() {
		_, quoted, found := strings.Cut(lines.Text(), "] ")
		var words []string
		for word := range strings.FieldsSeq(quoted) {
			text, err := strconv.Unquote(word)
			if err != nil {
				break
			}
			words = append(words, text)
		}
		if found && len(words) > 4 && words[0] == "evalsha" && strings.HasSuffix(words[3], key) {
			_ = c.Close()
			return words
		}
	}
	t.Fatalf("no EVALSHA about %s was seen: %v", key, lines.Err())
	return nil
}

func backendRate(m backendRound) float64     { return m.PerSecond }
func backendRedisCPU(m backendRound) float64 { return m.redisCPU }

// printBackend prints a table for each pipeline, and the targets.
func printBackend(rows []*backendRow, ways int) {
	out := os.Stdout
	for at := 0; at < len(rows); at += ways {
		tab := bench.NewTable(fmt.Sprintf("pipeline %d", rows[at].pipeline), "", "checks/s", "× straight", "p50 ms", "p99 ms", "Redis CPU µs", "rlserver CPU µs", "cores: Redis", "others")
		for _, row := range rows[at : at+ways] {
			to := rows[at+row.to]
			tab.Add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.2f|%.2f|%.2f", row.name, row.rounds.Median(backendRate), row.rounds.Ratio(to.rounds, backendRate),
				row.rounds.Median(func(m backendRound) float64 { return m.P50 }), row.rounds.Median(func(m backendRound) float64 { return m.P99 }),
				row.rounds.Median(backendRedisCPU), row.rounds.Median(func(m backendRound) float64 { return m.serverCPU }),
				row.rounds.Median(func(m backendRound) float64 { return m.redisCores }), row.rounds.Median(func(m backendRound) float64 { return m.others }))
		}
		tab.Print(out)
	}
	tab := bench.NewTable("targets", "", "measured", "target", "")
	rate := rows[0].rounds.Ratio(rows[1].rounds, backendRate)
	tab.Add("checks/s at pipeline %d, to those of the straight EVALSHA|%.2f|≥ %.2f|%s", rows[0].pipeline, rate, backendRateTarget, bench.Verdict(rate >= backendRateTarget))
	denied := rows[5].rounds.Ratio(rows[6].rounds, backendRate)
	tab.Add("denials/s at pipeline %d, to those of Redis|%.2f|≥ %.2f|%s", rows[5].pipeline, denied, backendDeniedTarget, bench.Verdict(denied >= backendDeniedTarget))
	cpu := rows[0].rounds.Ratio(rows[2].rounds, backendRedisCPU)
	tab.Add("Redis's CPU for a check at pipeline %d, to that of redis_rate's script|%.2f|≤ %.2f|%s", rows[0].pipeline, cpu, backendCPUTarget, bench.Verdict(cpu <= backendCPUTarget))
	tab.Print(out)
}
