package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		scale           Scale
		least, greatest float64
		want            string
	}{
		{Linear, 0, 1.72e6, "[0 500000 1e+06 1.5e+06 2e+06]"},
		{Linear, 3, 4, "[0 1 2 3 4]"},
		{Linear, 0, 0, "[0 0.25 0.5 0.75 1]"},
		{Log, 3e5, 2e7, "[200000 500000 1e+06 2e+06 5e+06 1e+07 2e+07]"},
		{Log, 50, 3e6, "[10 100 1000 10000 100000 1e+06 1e+07]"},
		{Log, 7, 7, "[5 10]"},
		{Log, 1, 1, "[1 2]"},
		{Nines, 0, 0.9995, "[0 0.9 0.99 0.999]"},
		{Nines, 0, 0, "[0]"},
	} {
		if got := fmt.Sprintf("%.6v", c.scale.ticks(c.least, c.greatest)); got != c.want {
			t.Errorf("scale %d from %v to %v: got %s, want %s", c.scale, c.least, c.greatest, got, c.want)
		}
	}
}

// TestTicksHoldAll holds that the first tick is not above the least number and the last not below the
// greatest, whatever they are.
func TestTicksHoldAll(t *testing.T) {
	for _, scale := range []Scale{Linear, Log} {
		for least := 1.1e-6; least < 1e12; least *= 7 {
			for greatest := least; greatest < 1e15; greatest *= 3.3 {
				ticks := scale.ticks(least, greatest)
				last := ticks[len(ticks)-1]
				if ticks[0] > least*(1+1e-6) || last < greatest*(1-1e-6) || len(ticks) < 2 || len(ticks) > 23 || !slices.IsSorted(ticks) {
					t.Fatalf("scale %d from %v to %v: %v", scale, least, greatest, ticks)
				}
			}
		}
	}
}

// mustBeXML fails when a file is not well formed, and returns how many elements of each kind it has.
func mustBeXML(t *testing.T, file []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(file)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in %s", err, file)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }

func TestLines(t *testing.T) {
	l := Lines{
		Title: `A <title> & "more"`, X: Axis{"x", Linear, number}, Y: Axis{"y", Log, number},
		Series: []Series{{Name: "<one>", Points: []Point{{0, 1}, {1, 10}, {2, math.NaN()}, {3, 0}, {4, 1000}}}, {Name: "two", Color: 9, Dashed: true}},
	}
	file := string(l.Draw().File())
	if spots := mustBeXML(t, []byte(file))["circle"]; spots != 3 {
		t.Errorf("%d points tell their figures; 3 can be shown on these axes", spots)
	}
	_, line, _ := strings.Cut(file, `class="line c0" d="M`)
	_, line, _ = strings.Cut(line, `class="line c0" d="`) // the first is in the legend
	line, _, _ = strings.Cut(line, `"`)
	if strings.Count(line, "M") != 2 || strings.Count(line, "L") != 1 {
		t.Errorf("the line is %q; it breaks where it cannot be shown", line)
	}
	if strings.Contains(file, "NaN") || strings.Contains(file, "Inf") || strings.Contains(file, "<one>") {
		t.Errorf("this is in it: %s", file)
	}
	l.Series = l.Series[1:]
	if file := string(l.Draw().File()); !strings.Contains(file, "nothing was measured") {
		t.Errorf("without points: %s", file)
	}
}

func TestBars(t *testing.T) {
	b := Bars{Title: "T", Text: number, Groups: []string{"g1", "g2"}, Series: []BarSeries{{"a", 0, []float64{1, math.NaN()}}, {"b", 1, []float64{0, 4}}}}
	file := b.Draw().File()
	if bars := strings.Count(string(file), `class="bar`); bars != 4 || mustBeXML(t, file)["rect"] != 5 {
		t.Errorf("%d bars in %s", bars, file)
	}
	b.Groups = nil
	b.Series[0].Values, b.Series[1].Values = []float64{1}, []float64{0}
	if file := string(b.Draw().File()); strings.Contains(file, "NaN") || !strings.Contains(file, `class="value">0</text>`) {
		t.Errorf("one group: %s", file)
	}
}

func TestTimeline(t *testing.T) {
	line := Timeline{
		Title: "T", To: 10, Marks: []float64{5}, MarkName: "half", Ticks: []float64{0, 10}, Text: number,
		Lanes: []Lane{
			{Name: "now", Says: "<says>", Events: []Event{{1, 1, true}, {2, 2, true}, {3, 3, false}}},
			{Name: "later", Events: []Event{{1, 4, true}, {3, 3, false}}},
		},
	}
	file := line.Draw().File()
	mustBeXML(t, file)
	// A sign in the legend and for each event that was taken, and one more for each that leaves later.
	if taken, denied := strings.Count(string(file), "v-15"), strings.Count(string(file), "v-5"); taken != 5 || denied != 3 {
		t.Errorf("%d signs of what was taken, %d of what was not, in %s", taken, denied, file)
	}
}
