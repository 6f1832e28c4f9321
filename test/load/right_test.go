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
