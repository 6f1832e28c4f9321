package wire

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
	"github.com/rlserver/rlserver/test/harness/race"
)

// A measurement is what one round of one row found.
type measurement struct {
	bench.Report
	cpu      float64 // µs of the server's CPU time for a request
	resident float64 // MB of the server's memory, at the most it had while it was asked

	// Cores that were busy on average: with the server, with redis-benchmark, and with all
	// else on this machine. When redis-benchmark has a whole core, it is what limits the
	// throughput; when others have much of one, the round says little.
	serverCores, loadCores, otherCores float64
}

// measure runs the row once.
func (r *wireRow) measure(t testing.TB) (m measurement) {
	t.Helper()
	r.with(t, func(p *harness.Process, words []string) { m = measure(t, p, r.load(words)) })
	return m
}

// measure loads a server.
func measure(t testing.TB, p *harness.Process, load bench.Load) measurement {
	t.Helper()
	pid := p.Cmd.Process.Pid
	bench.ForgetPeak(t, pid)
	machine, begin, server := bench.MachineTime(t), time.Now(), bench.ProcessTime(t, pid)
	run := load.Put(t, p)
	server = bench.ProcessTime(t, pid) - server
	elapsed := time.Since(begin)
	machine = bench.MachineTime(t) - machine
	m := measurement{
		Report:   run.Report,
		cpu:      float64(server) / float64(time.Microsecond) / float64(load.Requests),
		resident: float64(harness.MemoryLine(t, pid, "status", "VmHWM")) / 1e6,
	}
	// What took the CPU is related to the time of the requests, which redis-benchmark
	// has from its rate; before it, redis-benchmark opens connections and sleeps.
	asking := float64(load.Requests) / m.PerSecond
	m.serverCores = server.Seconds() / asking
	m.loadCores = run.CPU.Seconds() / asking
	m.otherCores = max(0, (machine-server-run.CPU).Seconds()/elapsed.Seconds())
	return m
}

// Targets. A server that misses one is to be looked at.
const (
	wireCPUDeepTarget   = 0.6  // of Redis INCR's CPU time for a request, at most, at pipeline 64
	wireCPUSingleTarget = 1.1  // the same at pipeline 1
	wireRateTarget      = 10.0 // times EVALSHA's requests/s, at least, at pipeline 64
	wireP99Target       = 1.0  // of Redis INCR's p99, at most, at pipeline 64
)

// manyConnections is for what costs something for each connection.
const manyConnections = 5000

// BenchmarkWireCompare compares rlserver with a real Redis, in one run on one machine: rounds
// that alternate, so that a slow minute hits all, and medians and ratios of them.
func BenchmarkWireCompare(t *testing.B) {
	if race.Enabled || testing.Short() {
		t.Log("with -race or -short this shows only that it runs: the figures mean nothing")
	}
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	largest := manyConnections
	if err := bench.AllowOpenFiles(manyConnections + 200); err != nil {
		t.Logf("no more than 500 connections are measured: %v", err)
		largest = 500
	}
	rows := wireRows(largest)
	for _, r := range rows {
		r.size(t, length)
	}
	for range rounds {
		for _, r := range rows {
			r.round(t)
		}
	}
	out := os.Stdout
	fmt.Fprintf(out, "medians of %d rounds of about %v each; × is the median of the ratios of single rounds\n", rounds, length)
	rows.printSetting(out, bench.Deep)
	rows.printSetting(out, bench.Single)
	rows.printConnections(out)
	if largest == manyConnections {
		printIdle(t)
	}
	printKeys(t, rounds, length)
	printMemory(t)
	rows.printTargets(out)
}

// A wireRow is one contestant in one setting, and what each round measured.
type wireRow struct {
	*contestant
	connections, pipeline int
	requests              int // of one round
	rounds                bench.Rounds[measurement]
}

type wireTable []*wireRow

// wireRows are the rows of all tables. Rows that are compared stand next to each other, for
// their rounds to be close in time.
func wireRows(largest int) wireTable {
	var rows wireTable
	for _, pipeline := range []int{bench.Deep, bench.Single} {
		for _, c := range contestants {
			rows = append(rows, &wireRow{contestant: c, connections: bench.Connections, pipeline: pipeline})
		}
		for _, connections := range []int{1, 500, manyConnections} {
			// At 5,000 connections and pipeline 64, 320,000 requests wait at any time: that
			// measures the length of the queue, and nothing of the server.
			if connections > largest || connections*pipeline > 100_000 {
				continue
			}
			for _, c := range []*contestant{rlCheck, redisIncr} {
				rows = append(rows, &wireRow{contestant: c, connections: connections, pipeline: pipeline})
			}
		}
	}
	return rows
}

// row is the contestant's row in a setting, or nil.
func (t wireTable) row(c *contestant, connections, pipeline int) *wireRow {
	i := slices.IndexFunc(t, func(r *wireRow) bool {
		return r.contestant == c && r.connections == connections && r.pipeline == pipeline
	})
	if i < 0 {
		return nil
	}
	return t[i]
}

// size finds out how many requests take about that long.
func (r *wireRow) size(t testing.TB, length time.Duration) {
	t.Helper()
	r.requests = max(2000, 5*r.connections*r.pipeline)
	first := r.measure(t)
	r.requests = max(r.requests, int(first.PerSecond*length.Seconds()))
}

// load is one round of the row.
func (r *wireRow) load(words []string) bench.Load {
	return bench.Load{Words: words, Keys: bench.Keys, Connections: r.connections, Pipeline: r.pipeline, Requests: r.requests}
}

// round measures once.
func (r *wireRow) round(t testing.TB) {
	t.Helper()
	r.rounds = append(r.rounds, r.measure(t))
}
