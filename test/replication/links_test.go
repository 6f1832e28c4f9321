package replication

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

var (
	linksFlag     = flag.Duration("links", 0, "how long TestLinks makes links worse; 0 is a few seconds")
	linksSeedFlag = flag.Uint64("linksseed", 0, "`seed` of TestLinks; 0 is a new one each time with -links, and else always the same")
)

const (
	linkTimeout = time.Second // repl-timeout
	// fullSyncsMin are the first ones, of two replicas.
	fullSyncsMin = 2
	// linksMax is how long there is trouble at most where what the test is about has not been met
	// before.
	linksMax = 5 * time.Minute
)

// startReplica makes a node a replica of another through a link of its own.
func startReplica(t testing.TB, primary *harness.Node, flags ...string) (*harness.Node, *link) {
	t.Helper()
	l := startLink(t, primary.Addr())
	r := harness.StartNode(t, append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(l.port)}, flags...)...)
	return r, l
}

// A primary and two replicas under load, over links that are cut in the middle of frames, are
// slow, hold everything back, and flap, while the replicas are killed and started again. When
// it is over all three have equal state, key by key; and on the way replicas have gone on
// where they were as well as begun anew.
func TestLinks(t *testing.T) {
	t.Parallel()
	seed, length := *linksSeedFlag, *linksFlag
	if seed == 0 && length > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if length == 0 {
		length = 8 * time.Second
	}
	t.Logf("go test ./test/replication -count=1 -v -run '%s$' -links %v -linksseed %d", t.Name(), length, seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	timeout := []string{"--repl-timeout", strconv.Itoa(int(linkTimeout.Seconds())), "--repl-backlog-size", "4mb"}
	primary := harness.StartNode(t, append(timeout, "--appendonly", "yes", "--auto-aof-rewrite-min-size", "1mb")...)
	onDisk, toDisk := startReplica(t, primary, append(timeout, "--appendonly", "yes", "--auto-aof-rewrite-min-size", "1mb")...)
	inMemory, toMemory := startReplica(t, primary, timeout...)
	load := startStir(t, primary, rng, 6, 4*time.Second, 2*time.Millisecond)

	var troubles sync.WaitGroup
	began := time.Now()
	// met says whether what the test is about has happened; goOn has it more trouble until then.
	met := func() bool {
		return load.flushes.Load() > 0 && primary.Count("sync_full") > fullSyncsMin && primary.Count("sync_partial_ok") > 0
	}
	goOn := func() bool {
		past := time.Since(began)
		return past < length || past < linksMax && !met()
	}
	lists := make([][]string, 2)
	restarts := make([]int, 2)
	for i, replica := range []*harness.Node{onDisk, inMemory} {
		l, own := []*link{toDisk, toMemory}[i], rand.New(rand.NewPCG(seed, uint64(i+1)))
		troubles.Go(func() {
			for goOn() {
				var what string
				if own.IntN(6) == 0 {
					if own.IntN(2) == 0 {
						what = "killed and started again"
						replica.Kill()
					} else {
						what = "ended and started again"
						replica.End(syscall.SIGTERM)
					}
					replica.Start()
					restarts[i]++
				} else {
					what = l.trouble(own, linkTimeout)
				}
				lists[i] = append(lists[i], what)
				time.Sleep(time.Duration(own.Int64N(int64(1500 * time.Millisecond))))
			}
		})
	}
	troubles.Wait()
	load.end(t)
	for i, name := range []string{"the replica with an append-only file", "the replica in memory"} {
		t.Logf("%s was started again %d times; its link: %s", name, restarts[i], strings.Join(lists[i], ", "))
	}
	time.Sleep(stirShort * time.Millisecond) // the short-lived keys are idle
	harness.Drained(primary)
	harness.AwaitSync(primary, onDisk, inMemory)
	keys := mustEqual(t, primary, onDisk, inMemory)
	full, partial := primary.Count("sync_full"), primary.Count("sync_partial_ok")
	cuts, packets := toDisk.counted()
	more, morePackets := toMemory.counted()
	t.Logf("%d commands, %d of them FLUSHALL; %d keys at the end, equal on all three; %d full syncs, %d partial; %d + %d cuts, of %d packets; %d bytes of the stream",
		load.commands.Load(), load.flushes.Load(), keys, full, partial, cuts, more, packets+morePackets, primary.Count("master_repl_offset"))
	if !met() || keys < 1000 {
		t.Error("nothing has been shown: no partial sync, no full sync but the first ones, few keys, or no FLUSHALL")
	}
	// And what the replica has on disk is what it has.
	onDisk.Kill()
	before := primary.Count("sync_full")
	onDisk.Start()
	harness.AwaitSync(primary, onDisk)
	mustEqual(t, primary, onDisk)
	if again := primary.Count("sync_full"); again != before {
		t.Errorf("a replica that has everything on disk was sent everything: %d full syncs, and %d before\n%s", again, before, onDisk.Log)
	}
}

// A replica that takes changes more slowly than they come is cut off when the backlog has
// gone past it; the primary's checks go on all the time, and its memory does not grow.
func TestSlowReplica(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t, "--repl-backlog-size", "1mb", "--repl-timeout", "60")
	replica, l := startReplica(t, primary, "--repl-timeout", "60")
	primary.AwaitField("connected_slaves", "1")
	harness.AwaitSync(primary, replica)
	before := harness.ResidentNow(t, primary.Cmd.Process.Pid)
	l.set(weather{hole: true})
	load := startStir(t, primary, rand.New(rand.NewPCG(1, 0)), 4, 0, time.Millisecond)
	began := time.Now()
	honest, slowest := harness.DialAddr(t, primary.Addr()), time.Duration(0)
	for primary.Field("connected_slaves") != "0" {
		asked := time.Now()
		honest.Ask("RL.CHECK", "honest", "token_bucket", "1000000", "1h")
		slowest = max(slowest, time.Since(asked))
		if time.Since(began) > 2*harness.Patience {
			t.Fatalf("it is not cut off after %v and %d bytes\n%s", time.Since(began), primary.Count("master_repl_offset"), primary.Log)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took, at := time.Since(began), primary.Count("master_repl_offset")
	load.end(t)
	grown := harness.ResidentNow(t, primary.Cmd.Process.Pid) - before
	t.Logf("cut off after %v and %d bytes of the stream; the slowest check of an honest client took %v; %d MB more are resident",
		took.Round(time.Millisecond), at, slowest.Round(10*time.Microsecond), grown>>20)
	harness.Within(t, time.Second, slowest, "a check while a replica did not read")
	if grown > harness.ResidentGrowthMax() {
		t.Errorf("%d MB more are resident", grown>>20)
	}
	if !strings.Contains(primary.Log.String(), "repl-backlog-size") {
		t.Errorf("the log does not say why:\n%s", primary.Log)
	}
	l.set(weather{})
	l.cut()
	time.Sleep(stirShort * time.Millisecond)
	harness.Drained(primary)
	harness.AwaitSync(primary, replica)
	mustEqual(t, primary, replica)
}

// A replica of a replica has what the first has, and its sub-replicas go on where they were
// when it is made a primary.
func TestChainOfReplicas(t *testing.T) {
	t.Parallel()
	first := harness.StartNode(t)
	second, _ := startReplica(t, first)
	third, _ := startReplica(t, second)
	load := startStir(t, first, rand.New(rand.NewPCG(2, 0)), 2, 500*time.Millisecond, time.Millisecond)
	time.Sleep(1500 * time.Millisecond)
	load.end(t)
	time.Sleep(stirShort * time.Millisecond)
	harness.Drained(first)
	harness.AwaitSync(first, second, third)
	mustEqual(t, first, second, third)
	full := second.Count("sync_full")
	second.MustSay("OK", "REPLICAOF", "NO", "ONE")
	if got, err := second.Check("new", "token_bucket", 10, 1); err != nil || got[0] != 1 {
		t.Errorf("the second is a primary and answers %v %v", got, err)
	}
	harness.Drained(second)
	harness.AwaitSync(second, third)
	if got := third.Remaining("new", "token_bucket", 10); got != 9 {
		t.Errorf("the third has %d left of a key that the second has taken one of", got)
	}
	if again := second.Count("sync_full"); again != full {
		t.Errorf("the third was sent everything although it had all: %s", fmt.Sprint(again, full))
	}
}
