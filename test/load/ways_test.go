package load

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// Each target answers as its row says, for every algorithm that it can be asked for. What is counted
// is what was asked, what was admitted is what the limit allows, and the server is known.
func TestTargets(t *testing.T) {
	rl, redis := harness.StartServer(t).Addr(), harness.StartRedis(t).Addr()
	const keys, limit, requests = 20, 5, 4000
	for _, a := range engine.Algorithms() {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			targets := "rlserver=" + rl + ",ping=" + rl + ",ping=" + redis + ",incr=" + redis + ",script=" + redis
			if a == engine.TokenBucket || a == engine.LeakyBucket {
				targets += ",redis_rate=" + redis
			}
			r := runBench(t, a.String(), strconv.Itoa(limit), harness.AskPeriod, "-c", "8", "-P", "3", "--threads", "2", "-n", strconv.Itoa(requests),
				"--keys", strconv.Itoa(keys), "--rounds", "2", "--target", targets)
			r.mustExit(exitRight)
			for _, target := range r.report.Targets {
				decides := target.Name != "ping" && target.Name != "incr"
				if len(target.Rounds) != 2 || target.Failure != "" || target.Server == "" {
					t.Fatalf("%+v", target)
				}
				// Each key was asked for once before the first round.
				allowed := int64(keys * (limit - 1))
				for _, round := range target.Rounds {
					if !decides {
						allowed = 0
					}
					if round.Requests != requests || round.Allowed+round.Denied+round.Undecided != requests || round.Undecided > 0 == decides ||
						round.Allowed != allowed || round.Judged != decides || round.Violations != nil || round.Latency.P50 <= 0 ||
						round.Latency.Max < round.Latency.P99 || round.Took <= 0 || round.Server == nil || round.Server.ResidentBytes == 0 {
						round.Series, round.Latency.Curve = nil, nil
						t.Errorf("%s: %+v", target.Name, round)
					}
					allowed = 0
				}
			}
		})
	}
}

// Keys of all spaces, an open loop, TLS, a password and a Unix socket.
func TestWays(t *testing.T) {
	cert, key := harness.NewAuthority(t).Sign(t, t.TempDir(), 1)
	socket, tlsPort := filepath.Join(t.TempDir(), "s"), strconv.Itoa(harness.FreePort(t))
	p := harness.StartServer(t, "--requirepass", "secret", "--tls-port", tlsPort, "--tls-cert-file", cert, "--tls-key-file", key, "--unixsocket", socket)
	plain := strconv.Itoa(p.Port)
	for name, args := range map[string][]string{
		"zipf":     {"-p", plain, "--key-space", "zipf"},
		"new keys": {"-p", plain, "--key-space", "new", "--rounds", "2"},
		"hot":      {"-p", plain, "--key-space", "hot", "-P", "100"},
		"rate":     {"-p", plain, "--rate", "10000", "-P", "2"},
		"socket":   {"-s", socket},
		"TLS":      {"--tls", "--insecure", "-p", tlsPort},
		"TLS rate": {"--tls", "--insecure", "-p", tlsPort, "--rate", "10000"},
		"duration": {"-p", plain, "-d", "100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "duration" {
				args = append(args, "-n", "1000")
			}
			r := runBench(t, append([]string{"token_bucket", "100", harness.AskPeriod, "-a", "secret", "--keys", "10", "-c", "5"}, args...)...)
			r.mustExit(exitRight)
			for _, round := range r.rounds() {
				if !round.Judged || round.Requests < 1 || round.Requests != 1000 && name != "duration" || name == "new keys" && round.Denied > 0 {
					t.Errorf("%+v", round)
				}
			}
		})
	}
}

// Ctrl-C ends a run, and prints what there is.
func TestInterrupt(t *testing.T) {
	var process atomic.Pointer[os.Process]
	addr := startScript(t, func(n int64, _ net.Conn) string {
		if n == 1000 {
			_ = process.Load().Signal(syscall.SIGINT)
		}
		return denial
	})
	r := newRun(t, "-d", "1h", "-c", "2", "--keys", "10", "--rounds", "3", "--target", "rlserver="+addr)
	r.wait(func(p *os.Process) { process.Store(p) })
	r.mustExit(exitRight, "Interrupted: these are the results until then")
	if rounds := r.rounds(); len(rounds) != 1 || !r.report.Interrupted || rounds[0].Requests < 100 || rounds[0].Took > time.Hour {
		r.fail("what was measured is not kept")
	}
}

// A report goes to standard output, in place of the table, or to files.
func TestReports(t *testing.T) {
	addr := harness.StartServer(t).Addr()
	page := filepath.Join(t.TempDir(), "report.html")
	r := runBench(t, "-n", "1000", "-c", "2", "--keys", "10", "--target", "rlserver="+addr, "--html", page)
	r.mustExit(exitRight, "requests/s")
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<svg") {
		t.Errorf("%v, %.200s", err, text)
	}
	out, err := exec.CommandContext(t.Context(), harness.Binary(t), "bench", "-n", "1000", "--target", "rlserver="+addr, "--json", "-").Output()
	if r.read(out); err != nil || r.rounds()[0].Requests != 1000 {
		t.Errorf("%v\n%s", err, out)
	}
}
