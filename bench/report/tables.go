package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/rlserver/rlserver/bench"
)

// A table is what all forms of a table are made of. The first cell of a row is text and flush left,
// the others are numbers.
type table struct {
	Columns []string
	Rows    [][]string
}

// tables are those of a report: how fast targets were, and what they decided and used.
func tables(r *bench.Report) []table {
	speed := table{Columns: []string{"", "requests/s", "×", "p50", "p90", "p99", "p99.9", "max"}}
	use := table{Columns: []string{"", "allowed", "denied", "CPU/request", "×", "server", "memory", "client"}}
	for i := range r.Targets {
		t := &r.Targets[i]
		first := &r.Targets[0]
		speed.Rows = append(speed.Rows, []string{t.Name, Count(Median(t, Rate)), Times(Ratio(t, first, Rate)),
			Span(Median(t, P50)), Span(Median(t, P90)), Span(Median(t, P99)), Span(Median(t, P999)), Span(Median(t, Max))})
		allowed, denied := decided(t)
		use.Rows = append(use.Rows, []string{t.Name, allowed, denied, Span(Median(t, ServerCPU)), Times(Ratio(t, first, ServerCPU)),
			cores(Median(t, ServerBusy)), Size(Median(t, ServerMemory)), cores(Median(t, ClientBusy))})
	}
	if len(r.Targets) < 2 {
		return []table{speed.without("×"), use.without("×")}
	}
	return []table{speed, use}
}

// without leaves a column out.
func (t table) without(column string) table {
	i := slices.Index(t.Columns, column)
	for at := range t.Rows {
		t.Rows[at] = slices.Delete(t.Rows[at], i, i+1)
	}
	t.Columns = slices.Delete(t.Columns, i, i+1)
	return t
}

// named is the report with names that tell its targets apart.
func named(r *bench.Report) *bench.Report {
	count := map[string]int{}
	for _, t := range r.Targets {
		count[t.Name]++
	}
	named := *r
	named.Targets = slices.Clone(r.Targets)
	for i := range named.Targets {
		if t := &named.Targets[i]; count[t.Name] > 1 {
			t.Name += " at " + t.Address
		}
	}
	return &named
}

// decided are the counts of all rounds. A target that decides nothing has none.
func decided(t *bench.Target) (allowed, denied string) {
	var a, d int64
	for _, r := range t.Rounds {
		a, d = a+r.Allowed, d+r.Denied
	}
	if a+d == 0 {
		return unknown, unknown
	}
	return Short(float64(a)), Short(float64(d))
}

func cores(busy float64) string {
	if math.IsNaN(busy) {
		return unknown
	}
	return fmt.Sprintf("%.2f", busy)
}

// legend says what the columns of tables mean.
func legend(r *bench.Report) string {
	text := ""
	rounds := 0 // fewer than intended, where the run ended early
	for _, t := range r.Targets {
		rounds = max(rounds, len(t.Rounds))
	}
	if rounds > 1 {
		text = fmt.Sprintf("Medians of %d rounds, in turns. ", rounds)
	}
	if len(r.Targets) > 1 {
		text += fmt.Sprintf("×: to %s in the same round. ", r.Targets[0].Name)
	}
	return text + "Allowed, denied: of all rounds. CPU/request: the server's. Server, client: cores kept busy."
}

// load says in one line what targets were asked.
func load(r *bench.Report) string {
	l := r.Load
	length := plain(l.Duration)
	if l.Requests > 0 {
		length = Count(float64(l.Requests)) + " requests"
	}
	loop := "closed loop"
	if l.Rate > 0 {
		loop = fmt.Sprintf("open loop at %s requests/s", Count(l.Rate))
	}
	return fmt.Sprintf("%s, pipeline %d, %s, %s of %s, %s",
		plural(l.Connections, "connection"), l.Pipeline, plural(l.Threads, "client thread"), plural(l.Rounds, "round"), length, loop)
}

// limits says in one line what was limited.
func limits(r *bench.Report) string {
	l := r.Load
	text := fmt.Sprintf("%s %s per %s", l.Algorithm, Count(float64(l.Limit)), plain(l.Period))
	if l.Burst > 0 && l.Burst != l.Limit {
		text += ", burst " + Count(float64(l.Burst))
	}
	if l.Policy != "" {
		text = l.Policy
	}
	if l.Cost > 1 {
		text += ", cost " + Count(float64(l.Cost))
	}
	keys := fmt.Sprintf("%s keys, %s", Count(float64(l.Keys)), l.KeySpace)
	switch l.KeySpace {
	case "hot":
		keys = "one hot key"
	case "new":
		keys = "a new key each time"
	}
	return text + "; " + keys
}

// machine says in one line where it ran.
func machine(r *bench.Report) string {
	m := r.Machine
	return fmt.Sprintf("%s, %s, %s of memory, %s", m.Processor, plural(m.Cores, "core"), Size(float64(m.MemoryBytes)), m.System)
}

// commandLine is what gives the report again, as a shell takes it.
func commandLine(r *bench.Report) string {
	words := make([]string, len(r.Command))
	for i, w := range r.Command {
		words[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]{}~#`!") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", Count(float64(n)), noun)
}
