package policies

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// What a check of a policy should take at most of what the inline form takes.
const (
	oneTarget   = 1.05
	threeTarget = 2.2
)

// Limits that admit all that a run asks, and of which all keys stay in use.
var limits = []string{"token_bucket 1000 1h BURST 100000000", "fixed_window 100000000 1d", "fixed_window 1000000000 month"}

// A contestant is a form of asking.
type contestant struct {
	name   string
	words  string
	to     int     // the contestant that it is compared with
	target float64 // of the ratio, at most; 0: none
	on     *harness.Process
	keys   int
	rounds bench.Rounds[round]
}

type round struct{ rate, cpu float64 } // requests/s, ns of the server's time a request

func roundRate(r round) float64 { return r.rate }
func roundCPU(r round) float64  { return r.cpu }

// measure runs all contestants in rounds that alternate.
func measure(t testing.TB, contestants []*contestant) {
	t.Helper()
	rounds, length := bench.Plan()
	requests := make([]int, len(contestants))
	for i, c := range contestants {
		requests[i] = bench.Scaled(500_000, 50) // which makes the keys, too
		requests[i] = max(requests[i], int(c.put(t, requests[i]).rate*length.Seconds()))
	}
	for range rounds {
		for i, c := range contestants {
			c.rounds = append(c.rounds, c.put(t, requests[i]))
		}
	}
}

// put has redis-benchmark ask once.
func (c *contestant) put(t testing.TB, requests int) round {
	t.Helper()
	pid := c.on.Cmd.Process.Pid
	before := bench.ProcessTime(t, pid)
	run := bench.Load{Words: strings.Fields(c.words), Keys: c.keys, Connections: bench.Connections, Pipeline: bench.Deep, Requests: requests}.Put(t, c.on)
	return round{run.PerSecond, float64(bench.ProcessTime(t, pid)-before) / float64(requests)}
}

// show prints a table of the contestants, and how they met their targets.
func show(title string, contestants []*contestant) {
	rows := bench.NewTable(title, "", "requests/s", "server CPU/request", "×", "target", "")
	for _, c := range contestants {
		times, target, verdict := c.rounds.Ratio(contestants[c.to].rounds, roundCPU), "", ""
		if c.target > 0 {
			target, verdict = fmt.Sprintf("≤ %.2f", c.target), bench.Verdict(times <= c.target)
		}
		rows.Add("%s|%.0f|%.0f ns|%.2f|%s|%s", c.name, c.rounds.Median(roundRate), c.rounds.Median(roundCPU), times, target, verdict)
	}
	rows.Print(os.Stdout)
}

// BenchmarkPolicies compares what a server's processor does for a check whose limit stands in the
// command, for one of a policy, and for a call over two keys.
func BenchmarkPolicies(b *testing.B) {
	bench.OnlyOnLinux(b)
	p := harness.StartServer(b)
	c := p.Dial()
	c.SetPolicy("one", limits[0])
	c.SetPolicy("three", limits...)
	contestants := []*contestant{
		{name: "`RL.CHECK key token_bucket …`", words: "RL.CHECK i:__rand_int__ " + limits[0]},
		{name: "`RL.CHECK key @one`", words: "RL.CHECK k:__rand_int__ @one", target: oneTarget},
		{name: "`RL.CHECK key @three`", words: "RL.CHECK k:__rand_int__ @three", target: threeTarget},
		{name: "`RL.MCHECK 2 key @one key @one`", words: "RL.MCHECK 2 k:__rand_int__ @one m:__rand_int__ @one"},
	}
	for _, c := range contestants {
		c.on, c.keys = p, bench.Scaled(bench.Keys, 20)
	}
	measure(b, contestants)
	rounds, length := bench.Plan()
	fmt.Fprintf(os.Stdout, "medians of %d rounds of about %v in turns, %d connections, pipeline %d, %d keys; × is the median of the ratios of CPU of single rounds\n",
		rounds, length.Round(time.Millisecond), bench.Connections, bench.Deep, contestants[0].keys)
	show("limits in the command, and by name", contestants)
}
