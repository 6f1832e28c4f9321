package report

import (
	"math"
	"slices"
	"time"

	"github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/bench/chart"
)

// charts are those of a report, in the order of a page.
func charts(r *bench.Report) []chart.SVG {
	all := []chart.SVG{
		bars("Requests a second", r, Rate, Count),
		bars("Server CPU for a request", r, ServerCPU, Span),
		LatencyCurve("Latency by percentile", r.Targets),
		overTime("Latency over time", r, chart.Axis{Name: "p99; dotted: p50", Scale: chart.Log, Text: Tick(Span)},
			func(p bench.Point) float64 { return float64(p.P99) }, func(p bench.Point) float64 { return float64(p.P50) }),
		overTime("Requests a second over time", r, chart.Axis{Name: "requests/s", Text: Tick(Short)},
			perSecond(func(p bench.Point) int64 { return p.Requests })),
	}
	if slices.ContainsFunc(r.Targets, func(t bench.Target) bool { return !math.IsNaN(Median(&t, Denied)) }) {
		all = append(all, overTime("Allowed and denied over time", r, chart.Axis{Name: "allowed/s; dotted: denied/s", Text: Tick(Short)},
			decidedPerSecond(func(p bench.Point) int64 { return p.Allowed }), decidedPerSecond(func(p bench.Point) int64 { return p.Denied })))
	}
	return all
}

// LatencyCurve draws the latencies of targets by percentile: the further to the right, the rarer.
func LatencyCurve(title string, targets []bench.Target) chart.SVG {
	lines := chart.Lines{
		Title: title,
		X:     chart.Axis{Name: "percentile", Scale: chart.Nines, Text: percent},
		Y:     chart.Axis{Name: "latency", Scale: chart.Log, Text: Tick(Span)},
	}
	for i := range targets {
		lines.Series = append(lines.Series, chart.Series{Name: targets[i].Name, Color: i, Points: curve(&targets[i])})
	}
	return lines.Draw()
}

// curve is the median of the rounds' curves, at the shares of the first of them.
func curve(t *bench.Target) (points []chart.Point) {
	if len(t.Rounds) == 0 {
		return nil
	}
	for _, q := range t.Rounds[0].Latency.Curve {
		at := Median(t, func(r *bench.Round) float64 {
			i := slices.IndexFunc(r.Latency.Curve, func(other bench.Quantile) bool { return other.Share >= q.Share })
			if i < 0 {
				return math.NaN()
			}
			return float64(r.Latency.Curve[i].At)
		})
		points = append(points, chart.Point{X: q.Share, Y: at})
	}
	return points
}

// bars draws one bar for each target.
func bars(title string, r *bench.Report, figure Figure, text func(float64) string) chart.SVG {
	b := chart.Bars{Title: title, Text: text}
	for i := range r.Targets {
		b.Series = append(b.Series, chart.BarSeries{Name: r.Targets[i].Name, Color: i, Values: []float64{Median(&r.Targets[i], figure)}})
	}
	return b.Draw()
}

func perSecond(count func(bench.Point) int64) func(bench.Point) float64 {
	return func(p bench.Point) float64 { return each(float64(count(p)), p.Span.Seconds()) }
}

// decidedPerSecond knows nothing of a target that decides nothing.
func decidedPerSecond(count func(bench.Point) int64) func(bench.Point) float64 {
	return func(p bench.Point) float64 {
		if p.Allowed+p.Denied == 0 && p.Requests > 0 {
			return math.NaN()
		}
		return perSecond(count)(p)
	}
}

// A chart over time shows at most pointsMax points of a target, of pointMin each if a round has several
// of them: in less, few of the batches of a deep pipeline come back, and the line would show only that.
const (
	pointsMax = 80
	pointMin  = 100 * time.Millisecond
)

// neighbours is how many points of the series of a target are joined to one.
func neighbours(t *bench.Target) int {
	points, span := 0, pointMin
	for _, round := range t.Rounds {
		points += len(round.Series)
		if len(round.Series) > 0 {
			span = max(time.Nanosecond, round.Series[0].Span)
		}
	}
	return max((points+pointsMax-1)/pointsMax, int(pointMin/span))
}

// joined is a series in which so many neighbours are joined to one point: counts are added, p50 is
// averaged, and of p99 and the maximum the worst stays.
func joined(series []bench.Point, neighbours int) []bench.Point {
	if neighbours <= 1 {
		return series
	}
	var all []bench.Point
	for group := range slices.Chunk(series, neighbours) {
		one := bench.Point{At: group[0].At}
		var weighted float64
		for _, p := range group {
			one.Span, one.Requests, one.Allowed, one.Denied = one.Span+p.Span, one.Requests+p.Requests, one.Allowed+p.Allowed, one.Denied+p.Denied
			one.P99, one.Max = max(one.P99, p.P99), max(one.Max, p.Max)
			weighted += float64(p.P50) * float64(p.Requests)
		}
		one.P50 = time.Duration(weighted / float64(max(1, one.Requests)))
		all = append(all, one)
	}
	// The end of a round may be so short that its rate says nothing.
	if n := len(all); n > 1 && all[n-1].Span < all[0].Span/2 {
		all = append(all[:n-2], joined(all[n-2:], 2)...)
	}
	return all
}

// overTime draws lines over the time that each target was measured, round after round. Between two
// rounds, when other targets had their turn, the line is broken. A target has a line of each value;
// all but the first are dashed.
func overTime(title string, r *bench.Report, y chart.Axis, values ...func(bench.Point) float64) chart.SVG {
	lines := chart.Lines{
		Title: title, Y: y,
		X: chart.Axis{Name: "time of its rounds, one after the other", Text: func(s float64) string { return Tick(Span)(s * 1e9) }},
	}
	for i, t := range r.Targets {
		for place, value := range values {
			s := chart.Series{Name: t.Name, Color: i, Dashed: place > 0}
			some, start := false, 0.0
			for _, round := range t.Rounds {
				for _, p := range joined(round.Series, neighbours(&t)) {
					at := chart.Point{X: start + (p.At + p.Span/2).Seconds(), Y: value(p)}
					some = some || !math.IsNaN(at.Y)
					s.Points = append(s.Points, at)
				}
				start += round.Took.Seconds()
				s.Points = append(s.Points, chart.Point{X: start, Y: math.NaN()})
			}
			if some {
				lines.Series = append(lines.Series, s)
			}
		}
	}
	return lines.Draw()
}

// curveTable is the chart of latencies as a table, at the percentiles that people ask for.
func curveTable(r *bench.Report) table {
	shares := []float64{0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999}
	t := table{Columns: []string{"percentile"}}
	for _, target := range r.Targets {
		t.Columns = append(t.Columns, target.Name)
	}
	for _, share := range shares {
		row := []string{percent(share)}
		some := false
		for i := range r.Targets {
			points := curve(&r.Targets[i])
			at := math.NaN()
			if j := slices.IndexFunc(points, func(p chart.Point) bool { return p.X >= share-1e-12 }); j >= 0 {
				at = points[j].Y
				some = true
			}
			row = append(row, Span(at))
		}
		if some {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// roundsTable is the charts over time as a table: a row for each round.
func roundsTable(r *bench.Report) table {
	t := table{Columns: []string{"target and round", "started", "requests/s", "p50", "p99", "max", "allowed", "denied", "CPU/request"}}
	for i := range r.Targets {
		target := &r.Targets[i]
		for n := range target.Rounds {
			round := &target.Rounds[n]
			one := bench.Target{Rounds: []bench.Round{*round}}
			allowed, denied := decided(&one)
			t.Rows = append(t.Rows, []string{target.Name + ", " + Count(float64(n+1)), round.Started.Format("15:04:05.000"), Count(Rate(round)),
				Span(P50(round)), Span(P99(round)), Span(Max(round)), allowed, denied, Span(ServerCPU(round))})
		}
	}
	return t
}
