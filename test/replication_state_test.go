package test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A primary that is killed under load and started again has perhaps less than its replica;
// then the replica has what the primary has, and no more.
func TestPrimaryRestarts(t *testing.T) {
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
			primary := startNode(t, flags...)
			replica := startNode(t, "--appendonly", "yes", "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
			for round := range rounds {
				awaitSync(primary, replica)
				load := startStir(t, primary, rand.New(rand.NewPCG(uint64(round), 1)), 3, 0, time.Millisecond)
				time.Sleep(time.Duration(500+1000*round) * time.Millisecond)
				primary.kill()
				load.stop.Store(true)
				load.running.Wait() // with connections that have ended
				primary.start()
				time.Sleep(stirShort * time.Millisecond)
				drained(primary)
				awaitSync(primary, replica)
				t.Logf("round %d: %d keys, equal on both", round, mustEqual(t, primary, replica))
			}
		})
	}
}

// What is rare: a log of as many units as a frame holds or more, keys of any bytes and of the greatest
// length, and keys that are forgotten for want of memory. A replica has it by a full sync as
// well as by the stream, and a restart has it.
func TestRareStates(t *testing.T) {
	const entries = 400_000
	primary := startNode(t, "--max-log-limit", "500000", "--appendonly", "yes", "--maxmemory", "128mb")
	early := startNode(t, "--max-log-limit", "500000", "--appendonly", "yes", "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	c := dialQuietly(t, primary.addr())
	one := command("RL.CHECK", "huge", "sliding_window_log", "500000", "300d")
	for range entries / 1000 {
		c.send(strings.Repeat(one, 1000))
		for range 1000 {
			if got := c.reply(); !strings.HasPrefix(got, "*6\r\n:1\r\n") {
				t.Fatalf("answered %q", got)
			}
		}
	}
	names := []string{"\x00", "a\r\nb", strings.Repeat("\xff", 1024), "$5\r\n", " ", "{}"}
	for i, name := range names {
		for range i + 1 {
			c.ask("RL.CHECK", name, "leaky_bucket", "100", "300d")
		}
	}
	drained(primary)
	late := startNode(t, "--max-log-limit", "500000", "--appendonly", "yes", "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	awaitSync(primary, early, late)
	look := func(n *node) string {
		var b strings.Builder
		for _, cost := range []string{"1", "100000", "100001", "400000", "499999"} {
			got, err := n.ask("RL.PEEK", "huge", "sliding_window_log", "500000", "300d", "COST", cost).integers()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(&b, got[:3], " ")
		}
		for _, name := range names {
			got, _ := n.ask("RL.PEEK", name, "leaky_bucket", "100", "300d").integers()
			fmt.Fprint(&b, n.ask("TYPE", name).text, got[:3], " ")
		}
		return b.String() + n.ask("DBSIZE").text
	}
	want := look(primary)
	if !strings.HasPrefix(want, "[1 500000 100000] [1 500000 100000] [0 ") {
		t.Errorf("the primary has %s", want)
	}
	for name, n := range map[string]*node{"the stream": early, "a full sync": late} {
		if got := look(n); got != want {
			t.Errorf("by %s a replica has\n%s, and its primary\n%s", name, got, want)
		}
		n.kill()
		n.start()
		awaitSync(primary, n)
		if got := look(n); got != want {
			t.Errorf("a replica that got it by %s has after a restart\n%s, and its primary\n%s", name, got, want)
		}
	}
	primary.kill()
	primary.start()
	if got := look(primary); got != want {
		t.Errorf("after a restart the primary has\n%s, and had\n%s", got, want)
	}
}

// Keys that the primary forgets for want of memory are forgotten by its replica and on its
// disk as well, although these have room.
func TestForgottenForMemory(t *testing.T) {
	primary := startNode(t, "--maxmemory", "16mb", "--appendonly", "yes")
	replica := startNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	awaitSync(primary, replica)
	const keys = 40_000 // about a quarter more than fit
	c := dialQuietly(t, primary.addr())
	for i := 0; i < keys; i += 1000 {
		c.fill(fmt.Sprint(longPrefix, i, ":"), "token_bucket", 1000)
	}
	drained(primary)
	awaitSync(primary, replica)
	forgotten := primary.count("evicted_live_keys")
	kept, copied := primary.ask("DBSIZE").text, replica.ask("DBSIZE").text
	t.Logf("%d keys, %d of them forgotten; %s are left, and %s on the replica", keys, forgotten, kept, copied)
	if forgotten == 0 || kept != copied {
		t.Error("nothing was forgotten, or the replica has other keys")
	}
	primary.kill()
	primary.start("--maxmemory", "0")
	if got := primary.ask("DBSIZE").text; got != kept {
		t.Errorf("%s keys are on the disk, and there were %s", got, kept)
	}
}
