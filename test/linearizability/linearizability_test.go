package linearizability

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/rlserver/rlserver/test/harness/race"
)

var seedFlag = flag.Uint64("seed", 1, "draw what the workers do from this `number`; a soak begins with any")

// seed is a seed for a test that says what it was should it fail. What the threads made of it is
// not drawn, so the same seed may have to be tried more than once.
func seed(t *testing.T) uint64 {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to draw this again: -run %s -seed %d", t.Name(), *seedFlag)
		}
	})
	return *seedFlag
}

// rounds is how many an episode has. With the race detector they take ten times as long, so
// there are fewer, but still some of every phase.
func rounds() int {
	if race.Enabled {
		return 64
	}
	return 160
}

// scaled is how often something is done: half as often where time is short.
func scaled(times int) int {
	if testing.Short() || race.Enabled {
		return times / 2
	}
	return times
}

// TestHistories records histories in every setting, and finds an order for each. What the stores
// counted meanwhile is logged here, and asserted by TestSoak.
func TestHistories(t *testing.T) {
	for _, in := range []setting{moving, still, bounded} {
		t.Run(in.name, func(t *testing.T) {
			seed := seed(t)
			var seen evidence
			for i := range scaled(in.episodes) {
				seen.add(history(t, in, rand.New(rand.NewPCG(seed, uint64(i)))))
			}
			t.Log(&seen)
		})
	}
}

// history records an episode and checks it.
func history(t *testing.T, in setting, random *rand.Rand) evidence {
	t.Helper()
	history, seen := newEpisode(t, random, in, rounds()).record()
	demandOrder(t, in.model, history)
	if in.bounds() {
		seen[forgotten] = orderless(t, kept, history, 100)
		seen[refused] = noMemory(history)
	}
	return seen
}
