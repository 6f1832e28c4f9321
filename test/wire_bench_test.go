package test

import (
	"context"
	"encoding/csv"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkWire compares, in one run on one machine, RL.CHECK of rlserver with a token
// bucket that a real Redis runs as a script by EVALSHA, and with Redis's own INCR: 50
// connections, pipeline 64, 100,000 random keys, by redis-benchmark. The rounds alternate,
// so that a slow minute of the machine hits all; the medians are reported, and their
// ratios. Run it with `make bench`; the figures mean something only next to each other.
func BenchmarkWire(b *testing.B) {
	const rounds = 5
	ours, theirs := startServer(b), startRedis(b)
	sha := loadPeerScript(b, theirs)
	contestants := []*contestant{
		{name: "rlserver", port: ours.port, requests: 2_000_000,
			words: []string{"RL.CHECK", "k:__rand_int__", "token_bucket", "100", "60"}},
		{name: "evalsha", port: theirs.port, requests: 300_000,
			words: []string{"EVALSHA", sha, "1", "k:__rand_int__", "100", "60"}},
		{name: "incr", port: theirs.port, requests: 2_000_000,
			words: []string{"INCR", "n:__rand_int__"}},
	}
	for b.Loop() {
		for range rounds {
			for _, c := range contestants {
				c.run(b)
			}
		}
	}
	for _, c := range contestants {
		b.Logf("%-8s %9.0f requests/s, p50 %6.3f ms, p99 %6.3f ms (medians of %d)", c.name, median(c.rps), median(c.p50), median(c.p99), len(c.rps))
		b.ReportMetric(median(c.rps), c.name+"-rps")
	}
	b.ReportMetric(median(contestants[0].rps)/median(contestants[1].rps), "times-evalsha")
	b.ReportMetric(median(contestants[0].rps)/median(contestants[2].rps), "times-incr")
	b.ReportMetric(0, "ns/op") // one "op" is all rounds; its time says nothing
}

type contestant struct {
	name          string
	port          int
	requests      int
	words         []string
	rps, p50, p99 []float64
}

// run runs redis-benchmark once and keeps what it measured.
func (c *contestant) run(b *testing.B) {
	args := []string{"-p", strconv.Itoa(c.port), "-c", "50", "-P", "64", "-r", "100000", "-n", strconv.Itoa(c.requests), "--csv"}
	out, err := exec.Command("redis-benchmark", append(args, c.words...)...).Output()
	if err != nil {
		b.Fatalf("redis-benchmark for %s: %v", c.name, err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) != 2 {
		b.Fatalf("redis-benchmark for %s printed %q", c.name, out)
	}
	for column, to := range map[string]*[]float64{"rps": &c.rps, "p50_latency_ms": &c.p50, "p99_latency_ms": &c.p99} {
		i := slices.Index(rows[0], column)
		if i < 0 {
			b.Fatalf("redis-benchmark has no column %s in %q", column, rows[0])
		}
		value, err := strconv.ParseFloat(rows[1][i], 64)
		if err != nil {
			b.Fatal(err)
		}
		*to = append(*to, value)
	}
}

// loadPeerScript loads the script and makes sure that it answers as RL.CHECK does, so that
// the comparison is one of like with like.
func loadPeerScript(b *testing.B, p *process) string {
	script, err := os.ReadFile("testdata/peer_token_bucket.lua")
	if err != nil {
		b.Fatal(err)
	}
	c := p.client()
	sha, err := c.ScriptLoad(context.Background(), string(script)).Result()
	if err != nil {
		b.Fatal(err)
	}
	for left := 2; left >= 0; left-- {
		got := integers(b, c, "EVALSHA", sha, 1, "k", 3, 3600)
		if got[0] != 1 || got[1] != 3 || got[2] != int64(left) {
			b.Fatalf("the script answers %v with %d left", got, left)
		}
	}
	if got := integers(b, c, "EVALSHA", sha, 1, "k", 3, 3600); got[0] != 0 || got[3] < 1_100_000 || got[3] > 1_200_000 {
		b.Fatalf("the script answers %v when all is taken", got)
	}
	return sha
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
