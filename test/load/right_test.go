package load

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// mustBeRight wants a run of so many requests in which the judge saw nothing wrong, and had
// something to see.
func (r *run) mustBeRight(requests int64) {
	r.t.Helper()
	r.mustExit(exitRight)
	allowed := int64(0) // a whole round can be within a window of which a round before has used all
	for _, round := range r.rounds() {
		allowed += round.Allowed
		if !round.Judged || len(round.Violations) > 0 ||
			round.Requests != requests || round.Allowed+round.Denied != requests || round.Undecided != 0 {
			r.fail("a round is not as it must be")
			r.t.Logf("%+v", round)
		}
	}
	if allowed == 0 {
		r.fail("nothing was allowed, so nothing was judged")
	}
}

// A server that keeps its limits is never accused: with each algorithm, few and many requests under way,
// and keys that all are pushed to their limits over and over.
func TestRight(t *testing.T) {
	p := harness.StartServer(t)
	for _, a := range engine.Algorithms() {
		for _, load := range []struct {
			pipeline, requests int
		}{{1, fewer(20_000)}, {64, fewer(200_000)}} {
			for _, keySpace := range []string{"uniform", "zipf", "hot"} {
				t.Run(a.String()+"/"+strconv.Itoa(load.pipeline)+"/"+keySpace, func(t *testing.T) {
					runBench(t, a.String(), "10", "50ms", "--target", "rlserver="+p.Addr(), "-P", strconv.Itoa(load.pipeline),
						"-n", strconv.Itoa(load.requests), "--keys", "20", "--key-space", keySpace, "--threads", "2", "--rounds", "2").mustBeRight(int64(load.requests))
				})
			}
		}
	}
}

// A policy is judged by each of its limits, which the server tells.
func TestPolicies(t *testing.T) {
	p := harness.StartServer(t)
	c := harness.DialAddr(t, p.Addr())
	c.MustSay("OK", "RL.POLICY", "SET", "one", "LIMIT", "token_bucket", "10", "50ms", "BURST", "20")
	c.MustSay("OK", "RL.POLICY", "SET", "five", "LIMIT", "token_bucket", "10", "50ms", "LIMIT", "leaky_bucket", "100", "1s", "LIMIT", "fixed_window", "30", "100ms",
		"LIMIT", "sliding_window_counter", "25", "100ms", "LIMIT", "fixed_window", "1000000", "month")
	c.MustSay("OK", "RL.POLICY", "SET", "shadow", "LIMIT", "token_bucket", "10", "50ms", "SHADOW")
	for _, name := range []string{"one", "five"} {
		r := runBench(t, "@"+name, "--target", "rlserver="+p.Addr(), "-P", "16", "-n", "20000", "--keys", "20", "--threads", "2", "--rounds", "2")
		r.mustBeRight(20_000)
		r.mustExit(exitRight, "@"+name+": token_bucket 10 50ms")
	}
	runBench(t, "@shadow", "--target", "rlserver="+p.Addr()).mustExit(exitFailed, `policy shadow is "token_bucket 10 50ms SHADOW" on `+p.Addr()+": expected limits that deny")
	runBench(t, "@fife", "--target", "rlserver="+p.Addr()).mustExit(exitFailed, "unknown policy 'fife': did you mean five?")
	runBench(t, "@five", "COST", "11", "--target", "rlserver="+p.Addr()).mustExit(exitFailed, "a cost of 11 can never pass")
	other := harness.StartServer(t)
	harness.DialAddr(t, other.Addr()).MustSay("OK", "RL.POLICY", "SET", "one", "LIMIT", "token_bucket", "11", "50ms")
	runBench(t, "@one", "--target", "rlserver="+p.Addr()+",rlserver="+other.Addr()).mustExit(exitFailed, `policy one is "token_bucket 10 50ms BURST 20" on the target before `+other.Addr())
}

// A server that keeps one limit of a policy and not the other is caught.
func TestWrongPolicy(t *testing.T) {
	addr := startScript(t, says(admission))
	r := runBench(t, "@p", "--target", "rlserver="+addr, "-n", "1000", "--keys", "10")
	r.mustExit(exitViolated, "VIOLATION", "the limit allows 5")
}

// Nor is one that stands still now and then, so that replies are late.
func TestRightWithStalls(t *testing.T) {
	p := harness.StartServer(t)
	done := make(chan struct{})
	stalled := make(chan struct{})
	go func() {
		defer close(stalled)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				_ = p.Cmd.Process.Signal(syscall.SIGSTOP)
				time.Sleep(10 * time.Millisecond)
				_ = p.Cmd.Process.Signal(syscall.SIGCONT)
			}
		}
	}()
	for _, a := range engine.Algorithms() {
		runBench(t, a.String(), "10", "15ms", "--target", "rlserver="+p.Addr(), "-P", "16", "-n", strconv.Itoa(fewer(50_000)), "--keys", "5", "--threads", "2").mustBeRight(int64(fewer(50_000)))
	}
	close(done)
	<-stalled
}

// Scripts on a Redis keep their limits too, by the clock of that Redis.
func TestRightInRedis(t *testing.T) {
	p := harness.StartRedis(t)
	for _, a := range engine.Algorithms() {
		runBench(t, a.String(), "10", "50ms", "--target", "script="+p.Addr(), "-P", "16", "-n", "20000", "--keys", "10").mustBeRight(20_000)
	}
	runBench(t, "token_bucket", "10", "1s", "--target", "redis_rate="+p.Addr(), "-P", "16", "-n", "20000", "--keys", "10").mustBeRight(20_000)
}

// What decides nothing is not judged, and that is said.
func TestNothingToJudge(t *testing.T) {
	p := harness.StartServer(t)
	r := runBench(t, "--target", "ping="+p.Addr(), "-n", "1000")
	r.mustExit(exitRight)
	if round := r.rounds()[0]; round.Judged || round.Undecided != 1000 {
		r.fail("PING is judged")
	}
}
