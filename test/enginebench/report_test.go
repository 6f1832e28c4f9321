package enginebench_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

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
func (t *table) print(w io.Writer) {
	wide := 0
	for _, row := range t.rows {
		wide = max(wide, len([]rune(row[0])))
	}
	fmt.Fprintf(w, "\n%s\n", t.title)
	aligned := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	for _, row := range t.rows {
		first := row[0] + strings.Repeat(" ", wide-len([]rune(row[0])))
		fmt.Fprintln(aligned, strings.Join(append([]string{"  " + first}, row[1:]...), "\t")+"\t")
	}
	_ = aligned.Flush()
}

// verdict says whether a target was met.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratio is the median of a's rounds divided by b's of the same time. The machine changes
// more from round to round than within one, so this says more than a ratio of medians.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}
