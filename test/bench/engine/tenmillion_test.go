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
		Keys:          bench.Scaled(10_000_000, 50),
		InsertsPerSec: 250_000,
		ChecksPerSec:  200_000,
		GarbagePerSec: 20_000,
		Steady:        time.Duration(bench.Scaled(60, 60)) * time.Second,
		Harness:       time.Duration(bench.Scaled(10, 10)) * time.Second,
	}
	phases := bench.InChild[[][]span](t, job{Load: j})
	single := bench.NewTable("one call, from just before to just after: µs", "", "calls/s", "p50", "p99", "p99.9", "max")
	targets := bench.NewTable("target: p99.9 of one call: µs", "", "measured", "target", "")
	for i, phase := range phases {
		for _, s := range phase {
			single.Add("%s|%.0f|%s|%s|%s|%s", s.Name, s.PerSec, micros(s.P50), micros(s.P99), micros(s.P999), micros(s.Max))
			if i > 0 && i < len(phases)-1 { // before and after, the harness is alone
				targets.Add("%s|%s|< %v|%s", s.Name, micros(s.P999), latencyTarget, bench.Verdict(s.P999 < latencyTarget))
			}
		}
	}
	fmt.Fprintf(os.Stdout, "\n%d keys, growing by %d/s; %d checks/s; garbage when steady %.0f MB/s; GOGC=%d\n",
		j.Keys, j.InsertsPerSec, j.ChecksPerSec, float64(j.GarbagePerSec)*garbageBytes/1e6, gcPercent)
	single.Print(os.Stdout)
	targets.Print(os.Stdout)
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond)) }
