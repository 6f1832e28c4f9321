package wire

import (
	"io"
	"testing"

	"github.com/rlserver/rlserver/bench/report"
	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// A ceiling is what a load generator got out of a server, and what that took of its own processor.
type ceiling struct{ rate, cpu float64 } // requests/s, ns a request

func ceilingRate(c ceiling) float64 { return c.rate }
func ceilingCPU(c ceiling) float64  { return c.cpu }

// printCeiling holds the load generator of rlserver bench against redis-benchmark, with the same load
// on the same Redis: neither should measure itself.
func printCeiling(t testing.TB, out io.Writer) {
	t.Helper()
	rounds, length := plan()
	rows := bench.NewTable("the load generator beside redis-benchmark: Redis `INCR`, 50 connections", "pipeline", "", "requests/s", "×", "its CPU/request", "×")
	for _, pipeline := range pipelines {
		redis := harness.StartRedis(t)
		load := bench.Load{Words: []string{"INCR", "n:__rand_int__"}, Keys: bench.Keys, Connections: bench.Connections, Pipeline: pipeline, Requests: 20_000}
		load.Requests = max(load.Requests, int(load.Put(t, redis).PerSecond*length.Seconds()))
		one := usual(pipeline, redisIncr)
		var theirs, ours bench.Rounds[ceiling]
		for range rounds {
			put := load.Put(t, redis)
			theirs = append(theirs, ceiling{put.PerSecond, float64(put.CPU) / float64(load.Requests)})
			r := one.measureOn(t, 1, length, redis.Addr(), redis.Addr())
			round := &r.Targets[0].Rounds[0]
			ours = append(ours, ceiling{report.Rate(round), float64(round.Client.CPU) / float64(round.Requests)})
		}
		for i, c := range []bench.Rounds[ceiling]{theirs, ours} {
			rows.Add("%d|%s|%s|%.2f|%s|%.2f", pipeline, []string{"redis-benchmark", "rlserver bench"}[i],
				report.Count(c.Median(ceilingRate)), c.Ratio(theirs, ceilingRate), report.Span(c.Median(ceilingCPU)), c.Ratio(theirs, ceilingCPU))
		}
	}
	rows.Print(out)
}
