package server

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A refund to a large log is the last question of its batch in an event loop, and the next batches
// step aside with their first one, until one that has stepped aside has no such refund.
func TestLargeLogsStepAside(t *testing.T) {
	s := newTestServer(newStore(t))
	check, exec, ping := s.table.byName["rl.check"], s.table.byName["exec"], s.table.byName["ping"]
	for _, test := range []struct {
		units int
		want  bool // that all fits a loop
		limit string
	}{{100, true, "2000"}, {1000, false, "2000"}, {1000, false, "10"}} {
		c, key := newTestSession(s), fmt.Sprint("log:", test.units, test.limit)
		for range test.units {
			say(c, "RL.CHECK "+key+" sliding_window_log 2000 1d")
		}
		c.BeginBatch()
		say(c, "RL.REFUND "+key+" sliding_window_log "+test.limit+" 1d")
		for _, one := range []*command{check, exec} {
			say(c, "MULTI")
			if got := one.fitsLoop(c, 1); got != test.want {
				t.Errorf("after a refund of one of %d units %s fits a loop: %v", test.units, one.name, got)
			}
			say(c, "DISCARD")
		}
		if !ping.fitsLoop(c, 1) {
			t.Error("PING does not fit a loop")
		}
		c.BeginBatch()
		if !check.fitsLoop(c, 1) {
			t.Error("a batch has stepped aside without need, and so has to the next one")
		}
		c.Closed()
	}
}

// So is a check of a large log whose limit is not the one before, which may lengthen its period.
func TestNewLimitsOfLargeLogsStepAside(t *testing.T) {
	s := newTestServer(newStore(t))
	check := s.table.byName["rl.check"]
	c := newTestSession(s)
	for _, test := range []struct {
		say  string
		want bool // that the next one fits a loop
	}{
		{"RL.CHECK log sliding_window_log 9000 1d COST 4000", true},
		{"RL.CHECK log sliding_window_log 9000 86401", true},
		{"RL.CHECK log sliding_window_log 9000 86401 COST 1000", false},
		{"RL.CHECK log sliding_window_log 9000 86401 COST 1000", true}, // the same again
		{"RL.CHECK log sliding_window_log 9000 86402", false},
		{"RL.PEEK log sliding_window_log 9000 86403", true},
		{"RL.CHECK log sliding_window_log 6000 86404", true}, // denied
		{"RL.CHECK bucket token_bucket 9000 1d COST 8000", true},
	} {
		c.heavy = false
		c.BeginBatch()
		say(c, test.say)
		if got := check.fitsLoop(c, 6); got != test.want {
			t.Errorf("after %q a check fits a loop: %v", test.say, got)
		}
	}
	c.Closed()
}

// A gatedStore waits at each step of a scan.
type gatedStore struct {
	*engine.Store
	entered, gate chan struct{}
}

func (g gatedStore) Scan(cursor uint64, count int, now int64, visit func(engine.KeyInfo)) uint64 {
	g.entered <- struct{}{}
	<-g.gate
	return g.Store.Scan(cursor, count, now, visit)
}

// A connection that sends many commands that take long does not hold up one that sends one of them
// until it has been served with all.
func TestTurnsAside(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // so that one batch runs aside at a time
	const many = 50
	store := gatedStore{newStore(t), make(chan struct{}, many+1), make(chan struct{})}
	s := startServed(t, 1, nil, store)
	greedy, modest, served := s.dial(), s.dial(), make(chan struct{})
	greedy.send(slices.Repeat([]string{"KEYS *"}, many)...) // read together
	defer close(store.gate)                                 // or the server would not end
	<-store.entered
	go func() {
		defer close(served)
		modest.send("KEYS *")
		modest.expect("[…")
	}()
	for passed := 1; ; passed++ {
		time.Sleep(15 * time.Millisecond) // longer than a turn
		store.gate <- struct{}{}
		select {
		case <-served:
			return
		case <-store.entered:
		}
		if passed == many {
			t.Fatal("all commands of one connection were served before the one of the other")
		}
	}
}
