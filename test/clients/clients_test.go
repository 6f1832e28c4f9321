package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// Every client connects with its default options, and once with a password. What each one
// does is the same (testdata/client.py says it in full): ask until denied, look at the six
// integers, pipeline, get an error and go on.

func forEachPassword(t *testing.T, test func(t *testing.T, p *harness.Process, password string)) {
	t.Helper()
	t.Run("no password", func(t *testing.T) { test(t, harness.StartServer(t), "") })
	t.Run("password", func(t *testing.T) {
		test(t, harness.StartServer(t, "--requirepass", "geheim wörd"), "geheim wörd")
	})
}

func TestGoRedis(t *testing.T) {
	forEachPassword(t, func(t *testing.T, p *harness.Process, password string) {
		for _, protocol := range []int{0, 2, 3} { // 0: go-redis chooses
			t.Run(fmt.Sprintf("protocol %d", protocol), func(t *testing.T) {
				c := redis.NewClient(&redis.Options{Addr: p.Addr(), Password: password, Protocol: protocol})
				defer c.Close()
				askWithGoRedis(t, c, fmt.Sprintf("go:%d:", protocol))
				identity := c.ClientInfo(context.Background()).Val()
				if identity == nil || !strings.HasPrefix(identity.LibName, "go-redis") || identity.LibVer == "" {
					t.Errorf("CLIENT INFO is read as %+v, without go-redis's name", identity)
				}
				if protocol != 0 && identity != nil && identity.Resp != protocol {
					t.Errorf("the connection speaks RESP%d, want %d", identity.Resp, protocol)
				}
			})
		}
	})
}

func askWithGoRedis(t *testing.T, c *redis.Client, prefix string) {
	t.Helper()
	ctx := context.Background()
	ask := func(words ...any) []int64 { return harness.Integers(t, c, words...) }
	for left := 2; left >= 0; left-- {
		got := ask("RL.CHECK", prefix+"k", "token_bucket", 3, "1h")
		if len(got) != 6 || got[0] != 1 || got[1] != 3 || got[2] != int64(left) || got[3] != 0 || got[4] <= 0 || got[5] != 0 {
			t.Errorf("with %d left: %v", left, got)
		}
	}
	if got := ask("RL.CHECK", prefix+"k", "token_bucket", 3, "1h"); got[0] != 0 || got[2] != 0 || got[3] <= 0 || got[3] > 1_200_000 {
		t.Errorf("with nothing left: %v", got)
	}
	err := c.Do(ctx, "RL.CHECK", prefix+"k", "leaky_bucket", 3, "1h").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE ") {
		t.Errorf("another algorithm on the key: %v, want WRONGTYPE", err)
	}
	if got := ask("RL.REFUND", prefix+"k", "token_bucket", 3, "1h", "COST", 3); got[0] != 1 || got[2] != 3 {
		t.Errorf("after giving back: %v", got)
	}

	pipe := c.Pipeline()
	for range 1000 {
		pipe.Do(ctx, "RL.CHECK", prefix+"pipe", "sliding_window_log", 600, "1h")
	}
	pipe.Do(ctx, "NOSUCH")
	last := pipe.Do(ctx, "RL.PEEK", prefix+"pipe", "sliding_window_log", 600, "1h")
	commands, err := pipe.Exec(ctx)
	if err == nil || !strings.Contains(err.Error(), "unknown command 'NOSUCH'") {
		t.Errorf("the pipeline's error is %v", err)
	}
	for i, cmd := range commands[:1000] {
		got, err := cmd.(*redis.Cmd).Int64Slice()
		if want := i < 600; err != nil || len(got) != 6 || (got[0] == 1) != want {
			t.Fatalf("check %d of the pipeline: %v, %v", i, got, err)
		}
	}
	if got, err := last.Int64Slice(); err != nil || got[0] != 0 {
		t.Errorf("behind the error: %v, %v", got, err)
	}

	// What go-redis parses itself.
	if got, err := c.ConfigGet(ctx, "maxclients").Result(); err != nil || got["maxclients"] != "10000" {
		t.Errorf("ConfigGet: %v, %v", got, err)
	}
	if got, err := c.Command(ctx).Result(); err != nil || got["rl.check"] == nil || got["rl.check"].FirstKeyPos != 1 || got["rl.check"].ReadOnly {
		t.Errorf("Command: %+v, %v", got["rl.check"], err)
	}
	if got, err := c.Time(ctx).Result(); err != nil || time.Since(got).Abs() > time.Minute {
		t.Errorf("Time: %v, %v", got, err)
	}
	if got, err := c.PTTL(ctx, prefix+"pipe").Result(); err != nil || got < 59*time.Minute || got > time.Hour {
		t.Errorf("PTTL: %v, %v", got, err)
	}
	if got, err := c.Type(ctx, prefix+"pipe").Result(); err != nil || got != "sliding_window_log" {
		t.Errorf("Type: %q, %v", got, err)
	}
	found := 0
	for keys := c.Scan(ctx, 0, prefix+"*", 10).Iterator(); keys.Next(ctx); {
		found++
	}
	if found != 1 {
		t.Errorf("Scan finds %d keys, want 1", found)
	}
	if _, err := c.SlowLogGet(ctx, -1).Result(); err != nil {
		t.Errorf("SlowLogGet: %v", err)
	}
	if err := c.Get(ctx, "k").Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("GET is no command of ours, and yet: %v", err)
	}
}

// A wrong password, or none, is an error that says so, not a fallback that hangs.
func TestGoRedisIsToldOfAWrongPassword(t *testing.T) {
	p := harness.StartServer(t, "--requirepass", "geheim")
	for password, want := range map[string]string{"falsch": "WRONGPASS", "": "NOAUTH"} {
		for _, protocol := range []int{2, 3} {
			c := redis.NewClient(&redis.Options{Addr: p.Addr(), Password: password, Protocol: protocol, MaxRetries: -1})
			if err := c.Ping(context.Background()).Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("password %q, RESP%d: %v, want %s", password, protocol, err, want)
			}
			_ = c.Close()
		}
	}
}

func TestRedisPy(t *testing.T) {
	python := filepath.Join(harness.Repository(), "build/python/bin/python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("redis-py is missing in build/python; test/setup installs it: %v", err)
	}
	forEachPassword(t, func(t *testing.T, p *harness.Process, password string) {
		runClient(t, python, "testdata/client.py", strconv.Itoa(p.Port), password)
	})
}

func TestNodeRedis(t *testing.T) { testNode(t, "redis", "testdata/node_redis.mjs") }

func TestIoredis(t *testing.T) { testNode(t, "ioredis", "testdata/ioredis.mjs") }

// testNode runs a program of Node with one of the clients in build/node. Modules are
// looked for beside the program, so a program is told where its client is.
func testNode(t *testing.T, client, program string) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing; test/setup installs it")
	}
	modules, err := filepath.Abs(filepath.Join(harness.Repository(), "build/node/node_modules", client))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Fatalf("%s is missing in build/node; test/setup installs it: %v", client, err)
	}
	forEachPassword(t, func(t *testing.T, p *harness.Process, password string) {
		runClient(t, node, program, strconv.Itoa(p.Port), password)
	})
}

// runClient runs a program that must end well and say that it is done.
func runClient(t *testing.T, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "all as expected" {
		t.Errorf("%s: %v\n%s", words[1], err, out)
	}
}
