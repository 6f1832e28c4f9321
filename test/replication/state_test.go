package replication

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// A primary that is killed under load and started again has perhaps less than its replica;
// then the replica has what the primary has, and no more.
func TestPrimaryRestarts(t *testing.T) {
	t.Parallel()
	const rounds = 2
	for _, c := range []struct{ name, flags string }{
		{"everysec", "--appendonly yes"}, {"always", "--appendonly yes --appendfsync always"}, {"snapshots", "--save 1@1"}, {"memory only", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var flags []string
			for word := range strings.FieldsSeq(c.flags) {
				flags = append(flags, strings.ReplaceAll(word, "@", " "))
			}
			primary := harness.StartNode(t, flags...)
			replica := harness.StartNode(t, "--appendonly", "yes", "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
			for round := range rounds {
				harness.AwaitSync(primary, replica)
				load := startStir(t, primary, rand.New(rand.NewPCG(uint64(round), 1)), 3, 0, time.Millisecond)
				time.Sleep(time.Duration(500+1000*round) * time.Millisecond)
				primary.Kill()
				load.stop.Store(true)
				load.running.Wait() // with connections that have ended
				primary.Start()
				time.Sleep(stirShort * time.Millisecond)
				harness.Drained(primary)
				harness.AwaitSync(primary, replica)
				t.Logf("round %d: %d keys, equal on both", round, mustEqual(t, primary, replica))
			}
		})
	}
}

// Rare states: a log of as many units as a frame holds or more, and keys of any bytes and of the
// greatest length. A replica gets them by a full sync as well as by the stream, and a restart
// keeps them.
func TestRareStates(t *testing.T) {
	t.Parallel()
	const entries = 400_000
	primary := harness.StartNode(t, "--max-log-limit", "500000", "--appendonly", "yes", "--maxmemory", "128mb")
	early := harness.StartNode(t, "--max-log-limit", "500000", "--appendonly", "yes", "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	c := harness.DialAddr(t, primary.Addr())
	one := harness.Command("RL.CHECK", "huge", "sliding_window_log", "500000", "300d")
	for range entries / 1000 {
		c.Send(strings.Repeat(one, 1000))
		for range 1000 {
			if got := c.Reply(); !strings.HasPrefix(got, "*6\r\n:1\r\n") {
				t.Fatalf("answered %q", got)
			}
		}
	}
	names := []string{"\x00", "a\r\nb", strings.Repeat("\xff", 1024), "$5\r\n", " ", "{}"}
	for i, name := range names {
		for range i + 1 {
			c.Ask("RL.CHECK", name, "leaky_bucket", "100", "300d")
		}
	}
	harness.Drained(primary)
	late := harness.StartNode(t, "--max-log-limit", "500000", "--appendonly", "yes", "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	harness.AwaitSync(primary, early, late)
	look := func(n *harness.Node) string {
		var b strings.Builder
		for _, cost := range []string{"1", "100000", "100001", "400000", "499999"} {
			got, err := n.Ask("RL.PEEK", "huge", "sliding_window_log", "500000", "300d", "COST", cost).Integers()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(&b, got[:3], " ")
		}
		for _, name := range names {
			got, _ := n.Ask("RL.PEEK", name, "leaky_bucket", "100", "300d").Integers()
			fmt.Fprint(&b, n.Ask("TYPE", name).Text, got[:3], " ")
		}
		return b.String() + n.Ask("DBSIZE").Text
	}
	want := look(primary)
	if !strings.HasPrefix(want, "[1 500000 100000] [1 500000 100000] [0 ") {
		t.Errorf("the primary has %s", want)
	}
	for name, n := range map[string]*harness.Node{"the stream": early, "a full sync": late} {
		if got := look(n); got != want {
			t.Errorf("by %s a replica has\n%s, and its primary\n%s", name, got, want)
		}
		n.Kill()
		n.Start()
		harness.AwaitSync(primary, n)
		if got := look(n); got != want {
			t.Errorf("a replica that got it by %s has after a restart\n%s, and its primary\n%s", name, got, want)
		}
	}
	primary.Kill()
	primary.Start()
	if got := look(primary); got != want {
		t.Errorf("after a restart the primary has\n%s, and had\n%s", got, want)
	}
}

// Keys that the primary evicts are dropped by its replica and on its disk as well, although these
// have room.
func TestForgottenForMemory(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t, "--maxmemory", "16mb", "--appendonly", "yes")
	replica := harness.StartNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	harness.AwaitSync(primary, replica)
	const keys = 40_000 // about a quarter more than fit
	c := harness.DialAddr(t, primary.Addr())
	for i := 0; i < keys; i += 1000 {
		c.Fill(fmt.Sprint(harness.LongPrefix, i, ":"), "token_bucket", 1000)
	}
	harness.Drained(primary)
	harness.AwaitSync(primary, replica)
	forgotten := primary.Count("evicted_live_keys")
	kept, copied := primary.Ask("DBSIZE").Text, replica.Ask("DBSIZE").Text
	t.Logf("%d keys, %d of them forgotten; %s are left, and %s on the replica", keys, forgotten, kept, copied)
	if forgotten == 0 || kept != copied {
		t.Error("nothing was forgotten, or the replica has other keys")
	}
	primary.Kill()
	primary.Start("--maxmemory", "0")
	if got := primary.Ask("DBSIZE").Text; got != kept {
		t.Errorf("%s keys are on the disk, and there were %s", got, kept)
	}
}
