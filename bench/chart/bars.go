package chart

import (
	"fmt"
	"math"
)

// Bars is a chart of horizontal bars in groups: in each group one bar of each series.
type Bars struct {
	Title  string
	Groups []string // names of the groups; a single group needs no name
	Series []BarSeries
	Text   func(float64) string // what stands beside a bar
}

// A BarSeries is the bars of one colour, one in each group. Where a value is NaN, a dash stands for the bar.
type BarSeries struct {
	Name   string
	Color  int
	Values []float64
}

const barHeight, barGap, groupGap = 18.0, 4.0, 14.0

// Draw draws the chart. The longest bar of each group takes all of the room, so bars are to be
// compared within a group, and the chart says so.
func (b Bars) Draw() SVG {
	d := &drawing{title: b.Title}
	longest, valueWide := make([]float64, max(1, len(b.Groups))), 0
	keys := make([]key, len(b.Series))
	for i, s := range b.Series {
		keys[i] = key{s.Name, s.Color}
		for g, v := range s.Values {
			if !math.IsNaN(v) {
				longest[g], valueWide = max(longest[g], v), max(valueWide, len([]rune(b.Text(v))))
			}
		}
	}
	y, left := margin+lineHeight+8, margin
	// With one group each bar has its name beside it, else a legend has them.
	alone := len(b.Groups) <= 1
	names := b.Groups
	if alone {
		names = nil
		for _, k := range keys {
			names = append(names, k.name)
		}
	} else {
		y = d.legend(keys) + 10
		d.text(margin, y, "", "each group has a scale of its own")
		y += 10
	}
	for _, name := range names {
		left = max(left, margin+letter*float64(len([]rune(name)))+8)
	}
	left = min(left, width/2)
	room := width - margin - 8 - letter*float64(valueWide) - left
	for g := range max(1, len(b.Groups)) {
		if !alone {
			d.text(left-8, y+float64(len(b.Series))*(barHeight+barGap)/2+2, "key end", b.Groups[g])
		}
		for _, s := range b.Series {
			if alone {
				d.text(left-8, y+13, "key end", s.Name)
			}
			d.bar(left, y, room, s.Values[g], longest[g], s.Color, b.Text)
			if d.summary != "" {
				d.summary += ", "
			}
			d.summary += s.Name + " " + barText(b.Text, s.Values[g])
			y += barHeight + barGap
		}
		y += groupGap
	}
	return d.finish(width, y)
}

func barText(text func(float64) string, v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return text(v)
}

func (d *drawing) bar(left, y, room, v, longest float64, color int, text func(float64) string) {
	long := 0.0
	if v > 0 && longest > 0 {
		long = max(1, v/longest*room)
	}
	fmt.Fprintf(d, `<rect class="bar %s" x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="2"/>`, colorClass(color), left, y, long, barHeight)
	d.text(left+long+6, y+13, "value", barText(text, v))
}
