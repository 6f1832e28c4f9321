package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rlserver/rlserver/bench"
)

// JSON writes the report itself.
func JSON(w io.Writer, r *bench.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Table writes the report for a terminal of that many columns, at least 80.
func Table(w io.Writer, r *bench.Report, width int) {
	r, width = named(r), max(80, width)
	fmt.Fprintf(w, "%s\n%s\n", load(r), limits(r))
	for _, t := range tables(r) {
		fmt.Fprintln(w)
		t.align(w, width)
	}
	fmt.Fprintln(w)
	wrap(w, legend(r), width)
	for _, m := range remarks(r) {
		wrap(w, m.Text, width)
	}
}

// align writes a table with its columns aligned. Names are cut where the row would be too long.
func (t table) align(w io.Writer, width int) {
	const gap = 2
	wide := make([]int, len(t.Columns))
	for _, row := range append([][]string{t.Columns}, t.Rows...) {
		for i, cell := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	rest := 0
	for _, n := range wide[1:] {
		rest += n + gap
	}
	wide[0] = min(wide[0], max(8, width-rest))
	for _, row := range append([][]string{t.Columns}, t.Rows...) {
		line := cut(row[0], wide[0])
		line += strings.Repeat(" ", wide[0]-utf8.RuneCountInString(line))
		for i, cell := range row[1:] {
			line += strings.Repeat(" ", gap+wide[i+1]-utf8.RuneCountInString(cell)) + cell
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// cut shortens a text to that many characters.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// wrap writes a text in lines of at most that width, but for words that are longer.
func wrap(w io.Writer, text string, width int) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(w, line)
			line = "  "
		} else if line != "" {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}

// Markdown writes the tables of the report with the machine, the load, and the command that gives
// them again.
func Markdown(w io.Writer, r *bench.Report) {
	r = named(r)
	fmt.Fprintf(w, "%s, %s: %s; %s.\n\n", r.Started.Format("2006-01-02"), r.Version, load(r), limits(r))
	fmt.Fprintf(w, "```sh\n%s\n```\n", commandLine(r))
	for _, t := range tables(r) {
		fmt.Fprintln(w)
		t.markdown(w)
	}
	fmt.Fprintf(w, "\n%s\n", legend(r))
	for _, m := range remarks(r) {
		fmt.Fprintf(w, "\n%s\n", m.Text)
	}
	fmt.Fprintf(w, "\nMachine: %s.\n", machine(r))
}

func (t table) markdown(w io.Writer) {
	escape := strings.NewReplacer("|", `\|`)
	row := func(cells []string) {
		for _, c := range cells {
			fmt.Fprintf(w, "| %s ", escape.Replace(c))
		}
		fmt.Fprintln(w, "|")
	}
	row(t.Columns)
	fmt.Fprintln(w, "|---"+strings.Repeat("|--:", len(t.Columns)-1)+"|")
	for _, r := range t.Rows {
		row(r)
	}
}
