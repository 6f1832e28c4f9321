package chart

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Timeline shows what becomes of the same events in several lanes, one below the other.
type Timeline struct {
	Title    string
	Note     string // stands below the title, behind the signs and their names
	From, To float64
	Ticks    []float64 // have a number on the axis; the axis is below the lanes
	Marks    []float64 // are lines through all lanes, each with MarkName above it
	MarkName string
	Text     func(float64) string // of a number on the axis
	Lanes    []Lane
}

// A Lane is the events in the order of their instants, and a sentence about them.
type Lane struct {
	Name, Says string
	Color      int
	Events     []Event
}

// An Event comes at an instant, and is taken or not. What is taken may leave later than it came.
type Event struct {
	At, Leaves float64
	Taken      bool
}

// The measures of a timeline, which is wider than other charts. A sign is so high when its event was
// taken, and a third of that when it was not.
const (
	timelineWidth = 720.0
	laneHeight    = 48.0
	laneText      = 24.0 // of which so much is its text
	laterHeight   = 28.0 // what a lane is higher in which events leave later than they came
	signHeight    = 15.0
)

// Draw draws the timeline.
func (t Timeline) Draw() SVG {
	d := &drawing{title: t.Title}
	x, y := margin+2, margin+lineHeight+20
	for _, s := range []struct{ class, name, path string }{
		{"sign ink", "admitted", sign(x, y, true)}, {"sign denied", "denied", sign(x+88, y, false)},
	} {
		d.path(s.class, s.path)
		d.text(x+8, y, "key", s.name)
		x += 88
	}
	d.text(x, y, "", t.Note)
	y += lineHeight + 8
	for _, at := range t.Marks {
		d.text(t.place(at), y-5, "middle", t.MarkName)
	}
	for _, lane := range t.Lanes {
		y = t.lane(d, lane, y)
	}
	d.rule(margin, y, timelineWidth-margin, y)
	for _, at := range t.Ticks {
		d.rule(t.place(at), y, t.place(at), y+5)
		d.text(t.place(at), y+20, "middle", t.Text(at))
	}
	return d.finish(timelineWidth, y+32)
}

// place is where an instant is.
func (t Timeline) place(at float64) float64 {
	return margin + (at-t.From)/(t.To-t.From)*(timelineWidth-2*margin)
}

// lane draws a lane from y on: its name, what it says, and below them a sign for each event. Where
// events leave later than they came, threads lead from their signs to those of where they leave. It
// returns where the lane ends.
func (t Timeline) lane(d *drawing, l Lane, y float64) (bottom float64) {
	d.rule(margin, y, timelineWidth-margin, y)
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f"><tspan class="name">%s</tspan> %s</text>`, margin, y+17, html.EscapeString(l.Name), html.EscapeString(l.Says))
	foot := y + laneText + signHeight
	bottom = y + laneHeight
	if slices.ContainsFunc(l.Events, func(e Event) bool { return e.Leaves > e.At }) {
		bottom += laterHeight
	}
	var taken, denied, threads strings.Builder
	for _, e := range l.Events {
		at := t.place(e.At)
		if !e.Taken {
			denied.WriteString(sign(at, foot, false))
			continue
		}
		taken.WriteString(sign(at, foot, true))
		if bottom > y+laneHeight {
			leaves := t.place(e.Leaves)
			fmt.Fprintf(&threads, "M%.1f %.1fL%.1f %.1f", at, foot, leaves, foot+laterHeight-signHeight)
			taken.WriteString(sign(leaves, foot+laterHeight, true))
		}
	}
	for _, at := range t.Marks {
		d.path("mark", fmt.Sprintf("M%.1f %.1fV%.1f", t.place(at), y+laneText, bottom))
	}
	d.path("thread "+colorClass(l.Color), threads.String())
	d.path("sign denied", denied.String())
	d.path("sign "+colorClass(l.Color), taken.String())
	d.summary += l.Name + ": " + l.Says + ". "
	return bottom
}

// sign is the path of a sign that stands on y.
func sign(x, y float64, taken bool) string {
	if taken {
		return fmt.Sprintf("M%.1f %.1fv-%.0f", x, y, signHeight)
	}
	return fmt.Sprintf("M%.1f %.1fv-%.0f", x, y, signHeight/3)
}
