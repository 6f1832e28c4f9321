package linearizability

import (
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness/race"
)

// noon is an ordinary instant in µs since the Unix epoch, in November 2023.
const noon = int64(1_700_000_000_000_000)

// limits are those that the keys under test change between: small, so that calls are denied,
// and with periods between a step of the clock and a jump.
var limits = []engine.Limit{
	mustLimit(3, 60*time.Millisecond),
	mustLimit(2, 3_000_001*time.Nanosecond),
	mustLimit(5, 700*time.Millisecond),
	mustLimit(8, 300*time.Millisecond),
}

// A setting is what an episode takes place in.
type setting struct {
	name  string
	model porcupine.Model
	// keyLengths are drawn from for the keys under test.
	keyLengths []int
	// phases follow each other, and then the first comes again.
	// Invariant: all have a bound on memory, or none has.
	phases  []phase
	fillers []string
	// The limits of fillers: of three in four, and of the others.
	fillMost, fillIdle engine.Limit
	episodes           int // of a test
}

// A round's phase says what happens besides the calls.
type phase struct {
	// fillMax bounds how many fillers come with each turn, and sweepMax how many keys a
	// sweep looks at, of which there is one in a few turns.
	fillMax, sweepMax int
	maxMemory         int64 // bytes; 0 is no bound
}

// phaseRounds is how many rounds a phase lasts.
const phaseRounds = 4

// phase is that of a round. What takes longest with the race detector is tables that are
// large, so they are smaller then.
func (s setting) phase(round int) phase {
	p := s.phases[round/phaseRounds%len(s.phases)]
	if race.Enabled {
		p.fillMax = min(p.fillMax, 6)
	}
	return p
}

// bounds says whether there is a bound on memory.
func (s setting) bounds() bool { return s.phases[0].maxMemory > 0 }

// moving is a store whose tables grow, shrink and are cleaned all the time. The fillers are
// idle soon after their phase.
var moving = setting{
	name:       "moving",
	model:      kept,
	keyLengths: []int{5, 9, 12, 16, 16, 17, 40, 100, 300},
	phases:     []phase{{}, {fillMax: 24}, {fillMax: 24, sweepMax: 30}, {sweepMax: 240}},
	fillers:    fillers(40_000, 9, 12, 16, 16, 17, 10, 11, 40, 13, 5, 14, 100),
	fillMost:   mustLimit(3, 20*time.Second),
	fillIdle:   mustLimit(3, time.Second),
	episodes:   6,
}

// still is a store where only the keys under test are, so that those collide and are
// reclaimed.
var still = setting{
	name:       "still",
	model:      kept,
	keyLengths: []int{5, 12, 16, 24},
	phases:     []phase{{}, {sweepMax: 30}},
	episodes:   12,
}

// bounded is a store that has no room for its fillers, most of which stay alive. It is the
// keys under test that are idle soonest. For a while there is no room for logs at all.
var bounded = setting{
	name:       "bounded",
	model:      evicted,
	keyLengths: []int{9, 12, 16},
	phases: []phase{
		{6, 0, 192 << 10}, {6, 30, 192 << 10}, {2, 30, 96 << 10}, {0, 0, 24 << 10},
		{6, 30, 256 << 10}, {6, 0, 256 << 10}, {0, 0, 256 << 10}, {6, 30, 128 << 10},
	},
	fillers:  fillers(20_000, 9, 12, 16),
	fillMost: mustLimit(3, time.Hour),
	fillIdle: mustLimit(3, time.Second),
	episodes: 4,
}

// fillers are keys of these lengths in turn.
func fillers(count int, lengths ...int) []string {
	keys := make([]string, count)
	for i := range keys {
		keys[i] = pad(fmt.Sprintf("f%x", i), lengths[i%len(lengths)])
	}
	return keys
}

// pad makes a key as long as asked for, if it is not longer.
func pad(key string, length int) string { return key + strings.Repeat("-", max(length-len(key), 0)) }

func mustLimit(limit int64, period time.Duration) engine.Limit {
	l, err := engine.NewLimit(limit, period, 0)
	if err != nil {
		panic(err)
	}
	return l
}

func mustStore(maxMemory int64) *engine.Store {
	s, err := engine.NewStore(engine.Options{MaxMemory: maxMemory})
	if err != nil {
		panic(err)
	}
	return s
}
