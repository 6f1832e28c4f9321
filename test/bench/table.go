package bench

import (
	"fmt"
	"io"
	"strings"
)

// Verdict says whether a target was met.
func Verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

// A Table is printed as Markdown, with its columns aligned.
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

// Print writes the table below its title: the first column flush left, the others flush right.
func (t *Table) Print(out io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)), len("--:"))
		}
	}
	fmt.Fprintf(out, "\n%s\n\n", t.title)
	for at, row := range t.rows {
		for i := range widths {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				fmt.Fprint(out, "| ", cell, pad, " |")
			} else {
				fmt.Fprint(out, " ", pad, cell, " |")
			}
		}
		fmt.Fprintln(out)
		if at == 0 {
			for i, width := range widths {
				end := ":|"
				if i == 0 {
					fmt.Fprint(out, "|")
					end = "-|"
				}
				fmt.Fprint(out, strings.Repeat("-", width+1), end)
			}
			fmt.Fprintln(out)
		}
	}
}
