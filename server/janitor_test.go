package server

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/config"
)

// newTestServer answers from a limiter, and is neither listening nor serving.
func newTestServer(l Limiter) *Server {
	return New(config.Default(), l, slog.New(slog.DiscardHandler), new(slog.LevelVar), "test")
}

func newStore(t *testing.T) *engine.Store {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// A countedSweep is a store of any size whose sweeps reclaim so many keys each.
type countedSweep struct {
	*engine.Store
	tableBytes       int64
	reclaimed, steps int
}

func (c *countedSweep) Stats() engine.Stats  { return engine.Stats{TableBytes: c.tableBytes} }
func (c *countedSweep) Sweep(int, int64) int { c.steps++; return c.reclaimed }

// A period has as many steps as the tables are due, and all that are allowed while many keys
// are idle.
func TestSweepSteps(t *testing.T) {
	for _, c := range []struct {
		tableBytes      int64
		reclaimed, want int
	}{
		{0, 0, 1},
		{0, sweepKeys / 4, 1},
		{0, sweepKeys/4 + 1, sweepStepsMax},
		{sweepStepBytes - 1, 0, 1},
		{sweepStepBytes, 0, 2},
		{10 * sweepStepBytes, sweepKeys / 4, 11},
		{10 * sweepStepBytes, sweepKeys, sweepStepsMax},
		{1 << 50, 0, sweepStepsMax},
	} {
		l := &countedSweep{newStore(t), c.tableBytes, c.reclaimed, 0}
		newTestServer(l).sweep()
		if l.steps != c.want {
			t.Errorf("tables of %d bytes, %d reclaimed a step: %d steps, want %d", c.tableBytes, c.reclaimed, l.steps, c.want)
		}
	}
}

// Keys that become idle all at once are reclaimed, and their memory is given back.
func TestSweepGivesMemoryBack(t *testing.T) {
	const keys, periodsMax = 200_000, 300
	store := newStore(t)
	s := newTestServer(store)
	l, err := engine.NewLimit(10, time.Second, 0)
	if err != nil {
		t.Fatal(err)
	}
	longAgo := s.Now() - time.Hour.Microseconds()
	for i := range keys {
		if _, err := store.Check(fmt.Sprint("user:", i), engine.TokenBucket, l, 1, longAgo); err != nil {
			t.Fatal(err)
		}
	}
	full := store.Stats().Bytes()
	for range periodsMax {
		s.sweep()
	}
	if after := store.Stats(); after.Keys != 0 || after.Reclaimed != keys || after.Bytes() > full/20 {
		t.Errorf("of %d bytes: %+v", full, after)
	}
}
