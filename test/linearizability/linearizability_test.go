package linearizability

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/rlserver/rlserver/test/harness/race"
)

var seedFlag = flag.Uint64("seed", 0, "draw what the workers do from this `number`; 0 takes a new one")

// drawSeed is where a test draws from: the seed asked for, or any.
func drawSeed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64()
}

// seed is a seed for a test that says what it was should it fail. What the threads made of
// it is not drawn, so the same seed may have to be tried more than once.
func seed(t *testing.T) uint64 {
	from := drawSeed()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to draw this again: -run %s -seed %d", t.Name(), from)
		}
	})
	return from
}

// triesMax is how many times as often as meant something is tried until all has happened
// that should.
const triesMax = 20

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

// TestHistories records histories in every setting, and finds an order for each.
func TestHistories(t *testing.T) {
	for _, in := range []setting{moving, still, bounded} {
		t.Run(in.name, func(t *testing.T) {
			seed, episodes := seed(t), scaled(in.episodes)
			var seen evidence
			for i := 0; i < episodes || seen.lacks(in.wants); i++ {
				if i == episodes*triesMax {
					t.Fatalf("this run proves nothing: %v", &seen)
				}
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
