package engine_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
)

// Targets. A store that misses one is to be looked at.
const (
	peerTarget    = 0.6 // of the best peer's time for a check on one core, at most
	scalingTarget = 1.7 // times the checks a second on two cores, at least
	hotTarget     = 1.0 // of the mutex's time for a check of the hot key on two cores, at most
	logTarget     = 3.0 // times the token bucket's time, at most
)

// A group is contestants that are compared with each other: rounds of one are close in time.
type group struct {
	title string
	rows  []*row
}

// row is the contestant of that name.
func (g *group) row(name string) *row {
	for _, r := range g.rows {
		if r.name == name {
			return r
		}
	}
	panic("enginebench: no contestant is called " + name)
}

// bestPeer is the peer with the lowest median.
func (g *group) bestPeer() *row {
	var best *row
	for _, r := range g.rows {
		if r.peer && (best == nil || bench.Median(r.ns) < bench.Median(best.ns)) {
			best = r
		}
	}
	return best
}

// BenchmarkCompare runs all contestants alternately in short rounds, and prints the medians,
// their ratios and the targets. What a contestant keeps is made once.
func BenchmarkCompare(t *testing.B) {
	if runtime.NumCPU() < 2 {
		t.Skip("it compares two cores with one, and this machine has one")
	}
	rounds, length := bench.Scaled(7, 3), time.Duration(bench.Scaled(300, 10))*time.Millisecond
	checks, logs := checkGroups(), logGroups()
	for range rounds {
		for _, groups := range [][]*group{checks, logs} {
			for _, g := range groups {
				for _, r := range g.rows {
					r.round(t, length)
				}
			}
		}
	}
	out := os.Stdout
	fmt.Fprintf(out, "\nmedians of %d rounds of %v each; × is the median of the ratios of single rounds\n", rounds, length)
	for _, g := range checks {
		printChecks(out, g)
	}
	printLogs(out, logs)
	printTargets(out, checks, logs)
}

// checkGroups are the workloads on one core and on two, next to each other.
func checkGroups() []*group {
	states := map[int]map[string]checkFunc{}
	var groups []*group
	for _, in := range workloads() {
		if states[in.keys] == nil {
			states[in.keys] = map[string]checkFunc{}
		}
		for _, cores := range []int{1, 2} {
			g := &group{title: groupTitle(in.name, cores)}
			for _, c := range contestants {
				if !in.has(c) {
					continue
				}
				check := states[in.keys][c.name]
				if check == nil {
					check = c.make(generousLimit)
					touch(check, in.keys)
					states[in.keys][c.name] = check
				}
				g.rows = append(g.rows, checkRow(c, in, cores, check))
			}
			groups = append(groups, g)
		}
	}
	return groups
}

func groupTitle(workload string, cores int) string {
	return fmt.Sprintf("%s, cores: %d", workload, cores)
}

func checkRow(c contestant, in workload, cores int, check checkFunc) *row {
	r := &row{name: c.name, peer: c.peer, confirm: func(t testing.TB, done tally) {
		if done.admitted != done.checks {
			t.Fatalf("%s: %d of %d checks were admitted; this is of checks that all are", c.name, done.admitted, done.checks)
		}
	}}
	for i := range cores {
		r.loops = append(r.loops, spreadLoop(newWalker(uint64(i), in.keys, in.held), check))
	}
	return r
}

// logGroups are the states of full logs, each next to token buckets.
func logGroups() []*group {
	var groups []*group
	for _, s := range logStates {
		for _, keys := range logKeys {
			g := &group{title: fmt.Sprintf("%s, keys: %d", s.name, keys)}
			for _, a := range logAlgorithms {
				check, w := fullLogs(s, a, keys)
				g.rows = append(g.rows, &row{name: a.String(), loops: []loop{roundLoop(w, check)}, confirm: s.confirm})
			}
			groups = append(groups, g)
		}
	}
	return groups
}

func printChecks(out io.Writer, g *group) {
	best := g.bestPeer()
	rows := bench.NewTable("token_bucket, "+g.title, "", "ns/op", "allocs/op", "× best peer")
	for _, r := range g.rows {
		rows.Add("%s|%.1f|%.2f|%.2f", r.name, bench.Median(r.ns), bench.Median(r.allocs), bench.Ratio(r.ns, best.ns))
	}
	rows.Print(out)
}

func printLogs(out io.Writer, groups []*group) {
	rows := bench.NewTable(fmt.Sprintf("sliding_window_log with %d entries, next to token_bucket, on one core", logLimit),
		"", "log ns/op", "token ns/op", "allocs/op", "×")
	for _, g := range groups {
		log, token := g.rows[0], g.rows[1]
		rows.Add("%s|%.1f|%.1f|%.2f|%.2f", g.title, bench.Median(log.ns), bench.Median(token.ns), bench.Median(log.allocs), bench.Ratio(log.ns, token.ns))
	}
	rows.Print(out)
}

// printTargets prints each target, what was measured, and whether it was met.
func printTargets(out io.Writer, checks, logs []*group) {
	rows := bench.NewTable("targets", "", "measured", "target", "")
	byTitle := map[string]*group{}
	for _, g := range checks {
		byTitle[g.title] = g
	}
	for _, keys := range []string{"received keys", "held keys"} {
		g := byTitle[groupTitle(keys, 1)]
		best := g.bestPeer()
		got := bench.Ratio(g.row(nameStore).ns, best.ns)
		rows.Add("store's time, %s, to that of %s|%.2f|≤ %.2f|%s", g.title, best.name, got, peerTarget, bench.Verdict(got <= peerTarget))
	}
	for _, keys := range []string{"received keys", "held keys"} {
		one, two := byTitle[groupTitle(keys, 1)], byTitle[groupTitle(keys, 2)]
		scaling := func(name string) float64 { return bench.Ratio(one.row(name).ns, two.row(name).ns) }
		got := scaling(nameStore)
		rows.Add("store's throughput on 2 cores to 1, %s (%s: %.2f)|%.2f|≥ %.2f|%s",
			keys, nameNothing, scaling(nameNothing), got, scalingTarget, bench.Verdict(got >= scalingTarget))
	}
	hot := byTitle[groupTitle("hot key", 2)]
	got := bench.Ratio(hot.row(nameStore).ns, hot.row(nameMutex).ns)
	rows.Add("store's time, %s, to that of %s|%.2f|≤ %.2f|%s", hot.title, nameMutex, got, hotTarget, bench.Verdict(got <= hotTarget))
	for _, g := range logs {
		got := bench.Ratio(g.rows[0].ns, g.rows[1].ns)
		rows.Add("log's time, %s, to that of token_bucket|%.2f|≤ %.2f|%s", g.title, got, logTarget, bench.Verdict(got <= logTarget))
	}
	rows.Print(out)
}
