package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Verdict says whether a target was met.
func Verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

// A Table is printed with its columns aligned.
type Table struct {
	title string
	rows  [][]string
}

// NewTable makes a table that has no rows yet.
func NewTable(title string, columns ...string) *Table {
	return &Table{title, [][]string{columns}}
}

// Add adds a row: a format for all of its cells, with bars between them.
func (t *Table) Add(format string, args ...any) {
	t.rows = append(t.rows, strings.Split(fmt.Sprintf(format, args...), "|"))
}

// Print writes the table: the first column flush left, the others flush right.
func (t *Table) Print(out io.Writer) {
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
