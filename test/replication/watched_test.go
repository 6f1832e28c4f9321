package replication

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// A watched is three servers, of which one is the primary, and three Sentinels that watch
// them. Clients, replicas and Sentinels reach a server through its front, which a test can cut
// off. A client with the server's own port is on its side of the cut.
type watched struct {
	t         testing.TB
	nodes     []*harness.Node
	fronts    []*link
	configs   []string // of the nodes
	sentinels []*harness.Process
}

const (
	watchedName = "limits"
	watchedSize = 3
)

// watchedDown is how long a server may be silent before a Sentinel takes it for dead. A failover
// closes the connections of the other Sentinels (CLIENT KILL TYPE normal), and they connect again
// once a second at most: with no more than that they take the new primary for dead at once.
const watchedDown = 3 * time.Second

// startWatched starts servers with these flags, the first of them the primary, and Sentinels,
// and waits until all know each other.
func startWatched(t testing.TB, flags ...string) *watched {
	t.Helper()
	w := &watched{t: t}
	for i := range watchedSize {
		n := harness.NewNode(t)
		front := startLink(t, frontedAddr(n))
		config := filepath.Join(n.Dir, "rlserver.yaml")
		text := fmt.Sprintf("replica-announce-ip: 127.0.0.1\nreplica-announce-port: %d\n", front.port)
		if i > 0 {
			text += fmt.Sprintf("replicaof: 127.0.0.1 %d\n", w.fronts[0].port)
		}
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n.Flags = append([]string{"--config", config, "--repl-timeout", "5"}, flags...)
		n.Start()
		w.nodes, w.fronts, w.configs = append(w.nodes, n), append(w.fronts, front), append(w.configs, config)
	}
	harness.AwaitSync(w.nodes[0], w.nodes[1:]...)
	for range watchedSize {
		w.sentinels = append(w.sentinels, harness.StartSentinel(t, watchedName, w.fronts[0].port, watchedDown))
	}
	for _, s := range w.sentinels {
		w.awaitSentinel(s)
	}
	return w
}

// frontedAddr is where the node will listen.
func frontedAddr(n *harness.Node) string { return "127.0.0.1:" + strconv.Itoa(n.Port) }

// awaitSentinel waits until a Sentinel knows the replicas and the other Sentinels.
func (w *watched) awaitSentinel(s *harness.Process) {
	w.t.Helper()
	var seen map[string]harness.Value
	for began := time.Now(); ; harness.Pause() {
		reply, err := harness.AskAt(s.Addr(), "SENTINEL", "MASTER", watchedName)
		seen = reply.Pairs()
		quorum, _ := harness.AskAt(s.Addr(), "SENTINEL", "CKQUORUM", watchedName)
		if err == nil && seen["num-slaves"].Text == "2" && seen["num-other-sentinels"].Text == "2" && seen["flags"].Text == "master" && strings.HasPrefix(quorum.Text, "OK") {
			replicas, _ := harness.AskAt(s.Addr(), "SENTINEL", "REPLICAS", watchedName)
			ready := 0
			for _, r := range replicas.Parts {
				if fields := r.Pairs(); fields["flags"].Text == "slave" && fields["master-link-status"].Text == "ok" {
					ready++
				}
			}
			if ready == watchedSize-1 {
				return
			}
		}
		if time.Since(began) > harness.Patience {
			w.t.Fatalf("a Sentinel does not know all the others: %v\n%s", seen, s.Log)
		}
	}
}

// primaryNow is the number of the server that the Sentinels say is the primary, or −1.
func (w *watched) primaryNow() int {
	reply, _ := harness.AskAt(w.sentinels[0].Addr(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", watchedName)
	for i, front := range w.fronts {
		if texts := reply.Texts(); len(texts) == 2 && texts[1] == strconv.Itoa(front.port) {
			return i
		}
	}
	return -1
}

// failover is a client of go-redis that asks the Sentinels for the primary.
func (w *watched) failover() *redis.Client {
	var addrs []string
	for _, s := range w.sentinels {
		addrs = append(addrs, s.Addr())
	}
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: watchedName, SentinelAddrs: addrs, MaxRetries: -1, PoolSize: 20,
		DialTimeout: 500 * time.Millisecond, ReadTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond,
	})
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// The key on which over-admission is measured. Nothing of it returns while the test runs.
const measuredBurst = 40_000

// measuredKey is a name that mustEqual knows, of a token_bucket, and that no stir uses.
var measuredKey = "hot:" + strconv.Itoa(len(harness.Algorithms()))

var measuredQuestion = []any{"RL.CHECK", measuredKey, "token_bucket", 1000, "366d", "BURST", measuredBurst}

// askers ask for units of the measured key, one at a time each, and note when each was admitted.
type askers struct {
	mu       sync.Mutex
	admitted []time.Time
	asked    time.Time // the last question that was admitted
	errors   map[string]int
	denied   atomic.Int64
	stop     atomic.Bool
	running  sync.WaitGroup
}

// start has goroutines ask, with a pause after each answer.
func (a *askers) start(workers int, ask func() ([]int64, error)) {
	a.errors = map[string]int{}
	for range workers {
		a.running.Go(func() {
			for !a.stop.Load() {
				asked := time.Now()
				got, err := ask()
				switch {
				case err != nil:
					a.mu.Lock()
					word, _, _ := strings.Cut(err.Error(), " ")
					if strings.ToUpper(word) != word {
						word = "connection"
					}
					a.errors[word]++
					a.mu.Unlock()
					time.Sleep(5 * time.Millisecond)
				case got[0] == 1:
					a.mu.Lock()
					a.admitted = append(a.admitted, time.Now())
					if asked.After(a.asked) {
						a.asked = asked
					}
					a.mu.Unlock()
				default:
					a.denied.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func (a *askers) end() {
	a.stop.Store(true)
	a.running.Wait()
}

// between is how many units were admitted in a span.
func (a *askers) between(from, to time.Time) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.admitted {
		if at.After(from) && !at.After(to) {
			n++
		}
	}
	return n
}

// first is when the first unit was admitted after an instant; zero if none was.
func (a *askers) first(after time.Time) (first time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.admitted {
		if at.After(after) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// last is when the last unit was admitted.
func (a *askers) last() (last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.admitted {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// throughSentinel has clients ask the server that the Sentinels call the primary.
func (w *watched) throughSentinel() *askers {
	a, c := &askers{}, w.failover()
	a.start(8, func() ([]int64, error) { return c.Do(context.Background(), measuredQuestion...).Int64Slice() })
	return a
}

// direct has clients ask a server by its own port, whatever it is: they are on its side of a
// cut.
func (w *watched) direct(n *harness.Node) *askers {
	a := &askers{}
	c := redis.NewClient(&redis.Options{Addr: frontedAddr(n), MaxRetries: -1, ReadTimeout: 500 * time.Millisecond, DialTimeout: 500 * time.Millisecond})
	w.t.Cleanup(func() { _ = c.Close() })
	a.start(4, func() ([]int64, error) { return c.Do(context.Background(), measuredQuestion...).Int64Slice() })
	return a
}
