package peers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

const (
	generous   = 1_000_000 // a limit that no key reaches
	hotLimit   = 100
	hammerers  = 64 // goroutines that ask for one key at the same time
	hammerings = 10 // keys that are asked for like this
)

// A row is a contestant and what was measured of it.
type row struct {
	contestant
	allow      ask
	one, cores bench.Rounds[float64] // ns a check: one goroutine, and as many as cores
	hot        hammering
}

// BenchmarkPeers compares the contestants in rounds that alternate, and prints one table.
func BenchmarkPeers(t *testing.B) {
	bench.OnlyOnLinux(t)
	rounds, length := bench.Plan()
	cores, keys := runtime.GOMAXPROCS(0), names(bench.Keys)
	var rows []*row
	for _, c := range contestants {
		r := &row{contestant: c, allow: c.mustMake(t, generous)}
		fill(t, r.allow, keys)
		rows = append(rows, r)
	}
	for range rounds {
		for _, r := range rows {
			r.one = append(r.one, r.round(t, keys, 1, length/4))
			r.cores = append(r.cores, r.round(t, keys, cores, length/4))
		}
	}
	same := func(ns float64) float64 { return ns }
	tab := bench.NewTable(fmt.Sprintf("libraries of Go programs in process, %d keys; medians of %d rounds; × is the median of the rounds' ratios", len(keys), rounds),
		"", "algorithm", "ns a check, 1 goroutine", "× rlserver's", fmt.Sprintf("%d goroutines", cores), "× rlserver's",
		"MB, 100,000 keys", "MB, 1,000,000 keys", fmt.Sprintf("%d keys, %d goroutines on each: admitted", hammerings, hammerers), "allowed", "too many", "errors")
	for _, r := range rows {
		r.hot = hammer(t, r.mustMake(t, hotLimit))
		if r.name == nameEngine && (r.hot.over > 0 || r.hot.errors > 0) {
			t.Errorf("%s: %+v", r.name, r.hot)
		}
		tab.Add("%s|%s|%.0f|%.1f|%.0f|%.1f|%s|%s|%d of %d|%d|%d|%d", r.name, r.algorithm,
			r.one.Median(same), r.one.Ratio(rows[0].one, same), r.cores.Median(same), r.cores.Ratio(rows[0].cores, same),
			r.memory(t, 100_000), r.memory(t, 1_000_000), r.hot.admitted, r.hot.asked, r.hot.allowed, r.hot.over, r.hot.errors)
	}
	tab.Print(os.Stdout)
}

// mustMake makes a contestant, with a Redis if it needs one.
func (c contestant) mustMake(t testing.TB, limit int) ask {
	t.Helper()
	addr := ""
	if c.name == nameRedisRate {
		addr = harness.StartRedis(t).Addr()
	}
	allow, err := c.make(limit, addr)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return allow
}

// names are keys of 16 bytes.
func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i)
	}
	return keys
}

// fill asks once for each key, by several goroutines.
func fill(t testing.TB, allow ask, keys []string) {
	t.Helper()
	var filling sync.WaitGroup
	for i := range hammerers {
		filling.Go(func() {
			for at := i; at < len(keys); at += hammerers {
				if allowed, err := allow(keys[at]); !allowed || err != nil {
					t.Errorf("%s was not admitted: %v", keys[at], err)
					return
				}
			}
		})
	}
	filling.Wait()
}

// round has goroutines ask about random keys for a while, and returns ns of the wall's clock for a
// check. Each check is admitted.
func (r *row) round(t testing.TB, keys []string, goroutines int, length time.Duration) float64 {
	t.Helper()
	runtime.GC()
	var stop atomic.Bool
	var checks atomic.Int64
	var asking sync.WaitGroup
	begin := time.Now()
	time.AfterFunc(length, func() { stop.Store(true) })
	for i := range goroutines {
		asking.Go(func() {
			draw, n := rand.New(rand.NewPCG(uint64(i), uint64(len(keys)))), int64(0)
			for ; !stop.Load(); n++ {
				if allowed, err := r.allow(keys[draw.IntN(len(keys))]); !allowed || err != nil {
					t.Errorf("%s: a check was not admitted: %v", r.name, err)
					break
				}
			}
			checks.Add(n)
		})
	}
	asking.Wait()
	return float64(time.Since(begin)) / float64(max(checks.Load(), 1))
}

// A hammering is what goroutines were told that asked for the same key at the same time. It sums up
// several keys.
type hammering struct {
	asked, admitted, errors int64
	allowed                 int64 // the limit, and what came back meanwhile
	over                    int64 // admitted past that
}

// hammer asks for one fresh key after the other.
func hammer(t testing.TB, allow ask) (all hammering) {
	t.Helper()
	calls := bench.Scaled(200, 10)
	for i := range hammerings {
		key := fmt.Sprintf("hot:%012d", i)
		var admitted, failed atomic.Int64
		var asking sync.WaitGroup
		start := make(chan struct{})
		for range hammerers {
			asking.Go(func() {
				<-start
				for range calls {
					switch allowed, err := allow(key); {
					case err != nil:
						failed.Add(1)
					case allowed:
						admitted.Add(1)
					}
				}
			})
		}
		begin := time.Now()
		close(start)
		asking.Wait()
		allowed := hotLimit + int64(time.Since(begin)/(period/hotLimit))
		all.asked += int64(hammerers * calls)
		all.admitted += admitted.Load()
		all.errors += failed.Load()
		all.allowed += allowed
		all.over += max(admitted.Load()-allowed, 0)
	}
	return all
}
