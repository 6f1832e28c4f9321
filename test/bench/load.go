package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// The settings that servers are compared in.
const (
	Keys        = 100_000
	Connections = 50
	Deep        = 64 // pipeline: a client that has much to ask at once
	Single      = 1  // pipeline: a client that waits for each answer
)

// loadMax is longer than any run of redis-benchmark takes.
const loadMax = 2 * time.Minute

// A Report is the line that redis-benchmark prints with --csv. A request's latency
// ends when the first bytes of the replies to its pipeline arrive.
type Report struct {
	PerSecond          float64 // requests, from when all connections are asked for
	P50, P95, P99, Max float64 // ms
}

// A Load is what redis-benchmark asks a server.
type Load struct {
	Words       []string // of the command; __rand_int__ stands for one of Keys numbers
	Keys        int
	Connections int
	Pipeline    int
	Requests    int
}

// A Run is what redis-benchmark reported and the CPU time that it took itself.
type Run struct {
	Report
	CPU time.Duration
}

// Put runs redis-benchmark once. It ends at the first error that the server answers.
func (l Load) Put(t testing.TB, p *harness.Process) Run {
	t.Helper()
	args := []string{"-h", p.Host, "-p", strconv.Itoa(p.Port), "-c", strconv.Itoa(l.Connections), "-P", strconv.Itoa(l.Pipeline),
		"-r", strconv.Itoa(l.Keys), "-n", strconv.Itoa(l.Requests), "--csv"}
	ctx, cancel := context.WithTimeout(context.Background(), loadMax)
	defer cancel()
	// Words of its own make redis-benchmark write a command as clients do. Its test called
	// PING_INLINE is another one.
	cmd := exec.CommandContext(ctx, "redis-benchmark", append(args, l.Words...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("redis-benchmark %v: %v (test/setup installs it)\n%s%s", l.Words, err, out, complaints.String())
	}
	report, err := parseBenchmarkCSV(string(out))
	if err != nil {
		t.Fatalf("redis-benchmark %v: %v", l.Words, err)
	}
	return Run{report, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// parseBenchmarkCSV reads what redis-benchmark 7 prints for one test with --csv: a row of
// names and one of values, all in quotes.
func parseBenchmarkCSV(text string) (Report, error) {
	var report Report
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return report, err
	}
	if len(rows) != 2 {
		return report, fmt.Errorf("%d rows, not one of names and one of values, in %q", len(rows), text)
	}
	to := map[string]*float64{"rps": &report.PerSecond, "p50_latency_ms": &report.P50, "p95_latency_ms": &report.P95,
		"p99_latency_ms": &report.P99, "max_latency_ms": &report.Max}
	for i, name := range rows[0] {
		if to[name] == nil {
			continue
		}
		if *to[name], err = strconv.ParseFloat(rows[1][i], 64); err != nil {
			return report, err
		}
		delete(to, name)
	}
	if len(to) > 0 {
		return report, fmt.Errorf("columns are missing in %q", text)
	}
	if report.PerSecond <= 0 {
		return report, errors.New("no requests were answered")
	}
	return report, nil
}
