package backend

import (
	"fmt"
	"os"
	"testing"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// publishedConnections is how many callers a well-known Python library's figures are of.
const publishedConnections = 250

// BenchmarkRedisPublished prints what that library reports of decisions in Redis, measured on a
// machine of its own, and beside it the same algorithms through rlserver and by EVALSHA straight.
func BenchmarkRedisPublished(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	r := harness.StartRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "5s")
	published := []struct {
		algorithm        string
		p50, p99, perSec float64 // ms, ms, calls a second
	}{{"sliding_window_log", 13.75, 23.24, 7495}, {"leaky_bucket", 12.17, 21.65, 7544}}
	var rows []*backendRow
	for _, a := range published {
		words := []string{"RL.CHECK", a.algorithm + ":__rand_int__", a.algorithm, "100", "60"}
		for _, w := range []way{
			{name: a.algorithm + " through rlserver", p: p, words: words},
			{name: "the same EVALSHA straight", p: r, words: straight(t, p, r, words)},
		} {
			w.keys = bench.Keys
			rows = append(rows, newRow(t, p, r, backendRow{way: w, connections: publishedConnections, pipeline: bench.Single}, length))
		}
	}
	for range rounds {
		for _, row := range rows {
			row.rounds = append(row.rounds, row.measure(t, p, r))
		}
	}
	mustCount(t, p)
	tab := bench.NewTable(fmt.Sprintf("through Redis, %d concurrent callers, %d keys, 100 a minute; medians of %d rounds", publishedConnections, bench.Keys, rounds),
		"", "p50 ms", "p99 ms", "checks/s", "Redis CPU µs", "rlserver CPU µs")
	for i, row := range rows {
		tab.Add("%s|%.2f|%.2f|%.0f|%.1f|%.1f", row.name, row.rounds.Median(func(m backendRound) float64 { return m.P50 }),
			row.rounds.Median(func(m backendRound) float64 { return m.P99 }), row.rounds.Median(backendRate),
			row.rounds.Median(backendRedisCPU), row.rounds.Median(func(m backendRound) float64 { return m.serverCPU }))
		if i%2 == 1 {
			a := published[i/2]
			tab.Add("a Python library's, as published|%.2f|%.2f|%.0f||", a.p50, a.p99, a.perSec)
		}
	}
	tab.Print(os.Stdout)
}

// mustCount fails if Redis did not decide all that rlserver was asked.
func mustCount(t testing.TB, p *harness.Process) {
	t.Helper()
	if degraded := harness.InfoNumbers(t, p.Client())["degraded_answers"]; degraded != 0 {
		t.Errorf("%d answers were degraded", degraded)
	}
}
