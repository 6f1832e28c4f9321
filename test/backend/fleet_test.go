package backend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// startFleet starts servers that share what is behind them.
func startFleet(t testing.TB, n int, flags ...string) (clients []*redis.Client) {
	t.Helper()
	for range n {
		clients = append(clients, harness.StartServer(t, flags...).Client())
	}
	return clients
}

// ask asks for one unit and returns the six integers.
func ask(c *redis.Client, key, algorithm string, limit int) ([]int64, error) {
	return c.Do(context.Background(), "RL.CHECK", key, algorithm, limit, harness.AskPeriod).Int64Slice()
}

// Ten servers share a cluster of three primaries and a thousand keys, of which some share a slot by
// their {hash tags}: of each exactly the limit is admitted.
func TestOneLimitManyServersOnACluster(t *testing.T) {
	const servers, keys, limit, questions = 10, 1000, 5, 12
	cl := harness.StartCluster(t, false)
	fleet := startFleet(t, servers, "--backend", "redis-cluster", "--redis-addr", cl.Addrs(), "--redis-timeout", "10s")
	name := func(i int) string {
		if i%10 == 0 {
			return fmt.Sprintf("{tenant:%d}:%d", i%50, i)
		}
		return fmt.Sprint("user:", i)
	}
	algorithms := engine.Algorithms()
	var order []int
	for i := range keys * questions {
		order = append(order, i%keys)
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	admitted := make([]atomic.Int64, keys)
	var asking sync.WaitGroup
	for s, c := range fleet {
		part := order[s*len(order)/servers : (s+1)*len(order)/servers]
		asking.Go(func() {
			for ; len(part) > 0; part = part[min(len(part), 40):] {
				pipeline := c.Pipeline()
				var replies []*redis.Cmd
				for _, i := range part[:min(len(part), 40)] {
					replies = append(replies, pipeline.Do(context.Background(), "RL.CHECK", name(i), algorithms[i%len(algorithms)].String(), limit, harness.AskPeriod))
				}
				_, _ = pipeline.Exec(context.Background()) // each reply has its own error
				for at, reply := range replies {
					got, err := reply.Int64Slice()
					if err != nil {
						t.Errorf("%s: %v", name(part[at]), err)
					} else if got[0] == 1 {
						admitted[part[at]].Add(1)
					}
				}
			}
		})
	}
	asking.Wait()
	for i := range admitted {
		if n := admitted[i].Load(); n != limit {
			t.Errorf("%s: %d of %d were admitted; want exactly %d", name(i), n, questions, limit)
		}
	}
	for i, node := range cl.Nodes {
		n := node.C.DBSize(t.Context()).Val()
		t.Logf("primary %d has %d keys", i, n)
		if n < keys/10 {
			t.Errorf("primary %d has only %d keys", i, n)
		}
	}
	if a, b := cl.SlotOf("rl:"+name(0)), cl.SlotOf("rl:"+name(50)); a != b {
		t.Errorf("%s is in slot %d and %s in slot %d", name(0), a, name(50), b)
	}
}

// Slots move from one primary to another while servers ask about keys in them: no question is
// answered wrongly or by an error, and no state is lost.
func TestSlotsMigratedUnderLoad(t *testing.T) {
	t.Parallel()
	const keys, limit, tags = 60, 150, 6
	cl := harness.StartCluster(t, false)
	fleet := startFleet(t, 2, "--backend", "redis-cluster", "--redis-addr", cl.Addrs(), "--redis-timeout", "10s", "--deny-cache-max", "0")
	from, to := cl.Nodes[0], cl.Nodes[1]
	var moving []int64 // slots of the first primary
	var names []string
	for i := 0; len(moving) < tags; i++ {
		tag := fmt.Sprintf("{tenant:%d}", i)
		if slot := cl.SlotOf("rl:" + tag); harness.PrimaryOf(slot) == 0 {
			moving = append(moving, slot)
			for k := range keys / tags {
				names = append(names, fmt.Sprintf("%s:%d", tag, k))
			}
		}
	}
	algorithms := engine.Algorithms()
	admitted := make([]atomic.Int64, keys)
	var stop atomic.Bool
	var asked atomic.Int64
	var asking sync.WaitGroup
	for w := range 6 {
		asking.Go(func() {
			for n := w; !stop.Load(); n++ {
				i := n % keys
				got, err := ask(fleet[n/keys%2], names[i], algorithms[i%len(algorithms)].String(), limit)
				if err != nil {
					t.Errorf("%s: %v", names[i], err)
					return
				}
				admitted[i].Add(got[0])
				asked.Add(1)
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	for _, slot := range moving {
		migrate(cl, slot, from, to)
	}
	back := moving[:tags/2]
	for _, slot := range back {
		migrate(cl, slot, to, from)
	}
	retries := func() int {
		return int(harness.InfoNumbers(t, fleet[0])["backend_retries"]) + int(harness.InfoNumbers(t, fleet[1])["backend_retries"])
	}
	again, moves := retries(), len(moving)+len(back)
	for tries := 0; again == 0 && tries < 20; tries++ {
		migrate(cl, back[0], from, to)
		migrate(cl, back[0], to, from)
		again, moves = retries(), moves+2
	}
	t.Logf("%d questions while slots moved %d times, %d of them asked again at another node", asked.Load(), moves, again)
	if again == 0 {
		t.Error("no question met a slot that moved")
	}
	harness.Eventually(t, "every key is asked for until it is denied", func() bool { return asked.Load() >= 3*keys*limit || t.Failed() })
	stop.Store(true)
	asking.Wait()
	for i, name := range names {
		if n := admitted[i].Load(); n != limit {
			t.Errorf("%s of %v: %d were admitted; want exactly %d", name, algorithms[i%len(algorithms)], n, limit)
		}
	}
}

// migrate moves a slot with its keys, a few at a time.
func migrate(cl *harness.Cluster, slot int64, from, to *harness.ClusterNode) {
	cl.T.Helper()
	ctx := context.Background()
	cl.Must(to, "cluster", "setslot", slot, "importing", from.ID)
	cl.Must(from, "cluster", "setslot", slot, "migrating", to.ID)
	for {
		time.Sleep(5 * time.Millisecond) // for questions about a slot that is here and there
		keys, err := from.C.ClusterGetKeysInSlot(ctx, int(slot), 2).Result()
		if err != nil {
			cl.T.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", "127.0.0.1", to.Port, "", 0, 5000, "keys"}
		for _, key := range keys {
			args = append(args, key)
		}
		if err := from.C.Do(ctx, args...).Err(); err != nil {
			cl.T.Fatalf("%v: %v", args, err)
		}
	}
	for _, node := range []*harness.ClusterNode{to, from, cl.Nodes[2]} {
		cl.Must(node, "cluster", "setslot", slot, "node", to.ID)
	}
}

// A primary dies under load and its replica takes over. Redis replicates after it has
// answered, so what the replica has not received is forgotten: a key can be over its limit by
// no more than what was admitted of it in the moment before. Keys of the other primaries are
// answered all the time. Callers that wait long enough do not notice, but for the questions
// that are under way while the primary dies: as it dies one connection after the other ends,
// and a caller may lose a second question on the second.
func TestPrimaryKilled(t *testing.T) {
	t.Parallel()
	const keys, limit, denyCacheMax = 90, 400, time.Second
	// unreplicated is the interval before the end of a primary whose admissions may be lost. On a
	// machine that does nothing else it is a few milliseconds. Where times do not matter nothing is
	// known of it: then a key may have its limit once from each of its two primaries.
	unreplicated := 200 * time.Millisecond
	if !harness.TimesMatter {
		unreplicated = time.Hour
	}
	cl := harness.StartCluster(t, true)
	fleet := startFleet(t, 3, "--backend", "redis-cluster", "--redis-addr", cl.Addrs(), "--redis-timeout", "1s", "--deny-cache-max", denyCacheMax.String())
	patient := startFleet(t, 1, "--backend", "redis-cluster", "--redis-addr", cl.Addrs(), "--redis-timeout", "20s")[0]
	setPolicies(t, patient, fmt.Sprint("two LIMIT leaky_bucket ", limit, " 100d LIMIT sliding_window_log ", limit, " 100d"))
	w := &history{keys: make([]keyHistory, keys)}
	for i := range w.keys {
		name := fmt.Sprint("user:", i)
		w.keys[i].name, w.keys[i].primary = name, harness.PrimaryOf(cl.SlotOf("rl:"+name))
	}
	var asking sync.WaitGroup
	var stop atomic.Bool
	for n := range 6 {
		asking.Go(func() {
			for i := n; !stop.Load(); i += 7 {
				w.ask(fleet[n%len(fleet)], i%keys, limit)
			}
		})
	}
	var dying, gone atomic.Bool // the process that is killed
	var untroubled, lost atomic.Int64
	const waiting = 3
	for n := range waiting {
		asking.Go(func() {
			for i := n; !stop.Load(); i += waiting {
				later := gone.Load()
				key := fmt.Sprint("patient:", i%keys)
				var err error
				if n == 0 { // of several states
					err = patient.Do(context.Background(), "RL.CHECK", key, "@two").Err()
				} else {
					_, err = ask(patient, key, "leaky_bucket", limit)
				}
				switch {
				case err == nil:
					untroubled.Add(1)
				case later || !dying.Load(): // it was not under way when the primary died
					t.Errorf("a caller that would have waited was answered with an error: %v", err)
				default:
					lost.Add(1)
				}
			}
		})
	}
	time.Sleep(1500 * time.Millisecond)
	killed := time.Now()
	dying.Store(true)
	kill(cl.Nodes[0].Process) // returns when the process, and each of its connections, has ended
	gone.Store(true)
	deadline := time.Now().Add(2 * time.Minute)
	for !w.recovered(killed) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("keys of the primary that was killed were answered again after %v", time.Since(killed).Round(10*time.Millisecond))
	known := killed.Add(denyCacheMax) // what is denied after it is denied by the cluster as it is now
	for w.full(known) < keys && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	stop.Store(true)
	asking.Wait()
	t.Logf("with a timeout of 20 s %d questions were answered, and %d were lost that were under way", untroubled.Load(), lost.Load())
	if n := w.full(known); n < keys {
		t.Errorf("%d of %d keys were not asked until they were denied", keys-n, keys)
	}
	w.judge(t, limit, killed, unreplicated)
}
