package wire

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// growthTarget is the CPU time of a request with the most keys to that with the fewest, at most.
const growthTarget = 1.15

// printKeys measures what a request costs a server that keeps more and more keys. The servers live
// side by side, and one at a time is asked.
func printKeys(t testing.TB, rounds int, length time.Duration) {
	t.Helper()
	type keyRow struct {
		keys, pipeline int
		process        *harness.Process
		load           bench.Load
		rounds         bench.Rounds[measurement]
	}
	sizes, pipelines := []int{100_000, 1_000_000, 3_000_000, 10_000_000}, []int{bench.Deep, bench.Single}
	var list []*keyRow
	for _, keys := range sizes {
		if testing.Short() {
			keys /= 100
		}
		p := rlCheck.launch(t)
		defer func() { _ = p.Stop(syscall.SIGTERM) }()
		fillKeys(p.Dial(), keys)
		words := []string{"RL.CHECK", "key:__rand_int__", "token_bucket", "100", "1d"}
		for _, pipeline := range pipelines {
			r := &keyRow{keys: keys, pipeline: pipeline, process: p, load: bench.Load{
				Words: words, Keys: keys, Connections: bench.Connections, Pipeline: pipeline, Requests: 5 * bench.Connections * pipeline,
			}}
			r.load.Requests = max(r.load.Requests, int(measure(t, p, r.load).PerSecond*length.Seconds()))
			list = append(list, r)
		}
	}
	for range rounds {
		for _, r := range list {
			r.rounds = append(r.rounds, measure(t, r.process, r.load))
		}
	}
	rows := bench.NewTable(fmt.Sprintf("RL.CHECK by keys, %d connections; × is to the fewest keys", bench.Connections),
		"keys", "pipeline", "requests/s", "CPU µs/request", "×", "target", "")
	for i, r := range list {
		grown := r.rounds.Ratio(list[i%len(pipelines)].rounds, cpuEach)
		rows.Add("%d|%d|%.0f|%.3f|%.2f|≤ %.2f|%s", r.keys, r.pipeline, r.rounds.Median(perSecond), r.rounds.Median(cpuEach), grown,
			growthTarget, bench.Verdict(grown <= growthTarget))
	}
	rows.Print(os.Stdout)
}
