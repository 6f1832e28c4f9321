package chart

import (
	"fmt"
	"math"
	"strings"
)

// Lines is a chart of one or several lines over the same two axes.
type Lines struct {
	Title  string
	X, Y   Axis
	Series []Series
}

// A Series is one line.
type Series struct {
	Name   string
	Color  int     // one of 8; the same number is the same colour in every chart
	Dashed bool    // a second line of that colour, which the legend leaves out; the name of an axis says what it is
	Points []Point // from left to right; the line is broken at a point that its axes cannot show
}

// A Point is a point of a line.
type Point struct{ X, Y float64 }

// plotHeight is that of the room for lines; spotsMax is how many points of a line tell their figures.
const (
	plotHeight = 220.0
	spotsMax   = 40
)

// A frame is the room within the axes: numbers to places.
type frame struct {
	left, right, top, bottom float64
	x, y                     Scale
	x0, x1, y0, y1           float64 // places at the edges
}

func (f *frame) at(p Point) (x, y float64) {
	return f.left + (f.x.place(p.X)-f.x0)/(f.x1-f.x0)*(f.right-f.left),
		f.bottom - (f.y.place(p.Y)-f.y0)/(f.y1-f.y0)*(f.bottom-f.top)
}

func (f *frame) shows(p Point) bool { return f.x.shows(p.X) && f.y.shows(p.Y) }

// Draw draws the chart. Without a point that can be shown it says so instead.
func (l Lines) Draw() SVG {
	d := &drawing{title: l.Title}
	var keys []key
	var names []string
	for _, s := range l.Series {
		if !s.Dashed {
			keys = append(keys, key{s.Name, s.Color})
			names = append(names, s.Name)
		}
	}
	d.summary = fmt.Sprintf("%s over %s, for %s", l.Y.Name, l.X.Name, strings.Join(names, ", "))
	top := d.legend(keys)
	least, greatest, some := l.extent()
	if !some {
		d.text(width/2, top+30, "middle", "nothing was measured")
		return d.finish(width, top+60)
	}
	f := l.axes(d, top, least, greatest)
	for _, s := range l.Series {
		d.line(f, s, l)
	}
	return d.finish(width, f.bottom+44)
}

// extent finds the least and greatest numbers that can be shown on each axis.
func (l Lines) extent() (least, greatest Point, some bool) {
	least, greatest = Point{math.Inf(1), math.Inf(1)}, Point{math.Inf(-1), math.Inf(-1)}
	f := frame{x: l.X.Scale, y: l.Y.Scale}
	for _, s := range l.Series {
		for _, p := range s.Points {
			if f.shows(p) {
				least = Point{min(least.X, p.X), min(least.Y, p.Y)}
				greatest = Point{max(greatest.X, p.X), max(greatest.Y, p.Y)}
				some = true
			}
		}
	}
	return least, greatest, some
}

// axes draws the grid with its numbers and the names of the axes.
func (l Lines) axes(d *drawing, top float64, least, greatest Point) *frame {
	across, up := l.X.Scale.ticks(least.X, greatest.X), l.Y.Scale.ticks(least.Y, greatest.Y)
	wide := 0
	for _, tick := range up {
		wide = max(wide, len([]rune(l.Y.Text(tick))))
	}
	f := &frame{x: l.X.Scale, y: l.Y.Scale, left: margin + letter*float64(wide) + 8, right: width - margin - 8, top: top + 26}
	f.bottom = f.top + plotHeight
	f.x0, f.x1 = f.x.place(across[0]), f.x.place(across[len(across)-1])
	if f.x != Log {
		f.x1 = f.x.place(greatest.X) // time and shares end where the last point is
	}
	if f.x1 == f.x0 {
		f.x1++
	}
	f.y0, f.y1 = f.y.place(up[0]), f.y.place(up[len(up)-1])
	d.text(margin, f.top-13, "", l.Y.Name)
	for _, tick := range up {
		_, y := f.at(Point{across[0], tick})
		d.rule(f.left, y, f.right, y)
		d.text(f.left-8, y+4, "end", l.Y.Text(tick))
	}
	free := f.left - 100.0 // where the text of the last tick ends
	for _, tick := range across {
		x, _ := f.at(Point{tick, up[0]})
		text := l.X.Text(tick)
		half := letter * float64(len([]rune(text))) / 2
		if x > f.right+1 || x-half < free+6 {
			continue
		}
		free = x + half
		d.rule(x, f.top, x, f.bottom)
		d.text(min(x, width-4-half), f.bottom+18, "middle", text)
	}
	d.text((f.left+f.right)/2, f.bottom+36, "middle", l.X.Name)
	return f
}

// line draws a series, and points that tell their figures.
func (d *drawing) line(f *frame, s Series, l Lines) {
	var path, spots strings.Builder
	begins := true
	for _, p := range s.Points {
		if !f.shows(p) {
			begins = true
			continue
		}
		x, y := f.at(p)
		if begins {
			fmt.Fprintf(&path, "M%.1f %.1fh0", x, y) // with no length, for a point alone to be a dot
		} else {
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		}
		begins = false
		if len(s.Points) <= spotsMax {
			spot := &drawing{}
			spot.spot(x, y, s.Color, fmt.Sprintf("%s: %s at %s", s.Name, l.Y.Text(p.Y), l.X.Text(p.X)))
			spots.WriteString(spot.String())
		}
	}
	dashed := ""
	if s.Dashed {
		dashed = " dashed"
	}
	fmt.Fprintf(d, `<path class="line %s%s" d="%s"/>%s`, colorClass(s.Color), dashed, path.String(), spots.String())
}
