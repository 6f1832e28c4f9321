package replication

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication"
	"github.com/rlserver/rlserver/test/harness"
)

// clockPeriod is harness.AskPeriod.
const clockPeriod = 100 * 24 * time.Hour

// aheadByPeriods is an instant in the middle of a window of clockPeriod, so many periods or one more
// ahead of this machine's clock.
func aheadByPeriods(n int64) time.Time {
	periods := time.Now().UnixMicro()/clockPeriod.Microseconds() + n
	return time.UnixMicro(periods*clockPeriod.Microseconds() + clockPeriod.Microseconds()/2)
}

// newNodeOfAnotherTime makes a node that does not run yet. Its directory has a key of each algorithm
// of which all ten units were taken, by a server whose clock stood at an instant.
func newNodeOfAnotherTime(t *testing.T, at time.Time, appendOnly bool) *harness.Node {
	t.Helper()
	flags := []string{"--save", "3600 1"}
	if appendOnly {
		flags = []string{"--appendonly", "yes"}
	}
	n := harness.NewNode(t, flags...)
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tuning := replication.Tuning{AppendOnly: appendOnly, Fsync: "everysec", BacklogBytes: 1 << 20}
	tuning.Timeout = time.Minute
	earlier, err := replication.New(replication.Options{
		Store: store, Logger: slog.New(slog.DiscardHandler), Now: at.UnixMicro, Advance: func(int64) {}, Dir: n.Dir,
		Refuse: func(string) {}, RoleChanged: func(bool) {}, Tuning: tuning,
	})
	if err != nil {
		t.Fatal(err)
	}
	limit, err := engine.NewLimit(10, clockPeriod, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range engine.Algorithms() {
		if d, err := store.Check(a.String(), a, limit, 10, at.UnixMicro()); err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
	}
	if err := earlier.Close(!appendOnly); err != nil {
		t.Fatal(err)
	}
	return n
}

// mustBeFull wants no unit of each algorithm's key to be free, for a period at most, and a slice of a
// sliding_window_counter.
func mustBeFull(n *harness.Node) {
	n.T.Helper()
	most := (clockPeriod + clockPeriod/engine.CounterSlices).Milliseconds()
	for _, a := range harness.Algorithms() {
		got, err := n.Ask("RL.PEEK", a, a, "10", harness.AskPeriod).Integers()
		if err != nil {
			n.T.Fatalf("%s on port %d: %v", a, n.Port, err)
		}
		if got[0] != 0 || got[2] != 0 || got[4] > most {
			n.T.Errorf("%s on port %d: %v; want it denied, for %d ms at most", a, n.Port, got, most)
		}
	}
}

// timeOf is the clock of a node.
func timeOf(n *harness.Node) time.Time {
	n.T.Helper()
	parts := n.Ask("TIME").Texts()
	s, _ := strconv.ParseInt(parts[0], 10, 64)
	us, _ := strconv.ParseInt(parts[1], 10, 64)
	return time.Unix(s, us*1000)
}

// A server that starts with limits of a clock that was ahead goes on from the last reading of that
// clock: keys are not held until this machine's clock is as far, nor is anything forgiven.
func TestRestartWithAClockBehind(t *testing.T) {
	t.Parallel()
	for name, appendOnly := range map[string]bool{"snapshot": false, "log": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := aheadByPeriods(2)
			n := newNodeOfAnotherTime(t, at, appendOnly)
			n.Start()
			mustBeFull(n)
			before := timeOf(n)
			if before.Before(at) {
				t.Errorf("the clock is %v, and was %v", before, at)
			}
			if log := n.Log.String(); !strings.Contains(log, "clock is behind") {
				t.Errorf("the log does not tell that the clock is behind:\n%s", log)
			}
			if up := n.Count("uptime_in_seconds"); up < 0 || up > int64(clockPeriod.Seconds()) {
				t.Errorf("the server says that it is up for %d s", up)
			}
			// What it keeps now has the later readings.
			n.Ask("RL.CHECK", "later", "token_bucket", "10", harness.AskPeriod)
			after := timeOf(n)
			if appendOnly {
				n.Ask("BGREWRITEAOF")
				n.AwaitField("aof_rewrite_in_progress", "0")
			} else {
				n.MustSay("OK", "SAVE")
			}
			if saved := n.Count("rdb_last_save_time"); !appendOnly && saved < at.Unix() {
				t.Errorf("the last snapshot is of %d", saved)
			}
			n.Kill()
			n.Start()
			mustBeFull(n)
			mustPeek(n, "later", 9)
			if again := timeOf(n); again.Before(after) {
				t.Errorf("after the next start the clock is %v, and was %v", again, after)
			}
		})
	}
}

// A replica has its primary's clock, if its own is behind, and keeps it when it takes over.
func TestFailoverToAClockBehind(t *testing.T) {
	t.Parallel()
	primary := newNodeOfAnotherTime(t, aheadByPeriods(2), true)
	primary.Start()
	replica := harness.StartNode(t)
	follow(replica, primary)
	harness.AwaitSync(primary, replica)
	mustBeFull(replica)
	behind := timeOf(primary)
	// Without a change pings tell the time.
	replica.AwaitThat("it has heard the time", func() bool { return timeOf(replica).After(behind) })
	if got := replica.Count("uptime_in_seconds"); got > int64(clockPeriod.Seconds()) {
		t.Errorf("the replica says that it is up for %d s", got)
	}
	last := timeOf(primary)
	primary.Kill()
	replica.MustSay("OK", "REPLICAOF", "NO", "ONE")
	mustBeFull(replica)
	if got := last.Sub(timeOf(replica)); got > time.Minute {
		t.Errorf("the replica that took over is %v behind", got)
	}
}

// A replica whose clock is ahead keeps its own: there units come back sooner by the difference, as
// docs/FAILOVER.md says.
func TestFailoverToAClockAhead(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t)
	mustTake(primary, "key")
	harness.Drained(primary)
	replica := newNodeOfAnotherTime(t, aheadByPeriods(2), true)
	replica.Start()
	follow(replica, primary)
	harness.AwaitSync(primary, replica)
	mustPeek(primary, "key", 9)
	mustPeek(replica, "key", 10)
}
