package wire

import (
	"context"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// A contestant is a server and what it is asked.
type contestant struct {
	name  string
	start func(testing.TB, ...string) *harness.Process
	words func(testing.TB, *harness.Process) []string // of the command, for redis-benchmark
}

var (
	rlCheck = &contestant{"rlserver RL.CHECK", harness.StartServer, asks("RL.CHECK", "k:__rand_int__", "token_bucket", "100", "60")}
	rlPing  = &contestant{"rlserver PING", harness.StartServer, asks("PING")}
	// INCR is the cheapest thing that counts, and decides nothing.
	redisIncr    = &contestant{"Redis INCR", harness.StartRedis, asks("INCR", "n:__rand_int__")}
	redisPing    = &contestant{"Redis PING", harness.StartRedis, asks("PING")}
	redisEvalsha = &contestant{"Redis EVALSHA", harness.StartRedis, peerScript}
)

var contestants = []*contestant{rlCheck, rlPing, redisIncr, redisPing, redisEvalsha}

// asks gives the words of a command that needs no preparation.
func asks(w ...string) func(testing.TB, *harness.Process) []string {
	return func(testing.TB, *harness.Process) []string { return w }
}

// peerScript loads the token-bucket script and makes sure that it answers as RL.CHECK does,
// so that the comparison is one of like with like.
func peerScript(t testing.TB, p *harness.Process) []string {
	t.Helper()
	script, err := os.ReadFile("testdata/peer_token_bucket.lua")
	if err != nil {
		t.Fatal(err)
	}
	c := p.Client()
	sha, err := c.ScriptLoad(context.Background(), string(script)).Result()
	if err != nil {
		t.Fatal(err)
	}
	for left := 2; left >= 0; left-- {
		got := harness.Integers(t, c, "EVALSHA", sha, 1, "k", 3, 3600)
		if got[0] != 1 || got[1] != 3 || got[2] != int64(left) {
			t.Fatalf("the script answers %v with %d left", got, left)
		}
	}
	if got := harness.Integers(t, c, "EVALSHA", sha, 1, "k", 3, 3600); got[0] != 0 || got[3] < 1_100_000 || got[3] > 1_200_000 {
		t.Fatalf("the script answers %v when all is taken", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return []string{"EVALSHA", sha, "1", "k:__rand_int__", "100", "60"}
}

// launch starts the server.
func (c *contestant) launch(t testing.TB) *harness.Process {
	t.Helper()
	return c.start(t, "--bind", "127.0.0.1", "--port", strconv.Itoa(harness.FreePort(t)))
}

// fillRequests are enough for most of the keys to be there before anything is measured.
const fillRequests = 200_000

// with starts a server, fills it with the keys, uses it and ends it. So no contestant pays for what
// another has left, and no other server runs meanwhile.
func (c *contestant) with(t testing.TB, use func(p *harness.Process, words []string)) {
	t.Helper()
	p := c.launch(t)
	asked, requests := c.words(t, p), bench.Scaled(fillRequests, 100)
	bench.Load{Words: asked, Keys: bench.Keys, Connections: bench.Connections, Pipeline: bench.Deep, Requests: requests}.Put(t, p)
	use(p, asked)
	if err := p.Stop(syscall.SIGTERM); err != nil {
		t.Errorf("the server of %s ended with %v\n%s", c.name, err, p.Log)
	}
}
