package wire

import (
	"fmt"
	"io"

	"github.com/rlserver/rlserver/test/bench"
)

// The figures of a round that tables are made of.
func perSecond(m measurement) float64   { return m.PerSecond }
func p50(m measurement) float64         { return m.P50 }
func p99(m measurement) float64         { return m.P99 }
func maxLatency(m measurement) float64  { return m.Max }
func cpuEach(m measurement) float64     { return m.cpu }
func resident(m measurement) float64    { return m.resident }
func serverCores(m measurement) float64 { return m.serverCores }
func loadCores(m measurement) float64   { return m.loadCores }
func otherCores(m measurement) float64  { return m.otherCores }

// printSetting prints all contestants at a pipeline.
func (t wireTable) printSetting(out io.Writer, pipeline int) {
	base := t.row(redisIncr, bench.Connections, pipeline)
	rows := bench.NewTable(fmt.Sprintf("%d connections, pipeline %d", bench.Connections, pipeline),
		"", "requests/s", "× "+redisIncr.name, "p50 ms", "p99 ms", "max ms", "CPU µs/request", "× "+redisIncr.name, "cores: server", "load", "others")
	for _, c := range contestants {
		r := t.row(c, bench.Connections, pipeline)
		rows.Add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.3f|%.2f|%.2f|%.2f|%.2f", c.name,
			r.rounds.Median(perSecond), r.rounds.Ratio(base.rounds, perSecond), r.rounds.Median(p50), r.rounds.Median(p99), r.rounds.Median(maxLatency),
			r.rounds.Median(cpuEach), r.rounds.Ratio(base.rounds, cpuEach), r.rounds.Median(serverCores), r.rounds.Median(loadCores), r.rounds.Median(otherCores))
	}
	for _, pair := range [][2]*contestant{{rlCheck, rlPing}, {redisIncr, redisPing}} {
		over, under := t.row(pair[0], bench.Connections, pipeline), t.row(pair[1], bench.Connections, pipeline)
		rows.Add("%s more than PING|||||||%+.3f|||", pair[0].name, over.rounds.Median(cpuEach)-under.rounds.Median(cpuEach))
	}
	rows.Print(out)
}

// printConnections prints how few and many connections fare.
func (t wireTable) printConnections(out io.Writer) {
	rows := bench.NewTable("by connections", "", "connections", "pipeline", "requests/s", "× "+redisIncr.name, "p50 ms", "p99 ms", "peak RSS MB", "cores: others")
	for _, pipeline := range []int{bench.Single, bench.Deep} {
		for _, connections := range []int{1, bench.Connections, 500, manyConnections} {
			base := t.row(redisIncr, connections, pipeline)
			if base == nil {
				continue
			}
			for _, c := range []*contestant{rlCheck, redisIncr} {
				r := t.row(c, connections, pipeline)
				rows.Add("%s|%d|%d|%.0f|%.2f|%.2f|%.2f|%.1f|%.2f", c.name, connections, pipeline, r.rounds.Median(perSecond),
					r.rounds.Ratio(base.rounds, perSecond), r.rounds.Median(p50), r.rounds.Median(p99), r.rounds.Median(resident), r.rounds.Median(otherCores))
			}
		}
	}
	rows.Print(out)
}

// printTargets prints each target, what was measured, and whether it was met.
func (t wireTable) printTargets(out io.Writer) {
	rows := bench.NewTable("targets", "", "measured", "target", "")
	most := func(what string, pipeline int, figure func(measurement) float64, target float64) {
		got := t.row(rlCheck, bench.Connections, pipeline).rounds.Ratio(t.row(redisIncr, bench.Connections, pipeline).rounds, figure)
		rows.Add("%s at pipeline %d, to that of %s|%.2f|≤ %.2f|%s", what, pipeline, redisIncr.name, got, target, bench.Verdict(got <= target))
	}
	most("RL.CHECK's CPU time", bench.Deep, cpuEach, wireCPUDeepTarget)
	most("RL.CHECK's CPU time", bench.Single, cpuEach, wireCPUSingleTarget)
	got := t.row(rlCheck, bench.Connections, bench.Deep).rounds.Ratio(t.row(redisEvalsha, bench.Connections, bench.Deep).rounds, perSecond)
	rows.Add("RL.CHECK's throughput at pipeline %d, to that of %s|%.2f|≥ %.2f|%s", bench.Deep, redisEvalsha.name, got, wireRateTarget, bench.Verdict(got >= wireRateTarget))
	most("RL.CHECK's p99", bench.Deep, p99, wireP99Target)
	rows.Print(out)
}
