package test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// values are one figure of a row's rounds.
func (r *wireRow) values(figure func(measurement) float64) []float64 {
	values := make([]float64, len(r.rounds))
	for i, m := range r.rounds {
		values[i] = figure(m)
	}
	return values
}

// median is the median of a figure.
func (r *wireRow) median(figure func(measurement) float64) float64 {
	return median(r.values(figure))
}

// ratio is the median of this row's rounds divided by another's of the same time. The
// machine changes more from round to round than within one, so this says more than a ratio
// of medians.
func (r *wireRow) ratio(to *wireRow, figure func(measurement) float64) float64 {
	ratios := r.values(figure)
	for i, value := range to.values(figure) {
		ratios[i] /= value
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// The figures of a round that tables are made of.
func perSecond(m measurement) float64   { return m.perSecond }
func p50(m measurement) float64         { return m.p50 }
func p99(m measurement) float64         { return m.p99 }
func maxLatency(m measurement) float64  { return m.max }
func cpuEach(m measurement) float64     { return m.cpu }
func resident(m measurement) float64    { return m.resident }
func serverCores(m measurement) float64 { return m.serverCores }
func loadCores(m measurement) float64   { return m.loadCores }
func otherCores(m measurement) float64  { return m.otherCores }

// printSetting prints all contestants at a pipeline.
func (t wireTable) printSetting(out io.Writer, pipeline int) {
	base := t.row(redisIncr, wireConnections, pipeline)
	rows := newTable(fmt.Sprintf("%d connections, pipeline %d", wireConnections, pipeline),
		"", "requests/s", "× "+redisIncr.name, "p50 ms", "p99 ms", "max ms", "CPU µs/request", "× "+redisIncr.name, "cores: server", "load", "others")
	for _, c := range contestants {
		r := t.row(c, wireConnections, pipeline)
		rows.add("%s|%.0f|%.2f|%.2f|%.2f|%.2f|%.3f|%.2f|%.2f|%.2f|%.2f", c.name,
			r.median(perSecond), r.ratio(base, perSecond), r.median(p50), r.median(p99), r.median(maxLatency),
			r.median(cpuEach), r.ratio(base, cpuEach), r.median(serverCores), r.median(loadCores), r.median(otherCores))
	}
	for _, pair := range [][2]*contestant{{rlCheck, rlPing}, {redisIncr, redisPing}} {
		over, under := t.row(pair[0], wireConnections, pipeline), t.row(pair[1], wireConnections, pipeline)
		rows.add("%s more than PING|||||||%+.3f|||", pair[0].name, over.median(cpuEach)-under.median(cpuEach))
	}
	rows.print(out)
}

// printConnections prints how few and many connections fare.
func (t wireTable) printConnections(out io.Writer) {
	rows := newTable("by connections", "", "connections", "pipeline", "requests/s", "× "+redisIncr.name, "p50 ms", "p99 ms", "peak RSS MB", "cores: others")
	for _, pipeline := range []int{wireSingle, wireDeep} {
		for _, connections := range []int{1, wireConnections, 500, manyConnections} {
			base := t.row(redisIncr, connections, pipeline)
			if base == nil {
				continue
			}
			for _, c := range []*contestant{rlCheck, redisIncr} {
				r := t.row(c, connections, pipeline)
				rows.add("%s|%d|%d|%.0f|%.2f|%.2f|%.2f|%.1f|%.2f", c.name, connections, pipeline, r.median(perSecond),
					r.ratio(base, perSecond), r.median(p50), r.median(p99), r.median(resident), r.median(otherCores))
			}
		}
	}
	rows.print(out)
}

// printTargets prints each target, what was measured, and whether it was met.
func (t wireTable) printTargets(out io.Writer) {
	rows := newTable("targets", "", "measured", "target", "")
	most := func(what string, pipeline int, figure func(measurement) float64, target float64) {
		got := t.row(rlCheck, wireConnections, pipeline).ratio(t.row(redisIncr, wireConnections, pipeline), figure)
		rows.add("%s at pipeline %d, to that of %s|%.2f|≤ %.2f|%s", what, pipeline, redisIncr.name, got, target, verdict(got <= target))
	}
	most("RL.CHECK's CPU time", wireDeep, cpuEach, wireCPUDeepTarget)
	most("RL.CHECK's CPU time", wireSingle, cpuEach, wireCPUSingleTarget)
	got := t.row(rlCheck, wireConnections, wireDeep).ratio(t.row(redisEvalsha, wireConnections, wireDeep), perSecond)
	rows.add("RL.CHECK's throughput at pipeline %d, to that of %s|%.2f|≥ %.2f|%s", wireDeep, redisEvalsha.name, got, wireRateTarget, verdict(got >= wireRateTarget))
	most("RL.CHECK's p99", wireDeep, p99, wireP99Target)
	rows.print(out)
}

// verdict says whether a target was met.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

// A table is printed with its columns aligned.
type table struct {
	title string
	rows  [][]string
}

func newTable(title string, columns ...string) *table {
	return &table{title, [][]string{columns}}
}

// add adds a row: a format for all of its cells, with bars between them.
func (t *table) add(format string, args ...any) {
	t.rows = append(t.rows, strings.Split(fmt.Sprintf(format, args...), "|"))
}

// print writes the table: the first column flush left, the others flush right.
func (t *table) print(out io.Writer) {
	wide := 0
	for _, row := range t.rows {
		wide = max(wide, len([]rune(row[0])))
	}
	fmt.Fprintf(out, "\n%s\n", t.title)
	aligned := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	for _, row := range t.rows {
		first := row[0] + strings.Repeat(" ", wide-len([]rune(row[0])))
		fmt.Fprintln(aligned, strings.Join(append([]string{"  " + first}, row[1:]...), "\t")+"\t")
	}
	_ = aligned.Flush()
}
