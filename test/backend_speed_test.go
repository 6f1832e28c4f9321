package test

import (
	"bufio"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

var redisSpeedFlag = flag.Bool("redisspeed", false, "compare decisions in Redis, through rlserver and straight, in rounds that alternate")

// The targets.
const (
	backendRateTarget   = 0.9 // of the straight EVALSHA's checks/s, at least, at pipeline 16
	backendDeniedTarget = 5.0 // times Redis's own denials, at least
	backendCPUTarget    = 1.0 // of Redis's CPU time for redis_rate's script, at most
)

// A way is how Redis is asked.
type way struct {
	name  string
	p     *process // who is asked
	words []string
	keys  int
	to    int // the way that it is compared with
}

// A backendRow is a way at a pipeline, and what each round measured.
type backendRow struct {
	way
	pipeline, requests int
	rounds             []backendRound
}

type backendRound struct {
	benchmarkReport
	redisCPU, serverCPU float64 // µs a check
	redisCores, others  float64
}

// TestRedisBackendCompare compares checks through rlserver with the same EVALSHA sent to the
// same Redis straight, and with the script of go-redis/redis_rate. Nothing of it can fail for
// being slow.
func TestRedisBackendCompare(t *testing.T) {
	if !*redisSpeedFlag {
		t.Skipf("it measures and proves nothing, so it runs only if asked to: go test ./test -count=1 -v -run %s -redisspeed", t.Name())
	}
	onlyWhereProcessesAreMeasured(t)
	rounds, length := 5, 2*time.Second
	if testing.Short() {
		rounds, length = 2, 100*time.Millisecond
	}
	r := startRedis(t)
	p := startServer(t, "--backend", "redis", "--redis-addr", r.addr(), "--redis-timeout", "5s")
	check := []string{"RL.CHECK", "k:__rand_int__", "token_bucket", "1000000", "60"}
	denied := []string{"RL.CHECK", "d:__rand_int__", "token_bucket", "1", "1h"}
	logged := []string{"RL.CHECK", "w:__rand_int__", "sliding_window_log", "100", "60"}
	ways := []way{
		{"RL.CHECK through rlserver", p, check, wireKeys, 1},
		{"the same EVALSHA straight", r, straight(t, p, r, check), wireKeys, 1},
		{"redis_rate's EVALSHA straight", r, rateScript(t, r), wireKeys, 1},
		{"a log of 100, through rlserver", p, logged, wireKeys, 4},
		{"the same EVALSHA straight", r, straight(t, p, r, logged), wireKeys, 4},
		{"denied, through rlserver", p, denied, 1000, 6},
		{"the same EVALSHA straight, denied", r, straight(t, p, r, denied), 1000, 6},
	}
	var rows []*backendRow
	for _, pipeline := range []int{16, 1, 64} {
		for _, w := range ways {
			row := &backendRow{way: w, pipeline: pipeline, requests: 50_000}
			row.requests = max(5000, int(row.measure(t, p, r).perSecond*length.Seconds()))
			rows = append(rows, row)
		}
	}
	for range rounds {
		for _, row := range rows {
			row.rounds = append(row.rounds, row.measure(t, p, r))
		}
	}
	degraded := backendNumber(t, p.client(), "degraded_answers")
	if degraded != 0 {
		t.Errorf("%d answers were degraded", degraded)
	}
	fmt.Fprintf(t.Output(), "medians of %d rounds of about %v each, %d connections; × is the median of the ratios of single rounds\n", rounds, length, wireConnections)
	printBackend(t, rows, len(ways))
}

// measure runs redis-benchmark once, which ends at the first error.
func (row *backendRow) measure(t *testing.T, p, r *process) (m backendRound) {
	t.Helper()
	machine, begin := machineTime(t), time.Now()
	redis, server := processTime(t, r.cmd.Process.Pid), processTime(t, p.cmd.Process.Pid)
	run := runBenchmarkOn(t, row.p, row.keys, row.words, wireConnections, row.pipeline, row.requests)
	redis, server = processTime(t, r.cmd.Process.Pid)-redis, processTime(t, p.cmd.Process.Pid)-server
	machine = machineTime(t) - machine
	each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(row.requests) }
	asking := float64(row.requests) / run.perSecond
	return backendRound{run.benchmarkReport, each(redis), each(server), redis.Seconds() / asking,
		max(0, (machine-redis-server-run.cpu).Seconds()/time.Since(begin).Seconds())}
}

// straight finds the EVALSHA that rlserver sends for a command, and gives it the keys of one.
func straight(t *testing.T, p, r *process, words []string) []string {
	t.Helper()
	key := strings.Replace(words[1], "__rand_int__", "straight", 1)
	got := monitored(t, r, key, func() {
		args := make([]any, len(words))
		for i, word := range words {
			args[i] = word
		}
		args[1] = key
		if first := integers(t, p.client(), args...); first[0] != 1 {
			t.Fatalf("%v: %v", args, first)
		}
	})
	got[3] = "rl:" + words[1]
	return got
}

// rateScript is the EVALSHA of redis_rate for the same limit.
func rateScript(t *testing.T, r *process) []string {
	t.Helper()
	limit := redis_rate.Limit{Rate: 1_000_000, Burst: 1_000_000, Period: time.Minute}
	limiter, allow := redis_rate.NewLimiter(r.client()), "straight"
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
func monitored(t *testing.T, r *process, key string, ask func()) []string {
	t.Helper()
	c := r.dial()
	c.send(command("MONITOR"))
	c.reply()
	ask()
	lines := bufio.NewScanner(c.r)
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

func (row *backendRow) median(figure func(backendRound) float64) float64 {
	var values []float64
	for _, m := range row.rounds {
		values = append(values, figure(m))
	}
	return median(values)
}

func (row *backendRow) ratio(to *backendRow, figure func(backendRound) float64) float64 {
	var ratios []float64
	for i, m := range row.rounds {
		ratios = append(ratios, figure(m)/figure(to.rounds[i]))
	}
	return median(ratios)
}

func backendRate(m backendRound) float64     { return m.perSecond }
func backendRedisCPU(m backendRound) float64 { return m.redisCPU }

// printBackend prints a table for each pipeline, and the targets.
func printBackend(t *testing.T, rows []*backendRow, ways int) {
	out := t.Output()
	for at := 0; at < len(rows); at += ways {
		tab := newTable(fmt.Sprintf("pipeline %d", rows[at].pipeline), "", "checks/s", "× straight", "p50 ms", "p99 ms", "Redis CPU µs", "rlserver CPU µs", "cores: Redis", "others")
		for _, row := range rows[at : at+ways] {
			to := rows[at+row.to]
			tab.add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.2f|%.2f|%.2f", row.name, row.median(backendRate), row.ratio(to, backendRate),
				row.median(func(m backendRound) float64 { return m.p50 }), row.median(func(m backendRound) float64 { return m.p99 }),
				row.median(backendRedisCPU), row.median(func(m backendRound) float64 { return m.serverCPU }),
				row.median(func(m backendRound) float64 { return m.redisCores }), row.median(func(m backendRound) float64 { return m.others }))
		}
		tab.print(out)
	}
	tab := newTable("targets", "", "measured", "target", "")
	rate := rows[0].ratio(rows[1], backendRate)
	tab.add("checks/s at pipeline %d, to those of the straight EVALSHA|%.2f|≥ %.2f|%s", rows[0].pipeline, rate, backendRateTarget, verdict(rate >= backendRateTarget))
	denied := rows[5].ratio(rows[6], backendRate)
	tab.add("denials/s at pipeline %d, to those of Redis|%.2f|≥ %.2f|%s", rows[5].pipeline, denied, backendDeniedTarget, verdict(denied >= backendDeniedTarget))
	cpu := rows[0].ratio(rows[2], backendRedisCPU)
	tab.add("Redis's CPU for a check at pipeline %d, to that of redis_rate's script|%.2f|≤ %.2f|%s", rows[0].pipeline, cpu, backendCPUTarget, verdict(cpu <= backendCPUTarget))
	tab.print(out)
}
