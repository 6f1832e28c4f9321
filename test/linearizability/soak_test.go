package linearizability

import (
	"flag"
	"math/rand/v2"
	"runtime/debug"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

var soak = flag.Duration("soak", 0, "how long TestSoak goes on; without it the test is skipped")

// TestStress spends keys of every algorithm.
func TestStress(t *testing.T) {
	seed := seed(t)
	var seen evidence
	for i := range scaled(2) {
		seen.add(stress(t, rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	t.Log(&seen)
}

// stress goes once over all algorithms.
func stress(t *testing.T, random *rand.Rand) (seen evidence) {
	t.Helper()
	for _, a := range engine.Algorithms() {
		for _, cost := range []int64{1, 3} {
			seen.add(spend(t, random, a, cost))
		}
		seen.add(flushAll(t, random, a))
	}
	return seen
}

// TestSoak goes on with everything for as long as -soak says.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("give -soak 10m, or run make soak, to go on with all other tests for so long")
	}
	// A test that hangs shows where: nothing else would end it.
	debug.SetTraceback("all")
	hang := time.AfterFunc(*soak+5*time.Minute, func() { panic("the soak hangs") })
	defer hang.Stop()

	var seen evidence
	seed, began := *seedFlag, time.Now()
	if seed == 1 {
		seed = rand.Uint64()
	}
	defer func() {
		t.Logf("in %v: %v", time.Since(began).Round(time.Second), &seen)
		if t.Failed() {
			t.Logf("to draw the last pass again: -run TestSoak -soak 1m -seed %d", seed)
		}
	}()
	for ; time.Since(began) < *soak; seed++ { // each pass has a seed of its own
		random := rand.New(rand.NewPCG(seed, 0))
		for _, in := range []setting{moving, still, bounded} {
			seen.add(history(t, in, random))
		}
		if seen.add(stress(t, random)); t.Failed() {
			return
		}
	}
	if seen.lacks([]count{inserts, rebuilt, contended, reclaimed, evictions, forgotten, refused, scans, flushes}) {
		t.Error("this run proves nothing")
	}
}
