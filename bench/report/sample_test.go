package report

import (
	"math"
	"time"

	"github.com/rlserver/rlserver/bench"
)

// sample is a report of a run of targets that differ by a factor each.
func sample(names ...string) *bench.Report {
	start := time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC)
	r := &bench.Report{
		Started: start, Version: "v1.2.3",
		Command: []string{"rlserver", "bench", "--target", "rlserver=127.0.0.1:6380"},
		Machine: bench.Machine{System: "Linux 6.12 amd64", Processor: "AMD EPYC", Cores: 2, MemoryBytes: 16e9},
		Load: bench.Load{Threads: 2, Connections: 50, Pipeline: 64, Rounds: 3, Duration: 2 * time.Second, KeySpace: "uniform", Keys: 100_000,
			Algorithm: "token_bucket", Limit: 100, Period: time.Minute, Cost: 1},
	}
	for i, name := range names {
		slow := math.Pow(1.7, float64(i))
		t := bench.Target{Name: name, Address: "127.0.0.1:6380", Server: "rlserver v1.2.3", Command: "RL.CHECK {key} token_bucket 100 60"}
		for n := range r.Load.Rounds {
			t.Rounds = append(t.Rounds, round(start.Add(time.Duration(n)*6*time.Second), slow*(1+0.05*float64(n)), name != "incr"))
		}
		r.Targets = append(r.Targets, t)
	}
	return r
}

// round is one that took 2 s, in spans of 100 ms.
func round(start time.Time, slow float64, decides bool) bench.Round {
	const spans = 20
	r := bench.Round{Started: start, Took: 2 * time.Second, Client: bench.Usage{CPU: 1900 * time.Millisecond, ResidentBytes: 20e6},
		Server: &bench.Usage{CPU: 1600 * time.Millisecond, ResidentBytes: int64(26e6 * slow)}, Judged: decides}
	at := func(share float64) time.Duration {
		return time.Duration(slow * 3e5 * (1 + 3*math.Pow(-math.Log10(1-share), 1.5)))
	}
	r.Latency = bench.Latency{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: at(0.999999)}
	for x := 0.0; x <= 6; x += 0.2 {
		share := 1 - math.Pow(10, -x)
		r.Latency.Curve = append(r.Latency.Curve, bench.Quantile{Share: share, At: at(share)})
	}
	for i := range spans {
		n := int64(1.7e5 / slow * (1 + 0.08*math.Sin(float64(i)*slow)))
		p := bench.Point{At: time.Duration(i) * 100 * time.Millisecond, Span: 100 * time.Millisecond, Requests: n, P50: at(0.5), P99: at(0.99) + time.Duration(i%5)*1e5, Max: at(0.9999)}
		if decides {
			p.Allowed = n / int64(1+i/4)
			p.Denied = n - p.Allowed
		}
		r.Requests, r.Allowed, r.Denied = r.Requests+n, r.Allowed+p.Allowed, r.Denied+p.Denied
		r.Series = append(r.Series, p)
	}
	if !decides {
		r.Undecided = r.Requests
	}
	return r
}
