package replication

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// An outage is one way for a primary not to be there for the Sentinels, and to return.
type outage struct {
	name  string
	flags []string // of all servers
	begin func(w *watched)
	end   func(w *watched)
	// apart says that clients on its side can ask it during the outage.
	apart bool
	// lag is when it must have ceased to admit, if it does by itself; 0: it does not.
	lag time.Duration
}

var outages = []outage{
	{name: "killed",
		begin: func(w *watched) { w.nodes[0].Kill(); w.fronts[0].down() },
		end:   func(w *watched) { w.nodes[0].Start(); w.fronts[0].up(w.t) }},
	{name: "stopped",
		begin: func(w *watched) { _ = w.nodes[0].Cmd.Process.Signal(syscall.SIGSTOP) },
		end:   func(w *watched) { _ = w.nodes[0].Cmd.Process.Signal(syscall.SIGCONT) }},
	{name: "cut off", apart: true,
		begin: func(w *watched) { w.fronts[0].set(weather{hole: true}) },
		end:   func(w *watched) { w.fronts[0].set(weather{}); w.fronts[0].cut() }},
	{name: "cut off, min-replicas-to-write 1", apart: true, lag: 2 * time.Second,
		flags: []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"},
		begin: func(w *watched) { w.fronts[0].set(weather{hole: true}) },
		end:   func(w *watched) { w.fronts[0].set(weather{}); w.fronts[0].cut() }},
}

const (
	// unreplicated is the interval before the end of a primary whose admissions may be lost:
	// changes are sent every few milliseconds, and here nothing holds them up for long. It is
	// judged where times matter. Where they do not, all that the old primary admitted may be lost.
	unreplicated = 200 * time.Millisecond
	// failoverMax is how long Sentinels may take: on a busy machine an election can fail, and
	// the next one waits for twice the failover-timeout.
	failoverMax = 4 * time.Minute
)

// Three Sentinels of Redis fail over from a primary that is killed, stopped or cut off, while
// clients of go-redis carry on. The primary that returns becomes a replica.
//
// How far one key is over its limit then is bounded by what the new primary could not know:
// what the old one admitted in the interval that was not replicated any more, and what it
// admitted from then on, to clients that could still reach it, until it was demoted. A primary that
// is killed admits nothing more. One that was stopped admits again when it goes on. One that is
// cut off admits all the time, unless min-replicas-to-write has it cease when it has not heard of
// its replicas for min-replicas-max-lag.
func TestSentinel(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.play(t)
		})
	}
}

func (o outage) play(t *testing.T) {
	w := startWatched(t, o.flags...)
	old := w.nodes[0]
	stirred := startStir(t, old, rand.New(rand.NewPCG(3, 0)), 1, 0, 5*time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	stirred.end(t)
	clients := w.throughSentinel()
	harness.Eventually(t, "clients are served", func() bool { return !clients.first(time.Time{}).IsZero() })
	time.Sleep(700 * time.Millisecond)

	began := time.Now()
	o.begin(w)
	var local *askers
	if o.apart {
		local = w.direct(old)
	}
	now := 0
	awaitUnlessGone(t, old, "the Sentinels have another primary", failoverMax, func() bool { now = w.primaryNow(); return now > 0 })
	switched := time.Since(began)
	var again time.Time
	awaitUnlessGone(t, old, "clients are served again", failoverMax, func() bool {
		again = clients.first(began.Add(2 * nap))
		return !again.IsZero()
	})
	t.Logf("another primary after %v, clients admitted again after %v", switched.Round(10*time.Millisecond), again.Sub(began).Round(10*time.Millisecond))
	time.Sleep(time.Second)

	if o.name == "stopped" { // its own clients are there when it goes on
		local = w.direct(old)
	}
	returned := time.Now()
	o.end(w)
	old.AwaitThat("it refuses changes as a replica", func() bool {
		reply, _ := old.Try("RL.RESET", "none") // Sentinel may close the connection
		return strings.HasPrefix(reply.Text, "READONLY")
	})
	demoted := time.Now()
	old.AwaitField("master_link_status", "up")
	t.Logf("the old primary was a replica %v after it had returned", demoted.Sub(returned).Round(10*time.Millisecond))
	if local != nil {
		local.end()
	}
	before := clients.denied.Load()
	awaitUnlessGone(t, w.nodes[now], "the key is at its limit", failoverMax, func() bool { return clients.denied.Load() > before+50 })
	clients.end()
	o.judge(t, clients, local, began, demoted)

	harness.AwaitSync(w.nodes[now], old)
	harness.Drained(w.nodes[now])
	harness.AwaitSync(w.nodes[now], w.others(now)...)
	keys := mustEqual(t, w.nodes[now], w.others(now)...)
	t.Logf("%d keys, equal on all three", keys)
	w.restart(t, 0, now)
	for i, n := range w.nodes {
		if !strings.Contains(n.Log.String(), "this server is a ") && i == now {
			t.Errorf("the log of the new primary does not tell of its role:\n%s", n.Log)
		}
	}
}

// nap is longer than an answer is on its way.
const nap = 50 * time.Millisecond

// awaitUnlessGone waits for something that others do about the node.
func awaitUnlessGone(t testing.TB, n *harness.Node, what string, atMost time.Duration, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); harness.Pause() {
		if time.Since(began) > atMost {
			t.Fatalf("not so after %v: %s\n%s", atMost, what, n.Log)
		}
	}
}

func (w *watched) others(than int) (list []*harness.Node) {
	for i, n := range w.nodes {
		if i != than {
			list = append(list, n)
		}
	}
	return list
}

// judge holds what was admitted against the bound.
func (o outage) judge(t *testing.T, clients, local *askers, began, demoted time.Time) {
	t.Helper()
	total := len(clients.admitted)
	lost := clients.between(began.Add(-unreplicated), began.Add(2*nap)) // what the old one admitted that may be lost
	apart, ceased := 0, "of which it admitted nothing more"
	if local != nil {
		apart = len(local.admitted)
		total += apart
		ceased = fmt.Sprintf("and %d by the old primary until %v after the outage began (errors then: %v)",
			apart, local.last().Sub(began).Round(10*time.Millisecond), local.errors)
		if local.asked.After(demoted) {
			t.Errorf("the old primary admitted what it was asked %v after it had refused changes as a replica", local.asked.Sub(demoted))
		}
		if apart == 0 {
			t.Error("nothing has been shown: the old primary was not asked")
		}
		if o.lag > 0 {
			if local.errors["NOREPLICAS"] == 0 {
				t.Errorf("the old primary, which has no replicas, did not refuse changes before it was demoted: %v", local.errors)
			}
			harness.Within(t, o.lag+1500*time.Millisecond, local.last().Sub(began), "the old primary, which has no replicas, admitted and")
		}
	}
	over := total - measuredBurst
	t.Logf("admitted %d of a limit of %d: %d over, where %d could have been: %d in the %v before the outage, %s; clients behind Sentinel had errors %v",
		total, measuredBurst, over, lost+apart, lost, unreplicated, ceased, clients.errors)
	if !harness.TimesMatter {
		lost = clients.between(time.Time{}, began.Add(2*nap))
	}
	if over > lost+apart {
		t.Errorf("%d over the limit; at most %d could be", over, lost+apart)
	}
	if over < -50 { // answers that were lost on the way were admitted too
		t.Errorf("%d units were never admitted", -over)
	}
}

// restart has the old primary killed and started again: it is what CONFIG REWRITE, which
// Sentinel sends, has written into its file.
func (w *watched) restart(t *testing.T, i, primary int) {
	t.Helper()
	text, err := os.ReadFile(w.configs[i])
	if want := fmt.Sprintf("127.0.0.1 %d", w.fronts[primary].port); err != nil || !strings.Contains(string(text), want) {
		t.Errorf("the file of the old primary does not have %q:\n%s\n%v", want, text, err)
	}
	if text, _ := os.ReadFile(w.configs[primary]); strings.Contains(string(text), "replicaof: 127") {
		t.Errorf("the file of the new primary says that it follows another server:\n%s", text)
	}
	w.nodes[i].Kill()
	w.nodes[i].Start()
	if role := w.nodes[i].Field("role"); role != "slave" {
		t.Errorf("after a restart the old primary is a %s", role)
	}
	w.nodes[i].AwaitField("master_link_status", "up")
	mustEqual(t, w.nodes[primary], w.nodes[i])
}
