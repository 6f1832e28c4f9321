package chart

import (
	_ "embed" // the style
	"fmt"
	"html"
	"strings"
)

// Style is the style sheet of charts: their classes, and their colours on light and on dark ground
// as properties of the root, which a page may use for the rest of it.
//
//go:embed style.css
var Style string

// The size of a chart, in units of which its letters take 13. It is scaled to the room that it gets.
const (
	width      = 440.0
	margin     = 12.0
	letter     = 7.1 // the width of one letter, on average and a little more
	lineHeight = 20.0
	colors     = 8 // that the style has
)

// A drawing is an SVG element in the making.
type drawing struct {
	strings.Builder
	title, summary string
}

func (d *drawing) text(x, y float64, class, text string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, html.EscapeString(text))
}

func (d *drawing) rule(x1, y1, x2, y2 float64) {
	fmt.Fprintf(d, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x1, y1, x2, y2)
}

func (d *drawing) path(class, path string) {
	fmt.Fprintf(d, `<path class="%s" d="%s"/>`, class, path)
}

// spot is an invisible point that tells its figures.
func (d *drawing) spot(x, y float64, color int, text string) {
	fmt.Fprintf(d, `<circle class="spot %s" cx="%.1f" cy="%.1f" r="5"><title>%s</title></circle>`, colorClass(color), x, y, html.EscapeString(text))
}

func colorClass(color int) string { return fmt.Sprintf("c%d", color%colors) }

// A key is an entry of the legend.
type key struct {
	name  string
	color int
}

// legend writes the keys below the title, in as many rows as they need, and returns where it ends.
func (d *drawing) legend(keys []key) (bottom float64) {
	const sample, gap = 22.0, 16.0
	x, y := margin, margin+lineHeight+14
	for _, k := range keys {
		wide := sample + 6 + letter*float64(len([]rune(k.name)))
		if x > margin && x+wide > width-margin {
			x, y = margin, y+lineHeight
		}
		fmt.Fprintf(d, `<path class="line %s" d="M%.1f %.1fh%.0f"/>`, colorClass(k.color), x, y-4, sample)
		d.text(x+sample+6, y, "key", k.name)
		x += wide + gap
	}
	return y + 8
}

// An SVG is a chart that is drawn.
type SVG string

// finish closes a chart of the given size. Its title and summary are what screen readers say.
func (d *drawing) finish(width, height float64) SVG {
	heading, summary := html.EscapeString(d.title), html.EscapeString(d.summary)
	return SVG(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="%s: %s" viewBox="0 0 %.0f %.0f" width="%.0f"><title>%s</title><desc>%s</desc>`+
		`<rect class="ground" width="%.0f" height="%.0f" rx="8"/><text class="title" x="%.0f" y="%.0f">%s</text>%s</svg>`,
		heading, summary, width, height, width, heading, summary, width, height, margin, margin+14, heading, d.String()))
}

// File is the chart as a file of its own, with its style.
func (s SVG) File() []byte {
	head, rest, _ := strings.Cut(string(s), ">")
	return []byte(head + "><style>" + Style + "</style>" + rest + "\n")
}
