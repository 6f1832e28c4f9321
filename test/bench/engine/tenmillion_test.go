package engine_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
)

// latencyTarget is what 99.9 of 100 checks have to stay below, from call to return.
const latencyTarget = time.Millisecond

// BenchmarkTenMillion prints how long checks take while ten million keys come in and once they
// are there, under a load that comes on a schedule whether or not the store keeps up.
func BenchmarkTenMillion(t *testing.B) {
	bench.OnlyOnLinux(t)
	j := &loadJob{
		Keys:          scaled(10_000_000, 50),
		InsertsPerSec: 250_000,
		ChecksPerSec:  200_000,
		GarbagePerSec: 20_000,
		Steady:        time.Duration(scaled(60, 20)) * time.Second,
		Harness:       time.Duration(scaled(10, 10)) * time.Second,
	}
	phases := inChild[[]phaseResult](t, job{Load: j})
	single := spanTable("one call, from just before to just after; reading the clock is in it")
	scheduled := spanTable("one call, from the instant at which it was due; waking up is in it")
	gc := bench.NewTable("garbage collection", "", "cycles", "share of all CPU time", "share of what was used", "longest pause below, µs")
	targets := bench.NewTable("target: p99.9 of one call, from just before to just after: µs", "", "measured", "target", "")
	for _, p := range phases {
		for k := range p.Single {
			addSpan(single, p.Single[k])
			addSpan(scheduled, p.Scheduled[k])
		}
		gc.Add("%s|%d|%.2f %%|%.2f %%|%s", p.Single[0].Name, p.GC.Cycles, 100*p.GC.OfAll, 100*p.GC.OfUsed, micros(p.GC.Longest))
	}
	for _, p := range phases[1 : len(phases)-1] { // before and after, the harness is alone
		for _, s := range p.Single {
			targets.Add("%s|%s|< %v|%s", s.Name, micros(s.P999), latencyTarget, bench.Verdict(s.P999 < latencyTarget))
		}
	}
	fmt.Fprintf(os.Stdout, "%d keys, growing by %d/s; %d checks/s; garbage when steady %.0f MB/s; GOGC=%d\n",
		j.Keys, j.InsertsPerSec, j.ChecksPerSec, float64(j.GarbagePerSec)*garbageBytes/1e6, gcPercent)
	for _, rows := range []*bench.Table{single, scheduled, gc, targets} {
		rows.Print(os.Stdout)
	}
}

func spanTable(title string) *bench.Table {
	return bench.NewTable(title+": µs", "", "calls/s", "p50", "p99", "p99.9", "max")
}

func addSpan(t *bench.Table, s span) {
	t.Add("%s|%.0f|%s|%s|%s|%s", s.Name, s.PerSec, micros(s.P50), micros(s.P99), micros(s.P999), micros(s.Max))
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond)) }
