package durability

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
	"github.com/rlserver/rlserver/test/harness/race"
)

var (
	crashesFlag   = flag.Int("crashes", 0, "how often TestCrash kills a server; 0 is a few times")
	crashSeedFlag = flag.Uint64("crashseed", 0, "`seed` of TestCrash; 0 is a new one each time with -crashes, and else always the same")
)

const (
	crashWorkers = 40
	// crashLifeMax is how long a server lives at most between two kills.
	crashLifeMax = 400 * time.Millisecond
	// crashTriesMax is how many times as often a server is killed where what the test is about
	// has not been met before.
	crashTriesMax = 50
	// everySecond is what may be forgotten with appendfsync everysec.
	everySecond = time.Second
	// flushKept is how long a server lives after a FLUSHALL with everysec: for longer than what
	// may be forgotten.
	flushKept = everySecond + 300*time.Millisecond
	// ballastKeys make a rewrite take some time, so that kills meet it.
	ballastKeys = 60_000
	// disturbanceMax is about how long it takes to write them.
	disturbanceMax = 8 * time.Millisecond
)

// A crashRun kills one server over and over.
type crashRun struct {
	t      *testing.T
	rng    *rand.Rand
	n      *harness.Node
	l      *ledger
	always bool
	killed time.Time
	fresh  bool // there are no keys, not even ballast
	count  crashCounts
}

type crashCounts struct {
	ledgerCounts
	forgotten                            loss
	crashes, starting, rewriting, saving int // kills, and kills while that was under way
	rewrites                             int // that were done
	tails, tailsCut                      int // that the test left, and that the server told of
	flushes, flushesCut, flushesDone     int // and those cut off, and those of them that had happened
	full                                 int // keys that had reached their limit, the most at a time
}

// shown says whether everything was met that the test is about.
func (c *crashCounts) shown() bool {
	return c.admitted > 0 && c.unanswered > 0 && c.full > 0 && c.rewriting > 0 && c.flushes > 0
}

// A server is killed at random moments under load and started again. With appendfsync always
// nothing that it has acknowledged is ever forgotten, so that over all its lives no key is
// over its limit; with everysec no more than the last second.
func TestCrash(t *testing.T) {
	seed := *crashSeedFlag
	if seed == 0 && *crashesFlag > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			crashes := *crashesFlag
			if crashes == 0 {
				crashes = map[string]int{"always": 10, "everysec": 5}[fsync]
			}
			t.Logf("go test ./test/durability -count=1 -v -run '%s' -crashes %d -crashseed %d", t.Name(), crashes, seed)
			r := &crashRun{t: t, rng: rand.New(rand.NewPCG(seed, 0)), always: fsync == "always", fresh: true}
			r.l = newLedger(r.rng, crashWorkers)
			r.n = harness.NewNode(t, "--appendonly", "yes", "--appendfsync", fsync, "--save", "1 1",
				"--auto-aof-rewrite-min-size", "64kb", "--auto-aof-rewrite-percentage", "30", "--max-log-limit", strconv.Itoa(hotMost))
			r.start()
			for !t.Failed() && (r.count.crashes < crashes || !r.count.shown() && r.count.crashes < crashes*crashTriesMax) {
				r.live()
				r.tear()
				r.start()
				r.judge()
			}
			r.report()
		})
	}
}

// start starts the server; sometimes it is killed while it does.
func (r *crashRun) start() {
	r.t.Helper()
	r.n.Launch()
	for range 2 {
		if r.rng.IntN(4) > 0 {
			break
		}
		time.Sleep(time.Duration(r.rng.Int64N(int64(60 * time.Millisecond))))
		r.n.Kill()
		r.readLog()
		r.count.starting++
		r.n.Launch()
	}
	r.n.Await()
	r.readLog()
}

// readLog counts what the server tells of a torn tail. A server that is killed before that
// has perhaps cut it, and perhaps the next one does.
func (r *crashRun) readLog() {
	r.count.tailsCut += strings.Count(r.n.Log.String(), "cut what a crash left")
}

// live loads the server until it is killed.
func (r *crashRun) live() {
	r.t.Helper()
	before := r.n.ReadLogManifest().Base
	atLeast := time.Duration(0)
	if r.rng.IntN(6) == 0 || r.count.crashes == 2 {
		r.flush()
		if !r.always {
			atLeast = flushKept
		}
	}
	if r.fresh {
		r.ballast()
	}
	all := startLoad(r.n, r.l, r.rng, crashWorkers)
	life := max(atLeast, time.Duration(r.rng.Int64N(int64(crashLifeMax))))
	if r.rng.IntN(2) == 0 { // one that is done before the kill
		time.Sleep(life / 2)
		_, _ = r.n.Try("BGREWRITEAOF")
		life /= 2
	}
	time.Sleep(life)
	cut := r.always && (r.rng.IntN(8) == 0 || r.count.crashes == 4)
	if cut {
		r.count.add(all.finish(r.t))
		send(r.n, "FLUSHALL")
		time.Sleep(time.Duration(r.rng.Int64N(int64(4 * time.Millisecond))))
	} else {
		r.disturb()
	}
	r.killed = time.Now()
	r.n.Kill()
	r.count.crashes++
	r.count.rewrites += max(0, r.n.ReadLogManifest().Base-before)
	leftovers, snapshot := r.n.Leftovers()
	if len(leftovers) > 0 {
		r.count.rewriting++
	}
	if snapshot {
		r.count.saving++
	}
	if !cut {
		r.count.add(all.end(r.t))
		return
	}
	r.count.flushesCut++
	r.start()
	if r.l.flushed(r.n) {
		r.count.flushesDone++
		r.l.forget()
		r.fresh = true
	}
	r.n.Kill()
}

// flush forgets all.
func (r *crashRun) flush() {
	r.t.Helper()
	r.n.MustSay("OK", "FLUSHALL")
	r.l.forget()
	r.count.flushes++
	r.fresh = true
}

// ballast makes keys that no worker asks about.
func (r *crashRun) ballast() {
	r.t.Helper()
	c := harness.DialAddr(r.t, r.n.Addr())
	defer func() { _ = c.Close() }()
	keys := ballastKeys
	if race.Enabled { // where everything takes longer, these do as well
		keys /= 10
	}
	for i := 0; i < keys; i += 2000 {
		c.Fill(fmt.Sprintf("ballast:%d:", i), "token_bucket", 2000)
	}
	r.fresh = false
}

// disturb has files written, so that the kill meets that. It takes some milliseconds.
func (r *crashRun) disturb() {
	most := 15 * time.Millisecond
	switch r.rng.IntN(5) {
	case 0, 1, 2:
		_, _ = r.n.Try("BGREWRITEAOF")
		most = disturbanceMax
	case 3:
		_, _ = r.n.Try("BGSAVE")
		most = disturbanceMax
	}
	time.Sleep(time.Duration(r.rng.Int64N(int64(most))))
}

// send sends a command and does not wait for the answer.
func send(n *harness.Node, words ...string) {
	n.T.Helper()
	c := harness.DialAddr(n.T, n.Addr())
	c.Send(harness.Command(words...))
	go func() {
		_, _ = c.Read(make([]byte, 100)) // so that it is not reset before it is read
		_ = c.Close()
	}()
}

// tear leaves behind what a write does that a crash of the system interrupts: a kill alone
// hardly ever meets one.
func (r *crashRun) tear() {
	r.t.Helper()
	path := r.n.LastIncrement()
	if path == "" || r.rng.IntN(3) > 0 {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	torn := make([]byte, 1+r.rng.IntN(5000)) // a page that was given to the file and not written
	if r.rng.IntN(2) == 0 {
		torn = torn[:min(len(torn), 1+r.rng.IntN(10))] // less than a frame's header, whatever it is
		for i := range torn {
			torn[i] = byte(r.rng.Uint32())
		}
	}
	if _, err := f.Write(torn); err != nil {
		r.t.Fatal(err)
	}
	_ = f.Close()
	r.count.tails++
}

func (r *crashRun) judge() {
	r.t.Helper()
	var since time.Time
	if !r.always {
		since = r.killed.Add(-everySecond)
	}
	r.count.forgotten.add(r.l.judge(r.n, r.killed, since))
	r.count.full = max(r.count.full, r.l.full())
	if r.t.Failed() {
		files, _ := r.n.Try("INFO", "persistence")
		r.t.Logf("after crash %d, files in %s:\n%s\n%s", r.count.crashes, r.n.Dir, files.Text, r.n.Log)
	}
}

func (r *crashRun) report() {
	r.t.Helper()
	c := &r.count
	r.t.Logf("%d crashes, %d of them while a rewrite was under way and %d while a snapshot was; %d more while starting; %d rewrites were done",
		c.crashes, c.rewriting, c.saving, c.starting, c.rewrites)
	r.t.Logf("%d commands were answered and %d were not; %d units were admitted, %d questions denied; up to %d of %d keys were at their limit",
		c.commands, c.unanswered, c.admitted, c.denied, c.full, len(r.l.counted))
	r.t.Logf("forgotten of what was acknowledged: %d units, %d commands about private keys; the oldest of them %v before the kill",
		c.forgotten.units, c.forgotten.commands, c.forgotten.age.Round(time.Millisecond))
	r.t.Logf("%d tails were torn, %d cut and told of; %d FLUSHALLs, and %d that were cut off, of which %d had happened",
		c.tails, c.tailsCut, c.flushes, c.flushesCut, c.flushesDone)
	if r.t.Failed() {
		return
	}
	if !c.shown() {
		r.t.Error("nothing has been shown: no unit was admitted, no question cut off, no key at its limit, no rewrite under way at a kill, or no FLUSHALL")
	}
	if c.tailsCut < c.tails-c.starting {
		r.t.Errorf("%d torn tails were told of; there were %d", c.tailsCut, c.tails)
	}
}
