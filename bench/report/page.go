package report

import (
	_ "embed" // the page
	"html/template"
	"io"

	"github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/bench/chart"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"labelled": label}).Parse(pageText))

// A labelled table is one with the name that screen readers say.
type labelled struct {
	Label string
	Table table
}

func label(text string, t table) labelled { return labelled{text, t} }

// HTML writes the report as one page without a script, which opens without a network.
func HTML(w io.Writer, r *bench.Report) error {
	r = named(r)
	var drawn []template.HTML
	for _, svg := range charts(r) {
		drawn = append(drawn, template.HTML(svg)) // #nosec: package chart escapes the texts in it
	}
	return page.Execute(w, map[string]any{
		"Style": template.CSS(chart.Style), "Report": r, "Load": load(r), "Limits": limits(r), "Machine": machine(r), "Command": commandLine(r),
		"Tables": tables(r), "Legend": legend(r), "Remarks": remarks(r), "Charts": drawn, "Labels": []string{"How fast", "Decisions and what they took"}, "Curve": curveTable(r), "Rounds": roundsTable(r),
	})
}
