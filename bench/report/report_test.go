package report

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rlserver/rlserver/bench"
)

func table80(r *bench.Report, width int) string {
	var out strings.Builder
	Table(&out, r, width)
	return out.String()
}

func TestTableFits(t *testing.T) {
	r := sample("rlserver", "incr", "a-name-that-is-far-too-long-for-a-column-of-a-terminal", "cl.throttle")
	r.Targets[1].Failure = "it answered something that is quite long to " + strings.Repeat("many words ", 20)
	for _, width := range []int{0, 80, 120} {
		for _, line := range strings.Split(table80(r, width), "\n") {
			if n := utf8.RuneCountInString(line); n > max(80, width) {
				t.Errorf("%d columns are needed, of %d: %s", n, width, line)
			}
		}
	}
}

// TestRatio holds that a ratio is one of rounds of the same time, not one of medians.
func TestRatio(t *testing.T) {
	target := func(rates ...int64) *bench.Target {
		var t bench.Target
		for _, n := range rates {
			t.Rounds = append(t.Rounds, bench.Round{Requests: n, Took: time.Second})
		}
		return &t
	}
	a, b := target(100, 10, 1000), target(50, 20, 250)
	if got := Ratio(a, b, Rate); got != 2 {
		t.Errorf("got %v, want 2 of 2, 0.5 and 4", got)
	}
	if got := Median(target(1, 2, 9, 4), Rate); got != 3 {
		t.Errorf("the median of an even number of rounds is %v, want 3", got)
	}
	if got := Ratio(target(), b, Rate); !math.IsNaN(got) {
		t.Errorf("without rounds the ratio is %v", got)
	}
}

func TestRemarks(t *testing.T) {
	r := sample("rlserver", "incr", "script")
	for key := range 7 {
		r.Targets[2].Rounds[1].Violations = append(r.Targets[2].Rounds[1].Violations,
			bench.Violation{Key: string(rune('a' + key)), Admitted: 104, Span: 1500 * time.Millisecond, Allowed: 103})
	}
	r.Targets[1].Failure = `it answered "ERR no"`
	r.Targets[1].Rounds = nil
	r.Targets[0].Rounds[0].Client.CPU = 4 * time.Second
	r.Targets[0].Rounds[1].Client.CPU = 4 * time.Second
	r.Load.Rate = 1_000_000
	r.Targets[2].Rounds[0].Unsent = 1234
	text := strings.Join(strings.Fields(table80(r, 80)), " ")
	for _, want := range []string{
		`VIOLATION: script admitted 104 units on key "a" within 1.50 s; the limit allows 103.`,
		"VIOLATION: script on 2 keys more.",
		`FAILED: incr in round 1: it answered "ERR no"`,
		"Kept the limit on every key: rlserver.",
		"script did not keep up: 561,254 of 1,000,000 requests/s that were intended. 1,234 requests found no free connection, and no latency has them.",
		"The client was the bottleneck with rlserver: it kept 2.00 of 2 cores busy.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
}

// TestNothingMeasured holds that a report without a round, or without figures of the server, is shown.
func TestNothingMeasured(t *testing.T) {
	r := sample("rlserver", "rlserver")
	r.Targets[0].Rounds = nil
	for i := range r.Targets[1].Rounds {
		r.Targets[1].Rounds[i].Server = nil
	}
	r.Targets[1].Address = "127.0.0.1:7000"
	var page bytes.Buffer
	if err := HTML(&page, r); err != nil {
		t.Fatal(err)
	}
	var markdown strings.Builder
	Markdown(&markdown, r)
	for form, text := range map[string]string{"table": table80(r, 80), "page": page.String(), "Markdown": markdown.String()} {
		if strings.Contains(text, "NaN") || !strings.Contains(text, "rlserver at 127.0.0.1:7000") {
			t.Errorf("the %s says:\n%s", form, text)
		}
	}
}

func TestJSONIsTheReport(t *testing.T) {
	r := sample("rlserver", "incr")
	var out bytes.Buffer
	if err := JSON(&out, r); err != nil {
		t.Fatal(err)
	}
	var again bench.Report
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || !reflect.DeepEqual(&again, r) {
		t.Errorf("%v: got %+v, want %+v", err, again, r)
	}
}

func TestMarkdown(t *testing.T) {
	r := sample("rlserver", "a|b")
	r.Command = append(r.Command, "--limit", "it's", "")
	var out strings.Builder
	Markdown(&out, r)
	for _, want := range []string{
		"```sh\nrlserver bench --target rlserver=127.0.0.1:6380 --limit 'it'\\''s' ''\n```",
		"\n| rlserver | 1,624,985 | 1.00 | 471 µs |", "\n| a\\|b | ", "AMD EPYC, 2 cores, 16.0 GB of memory", "token_bucket 100 per 1m; 100,000 keys, uniform",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		Count(1234567.4): "1,234,567", Count(999): "999", Count(1.25): "1.2", Count(math.NaN()): "–",
		Span(999.6): "1.00 µs", Span(1234): "1.23 µs", Span(99_960): "100 µs", Span(2e9): "2.00 s", Span(0): "0",
		Short(12_345): "12.3 k", Short(9_999): "9,999", Short(3e9): "3.00 G", Tick(Short)(3e9): "3 G", Tick(Span)(2e6): "2 ms", Tick(Span)(100e6): "100 ms", Tick(Count)(1e6): "1,000,000",
		Times(0.5): "0.50", Times(17.46): "17.5", percent(0.999): "99.9 %", percent(0.99999): "99.999 %",
		plain(time.Hour): "1h", plain(90 * time.Minute): "1h30m", plain(time.Minute): "1m", plain(1500 * time.Millisecond): "1.5s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	at := bench.Progress{Target: "rlserver", Turn: 2, Turns: 4, Round: 1, Rounds: 2, Elapsed: time.Second, Duration: 2 * time.Second,
		Last: bench.Point{Span: 100 * time.Millisecond, Requests: 150_000, Allowed: 75_000, Denied: 25_000, P99: 3 * time.Millisecond}}
	const moment = "rlserver, round 1 of 2: 1.50 M/s, p99 3.00 ms, 25.0 % denied"
	var bar, lines strings.Builder
	p := NewProgress(&bar, 80)
	p.Show(at)
	p.Close()
	if want := "\r\x1b[K███████░░░░░░░░░░░░░  38 %  rlserver, round 1 of 2: 1.50 M/s, p99 3.00 ms, 25.…\r\x1b[K"; bar.String() != want {
		t.Errorf("the bar is %q, want %q", bar.String(), want)
	}
	p = NewProgress(&lines, 0)
	p.Show(at)
	p.Show(at) // just after
	at.Done = true
	p.Show(at)
	p.Show(bench.Progress{Target: "incr", Turn: 3, Turns: 4, Done: true}) // it is ready
	p.Close()
	if want := moment + "\n" + moment + "\n"; lines.String() != want {
		t.Errorf("the lines are %q, want %q", lines.String(), want)
	}
}

func TestJoined(t *testing.T) {
	const ms = time.Millisecond
	series := []bench.Point{
		{At: 0, Span: ms, Requests: 1, Allowed: 1, P50: 10, P99: 20, Max: 30}, {At: ms, Span: ms, Requests: 3, Denied: 3, P50: 30, P99: 15, Max: 40},
		{At: 2 * ms, Span: ms, Requests: 5, P50: 7}, {At: 3 * ms, Span: ms, Requests: 5, P50: 7}, {At: 4 * ms, Span: ms / 4, Requests: 10, P50: 17, P99: 9},
	}
	want := []bench.Point{
		{At: 0, Span: 2 * ms, Requests: 4, Allowed: 1, Denied: 3, P50: 25, P99: 20, Max: 40},
		{At: 2 * ms, Span: 9 * ms / 4, Requests: 20, P50: 12, P99: 9}, // with the end, which is too short to stand alone
	}
	if got := joined(series, 2); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestJSONIsDocumented holds that the document names every field that JSON has.
func TestJSONIsDocumented(t *testing.T) {
	document, err := os.ReadFile("../../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() || seen[of] {
			return
		}
		seen[of] = true
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(string(document), "`"+name+"`") {
				t.Errorf("docs/BENCHMARKS.md does not name %q of %v", name, of)
			}
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[bench.Report]())
}
