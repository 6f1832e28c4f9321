package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	result "github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/bench/chart"
	"github.com/rlserver/rlserver/bench/report"
	"github.com/rlserver/rlserver/test/harness"
)

// draw writes the charts of the document to build/bench.
func (m *matrix) draw(t testing.TB) {
	t.Helper()
	for name, drawn := range map[string]chart.SVG{
		"rate":     m.bars("Requests a second, 50 connections", report.Rate, report.Count),
		"cpu":      m.bars("Server CPU for a request, 50 connections", report.ServerCPU, report.Span),
		"schedule": report.LatencyCurve(fmt.Sprintf("Latency at %s requests/s on a schedule", report.Count(scheduleRate)), m.schedule.plainTargets()),
		"keys":     m.overKeys(),
	} {
		if err := os.WriteFile(output(t, name+".svg"), drawn.File(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// output is the path of a file for the document.
func output(t testing.TB, name string) string {
	t.Helper()
	folder := filepath.Join(harness.Repository(), "build", "bench")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

// bars draws a figure of all contestants at each pipeline.
func (m *matrix) bars(title string, figure report.Figure, text func(float64) string) chart.SVG {
	b := chart.Bars{Title: title, Text: text}
	for _, pipeline := range pipelines {
		b.Groups = append(b.Groups, fmt.Sprintf("pipeline %d", pipeline))
		for i := range m.contestants[pipeline].Targets {
			t := &m.contestants[pipeline].Targets[i]
			if len(b.Series) <= i {
				b.Series = append(b.Series, chart.BarSeries{Name: plain(t.Name), Color: i})
			}
			b.Series[i].Values = append(b.Series[i].Values, report.Median(t, figure))
		}
	}
	return b.Draw()
}

// overKeys draws the server's time for a request over the number of keys.
func (m *matrix) overKeys() chart.SVG {
	l := chart.Lines{
		Title: "Server CPU for a request, pipeline 64",
		X:     chart.Axis{Name: "keys", Scale: chart.Log, Text: report.Tick(report.Short)},
		Y:     chart.Axis{Name: "CPU/request", Text: report.Tick(report.Span)},
	}
	for i, t := range m.keys[0].targets {
		s := chart.Series{Name: plain(t.name), Color: i}
		for _, r := range m.keys {
			s.Points = append(s.Points, chart.Point{X: float64(r.keys), Y: report.Median(r.of(t), report.ServerCPU)})
		}
		l.Series = append(l.Series, s)
	}
	return l.Draw()
}

// plain is a name without the marks of Markdown.
func plain(name string) string { return strings.ReplaceAll(name, "`", "") }

func (r run) plainTargets() []result.Target {
	targets := slices.Clone(r.Targets)
	for i := range targets {
		targets[i].Name = plain(targets[i].Name)
	}
	return targets
}
