package backend

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// setPolicies sets policies, each a name and its limits.
func setPolicies(t *testing.T, c *redis.Client, policies ...string) {
	t.Helper()
	for _, text := range policies {
		words := []any{"RL.POLICY", "SET"}
		for _, word := range strings.Fields(text) {
			words = append(words, word)
		}
		harness.Eventually(t, text, func() bool { return c.Do(t.Context(), words...).Err() == nil })
	}
}

// In a cluster all limits of a key share a slot, whatever bytes the key has, and so do keys of one
// {hash tag}. A call over keys of several slots is refused before anything is taken, or sent.
func TestCallsOnACluster(t *testing.T) {
	t.Parallel()
	cl := harness.StartCluster(t, false)
	c := startFleet(t, 1, "--backend", "redis-cluster", "--redis-addr", cl.Addrs(), "--redis-timeout", "10s")[0]
	setPolicies(t, c, "api LIMIT token_bucket 10 1h LIMIT sliding_window_log 8 2h LIMIT fixed_window 100 month LIMIT sliding_window_counter 9 3h")
	for _, key := range []string{"user:1", "{eu}:1", "}", "}{", "{}", "a{b", "a}b", "{}a{b}", "\x00\xff\r\n", "a@b", "x@api:f/month", "{!}}"} {
		for _, want := range []string{"[1 8 5 ", "[1 8 2 ", "[0 8 2 "} {
			if got, err := c.Do(t.Context(), "RL.CHECK", key, "@api", "COST", 3).Int64Slice(); err != nil || !strings.HasPrefix(fmt.Sprint(got), want) {
				t.Errorf("%q: %v %v; want %s…", key, got, err, want)
			}
		}
	}
	if got := harness.Integers(t, c, "RL.MCHECK", 2, "{acme}:in", "@api", "{acme}:out", "@api"); got[0] != 1 {
		t.Errorf("keys of one tag: %v", got)
	}
	asked := harness.InfoNumbers(t, c)["backend_pipelines"]
	for _, op := range [][]any{{}, {"FORCE"}} {
		words := append([]any{"RL.MCHECK", 3, "one", "@api", "two", "@api", "three", "@api"}, op...)
		if err := c.Do(t.Context(), words...).Err(); err == nil || !strings.HasPrefix(err.Error(), "CROSSSLOT Keys in request don't hash to the same slot") {
			t.Errorf("%v: %v", words, err)
		}
	}
	if n := harness.InfoNumbers(t, c)["backend_pipelines"]; n != asked {
		t.Errorf("%v pipelines were sent for calls that were refused", n-asked)
	}
	for _, key := range []string{"one", "two", "three"} {
		if got := harness.Integers(t, c, "RL.PEEK", key, "@api"); got[2] != 8 {
			t.Errorf("%s: %v; want nothing taken", key, got)
		}
	}
}

// Slots move while servers ask for several states in them at once: each call is decided as a whole, on
// one primary or the other, and none is lost.
func TestCallsWhileSlotsMove(t *testing.T) {
	t.Parallel()
	const tags, limit = 4, 100
	cl := harness.StartCluster(t, false)
	fleet := startFleet(t, 2, "--backend", "redis-cluster", "--redis-addr", cl.Addrs(), "--redis-timeout", "20s", "--deny-cache-max", "0")
	setPolicies(t, fleet[0], fmt.Sprint("api LIMIT token_bucket ", limit, " 100d LIMIT sliding_window_log ", 2*limit, " 100d LIMIT sliding_window_counter ", limit+5, " 100d"))
	harness.Eventually(t, "both servers know the policy", func() bool { return fleet[1].Do(t.Context(), "RL.POLICY", "GET", "api").Err() == nil })
	var moving []int64
	var names []string
	for i := 0; len(moving) < tags; i++ {
		tag := fmt.Sprintf("{tenant:%d}", i)
		if slot := cl.SlotOf(tag); harness.PrimaryOf(slot) == 0 {
			moving, names = append(moving, slot), append(names, tag)
		}
	}
	var admitted [tags]atomic.Int64
	var stop atomic.Bool
	var asked atomic.Int64
	var asking sync.WaitGroup
	for w := range tags {
		asking.Go(func() {
			for n := w; !stop.Load(); n++ {
				i := n % tags
				got, err := fleet[n/tags%2].Do(context.Background(), "RL.MCHECK", 2, names[i]+":in", "@api", names[i]+":out", "@api").Int64Slice()
				if err != nil {
					t.Errorf("%s: %v", names[i], err)
					return
				}
				admitted[i].Add(got[0])
				asked.Add(1)
			}
		})
	}
	harness.Eventually(t, "all are asked", func() bool { return asked.Load() > 10*tags || t.Failed() })
	for _, slot := range moving {
		migrate(cl, slot, cl.Nodes[0], cl.Nodes[1])
	}
	retries := func() float64 {
		return float64(harness.InfoNumbers(t, fleet[0])["backend_retries"]) + float64(harness.InfoNumbers(t, fleet[1])["backend_retries"])
	}
	for tries := 0; retries() == 0 && tries < 20; tries++ {
		migrate(cl, moving[0], cl.Nodes[1], cl.Nodes[0])
		migrate(cl, moving[0], cl.Nodes[0], cl.Nodes[1])
	}
	if retries() == 0 {
		t.Error("no call met a slot that moved")
	}
	harness.Eventually(t, "all are asked until they are denied", func() bool { return asked.Load() >= 3*tags*limit || t.Failed() })
	stop.Store(true)
	asking.Wait()
	for i, name := range names {
		if n := admitted[i].Load(); n != limit {
			t.Errorf("%s: %d calls were admitted; want exactly %d", name, n, limit)
		}
	}
}

// While no Redis decides, calls are answered by the fallback.
func TestCallsWithoutRedis(t *testing.T) {
	t.Parallel()
	r := startFaultyRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "1s", "--local-share", "2").Client()
	setPolicies(t, c, "api LIMIT token_bucket 10 100d LIMIT fixed_window 8 year", "seen LIMIT token_bucket 1 100d LIMIT fixed_window 1 year SHADOW")
	if got := fmt.Sprint(harness.Integers(t, c, "RL.CHECK", "k", "@api", "COST", 2)[:3]); got != "[1 8 6]" {
		t.Errorf("before: %s", got)
	}
	kill(r.Process)
	for _, step := range []struct {
		fallback, words, want string
	}{
		{"error", "RL.CHECK k @api", "UNAVAILABLE"},
		{"allow", "RL.MCHECK 2 k @api k2 @api COST 100", "[1 10 -1 0 0 0]"},
		{"deny", "RL.MCHECK 2 k @api k2 @api", "[0 10 -1 1000 0 0]"},
		{"deny", "RL.REFUND k @api", "[1 10 -1 0 0 0]"},
		{"deny", "RL.CHECK k @seen", "[1 1 -1 0 0 0]"},
		{"local", "RL.CHECK k @api COST 3", "[1 8 1 0"}, // of 5 and 4
		{"local", "RL.MCHECK 2 k2 @api k @api COST 2", "[0 8 1"},
		{"local", "RL.CHECK k2 @api COST 4", "[1 8 0 0"},
		{"local", "RL.CHECK k3 @api COST 6", "[0 10 5 1000"}, // more than the share
		{"local", "RL.CHECK k3 @api COST 11", "[0 10 5 -1"},
	} {
		integersOrOK(t, c, "CONFIG", "SET", "on-redis-failure", step.fallback)
		var words []any
		for _, word := range strings.Fields(step.words) {
			words = append(words, word)
		}
		got, err := c.Do(t.Context(), words...).Int64Slice()
		said := fmt.Sprint(got)
		if err != nil {
			said = err.Error()
		}
		if !strings.HasPrefix(said, step.want) {
			t.Errorf("%s, %s: %s; want %s", step.fallback, step.words, said, step.want)
		}
	}
}
