package wire

import (
	"fmt"
	"io"
	"strings"

	result "github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/bench/report"
	"github.com/rlserver/rlserver/test/bench"
)

// block prints a part of the document between lines that name it.
func block(out io.Writer, name string, print func()) {
	fmt.Fprintf(out, "\n<!-- begin %s -->\n", name)
	print()
	fmt.Fprintf(out, "\n<!-- end %s -->\n", name)
}

// command prints what gives the figures of a run.
func command(out io.Writer, r run) {
	fmt.Fprintf(out, "\n```sh\n%s\n```\n", strings.Join(r.Command, " "))
}

// columns are those that every table of runs has; figures are the cells below them.
var columns = []string{"requests/s", "×", "p50", "p99", "p99.9", "CPU/request", "×", "server cores", "client cores"}

func figures(t, to *result.Target) string {
	return strings.Join([]string{
		report.Count(report.Median(t, report.Rate)), report.Times(report.Ratio(t, to, report.Rate)),
		report.Span(report.Median(t, report.P50)), report.Span(report.Median(t, report.P99)), report.Span(report.Median(t, report.P999)),
		report.Span(report.Median(t, report.ServerCPU)), report.Times(report.Ratio(t, to, report.ServerCPU)),
		report.Times(report.Median(t, report.ServerBusy)), report.Times(report.Median(t, report.ClientBusy)),
	}, "|")
}

// printRun prints all targets of a run, with the command that gives it.
func printRun(out io.Writer, title string, r run) {
	rows := bench.NewTable(title, append([]string{""}, columns...)...)
	for i := range r.Targets {
		rows.Add("%s|%s", r.Targets[i].Name, figures(&r.Targets[i], &r.Targets[0]))
	}
	rows.Print(out)
	command(out, r)
}

// printRuns prints the targets of several runs that differ in one thing, and the command of the last.
func printRuns(out io.Writer, differs string, runs []run, what func(run) string) {
	rows := bench.NewTable("", append([]string{differs, ""}, columns...)...)
	for _, r := range runs {
		for i := range r.Targets {
			rows.Add("%s|%s|%s", what(r), r.Targets[i].Name, figures(&r.Targets[i], &r.Targets[0]))
		}
	}
	rows.Print(out)
	command(out, runs[len(runs)-1])
}

// A goal is one that a server is to be looked at when it misses it.
type goal struct {
	text   string
	got    float64
	wanted float64
	least  bool // and not at most
}

// printGoals prints each goal, what was measured, and whether it was met.
func printGoals(out io.Writer, goals []goal) {
	rows := bench.NewTable("", "goal", "measured", "")
	for _, g := range goals {
		bound, met := "at most", g.got <= g.wanted
		if g.least {
			bound, met = "at least", g.got >= g.wanted
		}
		rows.Add("%s: %s %.2f|%.2f|%s", g.text, bound, g.wanted, g.got, bench.Verdict(met))
	}
	rows.Print(out)
}

// goals are those of the wire.
func (m *matrix) goals() []goal {
	deep, single := m.contestants[bench.Deep], m.contestants[bench.Single]
	ratio := func(r run, a, b target, f report.Figure) float64 { return report.Ratio(r.of(a), r.of(b), f) }
	goals := []goal{
		{"CPU at pipeline 64, to that of `INCR`", ratio(deep, rlCheck, redisIncr, report.ServerCPU), 0.45, false},
		{"CPU at pipeline 1, to that of `INCR`", ratio(single, rlCheck, redisIncr, report.ServerCPU), 0.95, false},
		{"requests/s at pipeline 64, to those of `EVALSHA`", ratio(deep, rlCheck, redisScript, report.Rate), 10, true},
		{"p99 at pipeline 64, to that of `INCR`", ratio(deep, rlCheck, redisIncr, report.P99), 1, false},
	}
	for _, r := range m.connections {
		if r.connections == 500 && r.pipeline == bench.Single {
			goals = append(goals, goal{"p99 of 500 connections at pipeline 1, to that of `INCR`", ratio(r, rlCheck, redisIncr, report.P99), 1, false})
		}
	}
	few, many := m.keys[0].of(rlCheck), m.keys[len(m.keys)-1].of(rlCheck)
	return append(goals, goal{
		fmt.Sprintf("CPU with %s keys, to that with %s", report.Count(float64(m.keys[len(m.keys)-1].keys)), report.Count(float64(m.keys[0].keys))),
		report.Median(many, report.ServerCPU) / report.Median(few, report.ServerCPU), 1.15, false,
	})
}
