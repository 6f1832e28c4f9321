package test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness/race"
)

var (
	wireFlag        = flag.Bool("wire", false, "compare rlserver with Redis on the wire, in rounds that alternate")
	wireProfileFlag = flag.String("wireprofile", "", "with -wire, leave CPU profiles of rlserver at pipeline 64 in this `dir`")
)

// Targets. A server that misses one is to be looked at.
const (
	wireCPUDeepTarget   = 0.6  // of Redis INCR's CPU time for a request, at most, at pipeline 64
	wireCPUSingleTarget = 1.1  // the same at pipeline 1
	wireRateTarget      = 10.0 // times EVALSHA's requests/s, at least, at pipeline 64
	wireP99Target       = 1.0  // of Redis INCR's p99, at most, at pipeline 64
)

// The settings that all contestants are compared in.
const (
	wireConnections = 50
	wireDeep        = 64 // pipeline: a client that has much to ask at once
	wireSingle      = 1  // pipeline: a client that waits for each answer
)

// manyConnections is for what costs something for each connection.
const manyConnections = 5000

// TestWireCompare compares rlserver with a real Redis, in one run on one machine: rounds
// that alternate, so that a slow minute hits all, and medians and ratios of them. Nothing of
// it can fail for being slow.
func TestWireCompare(t *testing.T) {
	if !*wireFlag {
		t.Skipf("it measures and proves nothing, so it runs only if asked to: go test ./test -count=1 -v -run %s -wire", t.Name())
	}
	if race.Enabled || testing.Short() {
		t.Log("with -race or -short this shows only that it runs: the figures mean nothing")
	}
	onlyWhereProcessesAreMeasured(t)
	rounds, length := 5, 2*time.Second
	if testing.Short() {
		rounds, length = 2, 100*time.Millisecond
	}
	largest := manyConnections
	if err := allowOpenFiles(manyConnections + 200); err != nil {
		t.Logf("no more than 500 connections are measured: %v", err)
		largest = 500
	}
	rows := wireRows(largest)
	for _, r := range rows {
		r.size(t, length)
	}
	for range rounds {
		for _, r := range rows {
			r.round(t)
		}
	}
	out := t.Output()
	fmt.Fprintf(out, "medians of %d rounds of about %v each; × is the median of the ratios of single rounds\n", rounds, length)
	rows.printSetting(out, wireDeep)
	rows.printSetting(out, wireSingle)
	rows.printConnections(out)
	if largest == manyConnections {
		printIdle(t)
	}
	rows.printTargets(out)
	if *wireProfileFlag != "" {
		rows.profile(t, *wireProfileFlag)
	}
}

// A wireRow is one contestant in one setting, and what each round measured.
type wireRow struct {
	*contestant
	connections, pipeline int
	requests              int // of one round
	rounds                []measurement
}

type wireTable []*wireRow

// wireRows are the rows of all tables. Rows that are compared stand next to each other, for
// their rounds to be close in time.
func wireRows(largest int) wireTable {
	var rows wireTable
	for _, pipeline := range []int{wireDeep, wireSingle} {
		for _, c := range contestants {
			rows = append(rows, &wireRow{contestant: c, connections: wireConnections, pipeline: pipeline})
		}
		for _, connections := range []int{1, 500, manyConnections} {
			// At 5,000 connections and pipeline 64, 320,000 requests wait at any time: that
			// measures the length of the queue, and nothing of the server.
			if connections > largest || connections*pipeline > 100_000 {
				continue
			}
			for _, c := range []*contestant{rlCheck, redisIncr} {
				rows = append(rows, &wireRow{contestant: c, connections: connections, pipeline: pipeline})
			}
		}
	}
	return rows
}

// row is the contestant's row in a setting, or nil.
func (t wireTable) row(c *contestant, connections, pipeline int) *wireRow {
	i := slices.IndexFunc(t, func(r *wireRow) bool {
		return r.contestant == c && r.connections == connections && r.pipeline == pipeline
	})
	if i < 0 {
		return nil
	}
	return t[i]
}

// size finds out how many requests take about that long.
func (r *wireRow) size(t *testing.T, length time.Duration) {
	t.Helper()
	r.requests = max(2000, 5*r.connections*r.pipeline)
	first := r.measure(t)
	r.requests = max(r.requests, int(first.perSecond*length.Seconds()))
}

// round measures once.
func (r *wireRow) round(t *testing.T) {
	t.Helper()
	r.rounds = append(r.rounds, r.measure(t))
}
