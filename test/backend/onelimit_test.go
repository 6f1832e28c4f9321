package backend

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// A sharing is servers that share one limit.
type sharing struct {
	name    string
	servers int
	start   func(t testing.TB, servers int) []*redis.Client
}

var sharings = []sharing{
	{"2 servers, one Redis", 2, startOnRedis},
	{"10 servers, one Redis", 10, startOnRedis},
	{"10 servers, a Redis Cluster", 10, func(t testing.TB, servers int) []*redis.Client {
		return startFleet(t, servers, "--backend", "redis-cluster", "--redis-addr", harness.StartCluster(t, false).Addrs(), "--redis-timeout", "10s")
	}},
}

func startOnRedis(t testing.TB, servers int) []*redis.Client {
	return startFleet(t, servers, "--backend", "redis", "--redis-addr", harness.StartRedis(t).Addr(), "--redis-timeout", "10s")
}

// oneLimit is what each key may have, and oneMinute a period in which no unit of a log returns
// while a test asks, on however slow a machine. Units of the other algorithms do return earlier.
const (
	oneLimit  = 100
	oneMinute = "60"
)

// A tally is what callers were answered.
type tally struct{ admitted, denied atomic.Int64 }

// askTogether has callers ask for a unit of a key at the same time, each of one of the servers.
func askTogether(t testing.TB, fleet []*redis.Client, callers int, key, algorithm, period string) *tally {
	t.Helper()
	var answers tally
	var asking sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		asking.Go(func() {
			<-start
			got, err := fleet[i%len(fleet)].Do(context.Background(), "RL.CHECK", key, algorithm, oneLimit, period).Int64Slice()
			switch {
			case err != nil:
				t.Errorf("%s: %v", key, err)
			case got[0] == 1:
				answers.admitted.Add(1)
			default:
				answers.denied.Add(1)
			}
		})
	}
	close(start)
	asking.Wait()
	if admitted, denied := answers.admitted.Load(), answers.denied.Load(); admitted != oneLimit || denied != int64(callers-oneLimit) {
		t.Errorf("%s: admitted %d and denied %d of %d; want exactly %d admitted", key, admitted, denied, callers, oneLimit)
	}
	return &answers
}

// Servers share one limit of 100. 500 callers ask at once for one unit in a time in which none
// returns: exactly 100 get one, whatever the algorithm.
func TestOneLimitManyServers(t *testing.T) {
	const callers, rounds = 500, 3
	for _, s := range sharings {
		fleet := s.start(t, s.servers)
		for round := range rounds {
			for _, a := range engine.Algorithms() {
				askTogether(t, fleet, callers, fmt.Sprintf("%v:%d", a, round), a.String(), harness.AskPeriod)
			}
			askTogether(t, fleet, callers, fmt.Sprintf("minute:%d", round), engine.SlidingWindowLog.String(), oneMinute)
		}
	}
}

// BenchmarkOneLimit prints these counts with ten times the callers. It measures no time.
func BenchmarkOneLimit(t *testing.B) {
	callers := bench.Scaled(5000, 10)
	tab := bench.NewTable(fmt.Sprintf("one limit of %d a minute, %d callers at once", oneLimit, callers),
		"", "admitted", "over", "denied")
	for _, s := range sharings {
		got := askTogether(t, s.start(t, s.servers), callers, "minute", engine.SlidingWindowLog.String(), oneMinute)
		tab.Add("%s|%d|%d|%d", s.name, got.admitted.Load(), max(got.admitted.Load()-oneLimit, 0), got.denied.Load())
	}
	tab.Print(os.Stdout)
}
