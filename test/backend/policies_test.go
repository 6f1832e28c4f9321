package backend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// seenWithin is how soon a change of policies is seen by all servers, where times matter.
const seenWithin = time.Second

// mustSeeSoon wants all servers to say something of policies that holds.
func mustSeeSoon(t *testing.T, fleet []*redis.Client, holds func(said string) bool, words ...any) {
	t.Helper()
	began := time.Now()
	for _, c := range fleet {
		said := ""
		harness.Eventually(t, fmt.Sprint("all servers have changed what they say to ", words), func() bool {
			said = fmt.Sprint(c.Do(t.Context(), words...).Result())
			return holds(said)
		})
	}
	harness.Within(t, seenWithin, time.Since(began), "a change of policies")
}

// saysUsers is a number of overrides of users that a server says.
func saysUsers(n int) func(string) bool {
	return func(said string) bool { return strings.Count(said, "user:") == n }
}

// saysAPI is whether a server says that there is a policy.
func saysAPI(said string) bool { return strings.Contains(said, "api:token_bucket 100 1h") }

// Servers that share a Redis, or a cluster, have one set of policies. All see a change, and those that
// are made at the same time are all there. A server that starts later has the set as well.
func TestPoliciesAreShared(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) []string{
		"Redis":   func(t *testing.T) []string { return []string{"redis", harness.StartRedis(t).Addr()} },
		"cluster": func(t *testing.T) []string { return []string{"redis-cluster", harness.StartCluster(t, false).Addrs()} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := start(t)
			flags := []string{"--backend", behind[0], "--redis-addr", behind[1], "--redis-timeout", "10s"}
			fleet := startFleet(t, 2, flags...)
			do := func(c *redis.Client, words ...any) {
				t.Helper()
				if err := c.Do(t.Context(), words...).Err(); err != nil {
					t.Errorf("%v: %v", words, err)
				}
			}
			do(fleet[0], "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", 100, "1h", "LIMIT", "fixed_window", 1000, "month")
			mustSeeSoon(t, fleet, saysAPI, "RL.POLICY", "LIST")
			const changers, changes = 4, 10
			var changing sync.WaitGroup
			for i := range changers {
				changing.Go(func() {
					for n := range changes {
						do(fleet[i%2], "RL.POLICY", "OVERRIDE", "api", fmt.Sprint("user:", i, ":", n), "LIMIT", "token_bucket", 1+n, "1h")
					}
				})
			}
			changing.Wait()
			mustSeeSoon(t, fleet, saysUsers(changers*changes), "RL.POLICY", "OVERRIDES", "api")
			fleet = append(fleet, startFleet(t, 1, flags...)...)
			mustSeeSoon(t, fleet, saysAPI, "RL.POLICY", "LIST")
			do(fleet[2], "RL.POLICY", "UNSET", "api", "user:0:0")
			mustSeeSoon(t, fleet, saysUsers(changers*changes-1), "RL.POLICY", "OVERRIDES", "api")
			do(fleet[1], "RL.POLICY", "DEL", "api")
			mustSeeSoon(t, fleet, func(said string) bool { return !saysAPI(said) }, "RL.POLICY", "LIST")
		})
	}
}

// The policies of a file are in force from the start, Redis or not, and are never gone: not when Redis
// comes and has none, or others.
func TestPoliciesOfTheFileBeforeRedis(t *testing.T) {
	t.Parallel()
	r := startFaultyRedis(t)
	kill(r.Process)
	var text strings.Builder
	text.WriteString("policies:\n  api: token_bucket 1000000 1s\n")
	for n := range 10_000 {
		fmt.Fprintf(&text, "  p%d: token_bucket 5 1s\n", n)
	}
	file := filepath.Join(t.TempDir(), "rlserver.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--backend", "redis", "--redis-addr", r.Addr(), "--on-redis-failure", "allow", "--redis-timeout", "5s"}
	c := harness.StartServer(t, append(flags, "--config", file)...).Client()
	var kept atomic.Bool
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() {
		for !kept.Load() && !t.Failed() {
			if err := c.Do(context.Background(), "RL.CHECK", "k", "@api").Err(); err != nil {
				t.Errorf("a question: %v", err)
			}
		}
	})
	defer kept.Store(true)
	r.again()
	other := harness.StartServer(t, flags...).Client()
	harness.Eventually(t, "Redis has the policies of the file", func() bool {
		return strings.Count(fmt.Sprint(other.Do(t.Context(), "RL.POLICY", "LIST").Result()), "token_bucket") == 10_001
	})
}

// mustFailTogether makes many changes at once that no Redis keeps. None waits for all of the others, and
// none says that it may have been made, unless its time was over in the middle of an attempt.
func mustFailTogether(t *testing.T, c *redis.Client) {
	t.Helper()
	var changing sync.WaitGroup
	for n := range 20 {
		changing.Go(func() {
			err := c.Do(t.Context(), "RL.POLICY", "SET", fmt.Sprint("p", n), "DENY").Err()
			if err == nil || !strings.HasPrefix(err.Error(), "UNAVAILABLE ") ||
				strings.Contains(err.Error(), "not known") && !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
				t.Errorf("one of many changes without Redis: %v", err)
			}
		})
	}
	changing.Wait()
}

// While Redis is away the policies stay as they are, and changes fail. A Redis that comes back without
// them is given them again. A server that starts meanwhile has none, and reads them when it can.
func TestPoliciesWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	r := startFaultyRedis(t)
	server := func() *redis.Client {
		return harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr()).Client()
	}
	get := func(c *redis.Client) string {
		return fmt.Sprint(c.Do(context.Background(), "RL.POLICY", "GET", "api").Result())
	}
	c := server()
	harness.Eventually(t, "a policy is set", func() bool {
		return c.Do(t.Context(), "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", 5, "1h").Err() == nil
	})
	before := get(c)
	if !strings.Contains(before, "token_bucket 5 1h") {
		t.Fatal(before)
	}
	kill(r.Process)
	if err := c.Do(t.Context(), "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", 6, "1h").Err(); err == nil || !strings.HasPrefix(err.Error(), "UNAVAILABLE ") {
		t.Errorf("a change without Redis: %v", err)
	}
	mustFailTogether(t, c)
	late := server()
	if err := late.Do(t.Context(), "RL.POLICY", "SET", "other", "DENY").Err(); err == nil || !strings.HasPrefix(err.Error(), "UNAVAILABLE ") {
		t.Errorf("a change before Redis was read: %v", err)
	}
	if got := get(c); got != before {
		t.Errorf("without Redis the policy is %s, and was %s", got, before)
	}
	if err := late.Do(t.Context(), "RL.CHECK", "k", "@api").Err(); err == nil || !strings.Contains(err.Error(), "unknown policy 'api'") {
		t.Errorf("a question about a policy that was not read: %v", err)
	}
	r.again()
	harness.Eventually(t, "the server that came late has the policy", func() bool { return strings.Contains(get(late), "token_bucket 5 1h") })
	if got := get(c); got != before {
		t.Errorf("with Redis again the policy is %s, and was %s", got, before)
	}
}
