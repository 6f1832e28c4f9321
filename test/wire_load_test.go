package test

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
)

// wireKeys are the keys that __rand_int__ stands for.
const wireKeys = 100_000

// loadMax is longer than any run of redis-benchmark takes.
const loadMax = 2 * time.Minute

// A benchmarkReport is the line that redis-benchmark prints with --csv. A request's latency
// ends when the first bytes of the replies to its pipeline arrive.
type benchmarkReport struct {
	perSecond          float64 // requests, from when all connections are asked for
	p50, p95, p99, max float64 // ms
}

// A benchmarkRun is what redis-benchmark reported and what it took itself.
type benchmarkRun struct {
	benchmarkReport
	cpu time.Duration
}

// runBenchmark runs redis-benchmark once, with wireKeys keys.
func runBenchmark(t testing.TB, p *process, words []string, connections, pipeline, requests int) benchmarkRun {
	t.Helper()
	return runBenchmarkOn(t, p, wireKeys, words, connections, pipeline, requests)
}

// runBenchmarkOn is runBenchmark with so many keys.
func runBenchmarkOn(t testing.TB, p *process, keys int, words []string, connections, pipeline, requests int) benchmarkRun {
	t.Helper()
	args := []string{"-h", p.host, "-p", strconv.Itoa(p.port), "-c", strconv.Itoa(connections), "-P", strconv.Itoa(pipeline),
		"-r", strconv.Itoa(keys), "-n", strconv.Itoa(requests), "--csv"}
	ctx, cancel := context.WithTimeout(context.Background(), loadMax)
	defer cancel()
	// Words of its own make redis-benchmark write a command as clients do. Its test called
	// PING_INLINE is another one.
	cmd := exec.CommandContext(ctx, "redis-benchmark", append(args, words...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("redis-benchmark %v: %v (test/setup installs it)\n%s%s", words, err, out, complaints.String())
	}
	report, err := parseBenchmarkCSV(string(out))
	if err != nil {
		t.Fatalf("redis-benchmark %v: %v", words, err)
	}
	return benchmarkRun{report, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// parseBenchmarkCSV reads what redis-benchmark 7 prints for one test with --csv: a row of
// names and one of values, all in quotes.
func parseBenchmarkCSV(text string) (benchmarkReport, error) {
	var report benchmarkReport
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return report, err
	}
	if len(rows) != 2 {
		return report, fmt.Errorf("%d rows, not one of names and one of values, in %q", len(rows), text)
	}
	to := map[string]*float64{"rps": &report.perSecond, "p50_latency_ms": &report.p50, "p95_latency_ms": &report.p95,
		"p99_latency_ms": &report.p99, "max_latency_ms": &report.max}
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
	if report.perSecond <= 0 {
		return report, errors.New("no requests were answered")
	}
	return report, nil
}
