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

// A matrix is all that was measured with rlserver bench.
type matrix struct {
	contestants map[int]run // by pipeline
	connections []run       // by pipeline, then by connections
	keys        []run
	keySpaces   []run
	denied      []run
	algorithms  []run
	schedule    run
}

// The rate of the schedule, which each target can keep up with on one core.
const scheduleRate = 10_000

// measureMatrix measures all settings, in the order in which the document has them.
func measureMatrix(t testing.TB, connectionsMax, keysMax int) *matrix {
	m := &matrix{contestants: map[int]run{}}
	for _, pipeline := range pipelines {
		m.contestants[pipeline] = contestants(pipeline).measure(t)
	}
	m.schedule = openLoop(scheduleRate).measure(t)
	for _, pipeline := range pipelines {
		for _, connections := range []int{1, 500, manyConnections} {
			if s, makesSense := withConnections(connections, pipeline); makesSense && connections <= connectionsMax {
				m.connections = append(m.connections, s.measure(t))
			}
		}
	}
	for _, pipeline := range []int{bench.Single, bench.Deep} {
		m.denied = append(m.denied, denied(pipeline).measure(t))
	}
	for _, space := range []string{"hot", "zipf", "new"} {
		m.keySpaces = append(m.keySpaces, withKeySpace(space).measure(t))
	}
	for keys := usualKeys(); keys <= keysMax; keys *= 10 {
		m.keys = append(m.keys, withKeys(keys).measure(t))
	}
	for _, limit := range algorithms {
		m.algorithms = append(m.algorithms, by(limit).measure(t))
	}
	return m
}

func (m *matrix) print(out io.Writer) {
	for _, pipeline := range pipelines {
		block(out, fmt.Sprintf("pipeline-%d", pipeline), func() {
			printRun(out, fmt.Sprintf("%d connections, pipeline %d", bench.Connections, pipeline), m.contestants[pipeline])
		})
	}
	block(out, "schedule", func() {
		printRun(out, fmt.Sprintf("%s requests/s on a schedule", report.Count(scheduleRate)), m.schedule)
	})
	block(out, "connections", func() {
		printRuns(out, "few and many connections", "connections × pipeline", m.connections,
			func(r run) string { return fmt.Sprintf("%d × %d", r.connections, r.pipeline) })
	})
	block(out, "denied", func() {
		printRuns(out, "all denied", "pipeline", m.denied, func(r run) string { return fmt.Sprint(r.pipeline) })
	})
	block(out, "key-spaces", func() {
		printRuns(out, "keys that are drawn in other ways", "keys", m.keySpaces, func(r run) string { return r.keySpace })
	})
	block(out, "keys", func() {
		printRuns(out, "few and many keys", "keys", m.keys, func(r run) string { return report.Count(float64(r.keys)) })
	})
	block(out, "algorithms", func() {
		printRuns(out, "other algorithms", "algorithm", m.algorithms, func(r run) string { return "`" + r.limit[0] + "`" })
	})
	block(out, "goals", func() { printGoals(out, m.goals()) })
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
	m := measureMatrix(b, connectionsMax, keysMax)
	m.print(out)
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
