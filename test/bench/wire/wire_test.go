package wire

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/rlserver/rlserver/bench/report"
	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness/race"
)

// A matrix is what charts and goals are made of.
type matrix struct {
	contestants map[int]run // by pipeline
	connections []run       // by pipeline, then by connections
	keys        []run
	schedule    run
}

// The rate of the schedule, which each target can keep up with on one core.
const scheduleRate = 10_000

// measureMatrix measures all settings, and prints what they gave as soon as it is there.
func measureMatrix(t testing.TB, out io.Writer, connectionsMax, keysMax int) *matrix {
	m := &matrix{contestants: map[int]run{}}
	for _, pipeline := range pipelines {
		m.contestants[pipeline] = contestants(pipeline).measure(t)
		block(out, fmt.Sprintf("pipeline-%d", pipeline), func() {
			printRun(out, fmt.Sprintf("%d connections, pipeline %d", bench.Connections, pipeline), m.contestants[pipeline])
		})
	}
	m.schedule = openLoop(scheduleRate).measure(t)
	block(out, "schedule", func() {
		printRun(out, fmt.Sprintf("%s requests/s on a schedule", report.Count(scheduleRate)), m.schedule)
	})
	for _, pipeline := range pipelines {
		for _, connections := range []int{1, 500, manyConnections} {
			if s, makesSense := withConnections(connections, pipeline); makesSense && connections <= connectionsMax {
				m.connections = append(m.connections, s.measure(t))
			}
		}
	}
	block(out, "connections", func() {
		printRuns(out, "connections × pipeline", m.connections, func(r run) string { return fmt.Sprintf("%d × %d", r.connections, r.pipeline) })
	})
	var denied, spaces, others []run
	for _, pipeline := range []int{bench.Single, bench.Deep} {
		denied = append(denied, limiters(pipeline).by(tight).measure(t))
	}
	block(out, "denied", func() { printRuns(out, "pipeline", denied, func(r run) string { return fmt.Sprint(r.pipeline) }) })
	for _, space := range []string{"hot", "zipf", "new"} {
		spaces = append(spaces, withKeySpace(space).measure(t))
	}
	block(out, "key-spaces", func() { printRuns(out, "keys", spaces, func(r run) string { return r.keySpace }) })
	for keys := usualKeys(); keys <= keysMax; keys *= 10 {
		m.keys = append(m.keys, withKeys(keys).measure(t))
	}
	block(out, "keys", func() { printRuns(out, "keys", m.keys, func(r run) string { return report.Count(float64(r.keys)) }) })
	for _, limit := range algorithms {
		others = append(others, limiters(bench.Deep).by(limit).measure(t))
	}
	block(out, "algorithms", func() { printRuns(out, "algorithm", others, func(r run) string { return "`" + r.limit[0] + "`" }) })
	block(out, "goals", func() { printGoals(out, m.goals()) })
	return m
}

// BenchmarkWire compares rlserver with a real Redis.
func BenchmarkWire(b *testing.B) {
	if race.Enabled || testing.Short() {
		b.Log("with -race or -short this shows only that it runs: the figures mean nothing")
	}
	bench.OnlyOnLinux(b)
	connectionsMax, keysMax := manyConnections, 10_000_000
	if testing.Short() {
		connectionsMax, keysMax = 500, usualKeys()
	}
	if err := bench.AllowOpenFiles(uint64(connectionsMax) + 200); err != nil {
		b.Logf("no more than 500 connections are measured: %v", err)
		connectionsMax = 500
	}
	out := os.Stdout
	m := measureMatrix(b, out, connectionsMax, keysMax)
	m.draw(b)
	photograph(b)
	block(out, "ceiling", func() { printCeiling(b, out) })
	block(out, "idle", func() { printIdle(b, out, connectionsMax) })
	block(out, "memory", func() { printMemory(b, out) })
	block(out, "machine", func() {
		r := m.contestants[bench.Deep]
		fmt.Fprintf(out, "\n%s: %s, %d cores, %s of memory, %s. rlserver %s, %s.\n", r.Started.Format("2006-01-02"), r.Machine.Processor, r.Machine.Cores,
			report.Size(float64(r.Machine.MemoryBytes)), r.Machine.System, r.Version, r.of(redisIncr).Server)
	})
}
