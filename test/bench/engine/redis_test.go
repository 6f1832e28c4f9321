package engine_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// redisMemory measures the same of Redis: a key of 16 bytes with a small value and an
// expiry in milliseconds, which is what a script keeps there for a token bucket. An integer
// lies in the value's object itself; a text of the same length has one of its own.
func redisMemory(t testing.TB) {
	keys := bench.Scaled(1_000_000, 100)
	rows := bench.NewTable(fmt.Sprintf("Redis, %d keys of %d bytes with PX: bytes a key", keys, keyBytes),
		"value", "by used_memory_rss", "by used_memory")
	for _, v := range []struct{ name, value string }{
		{"integer of 16 digits", strconv.Itoa(firstNow)},
		{"text of 16 bytes", strings.Repeat("x", 16)},
	} {
		c := harness.StartRedis(t).Client()
		before := redisUsed(t, c)
		fillRedis(t, c, keys, v.value)
		after := redisUsed(t, c)
		each := func(name string) float64 { return float64(after[name]-before[name]) / float64(keys) }
		rows.Add("%s|%.1f|%.1f", v.name, each("used_memory_rss"), each("used_memory"))
	}
	rows.Print(os.Stdout)
}

// fillRedis sets the keys, a thousand in a pipeline.
func fillRedis(t testing.TB, c *redis.Client, keys int, value string) {
	t.Helper()
	const batch = 1000
	const hour = 3_600_000 // ms
	var s scratch
	for first := 0; first < keys; first += batch {
		_, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := first; i < min(first+batch, keys); i++ {
				p.Do(t.Context(), "SET", strings.Clone(s.key(uint64(i))), value, "PX", hour)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := c.DBSize(t.Context()).Val(); n != int64(keys) {
		t.Fatalf("Redis has %d keys and not %d", n, keys)
	}
}

// redisUsed reads Redis's own figures of its memory, in bytes. Redis looks at its resident
// memory ten times a second.
func redisUsed(t testing.TB, c *redis.Client) map[string]int64 {
	t.Helper()
	time.Sleep(500 * time.Millisecond)
	return harness.InfoNumbers(t, c)
}
