package load

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/test/harness"
	"github.com/rlserver/rlserver/test/harness/race"
)

// roleVariable makes this program a server that is wrong.
const roleVariable = "RLSERVER_TEST_ROLE"

// A server is wrong by its limiter.
var wrongLimiters = map[string]func(*engine.Store) server.Limiter{
	"lax":      func(s *engine.Store) server.Limiter { return &laxLimiter{Store: s} },
	"generous": func(s *engine.Store) server.Limiter { return generousLimiter{s} },
}

// laxEvery is of how many requests that it ought to deny a lax limiter admits one.
const laxEvery = 10_000

// A laxLimiter admits now and then what it ought to deny.
type laxLimiter struct {
	*engine.Store
	denied atomic.Int64
}

func (l *laxLimiter) Ask(o engine.Op, key string, a engine.Algorithm, limit *engine.Limit, cost, now int64, d *engine.Decision) error {
	err := l.Store.Ask(o, key, a, limit, cost, now, d)
	if err == nil && !d.Allowed && l.denied.Add(1)%laxEvery == 0 {
		d.Allowed, d.RetryAfter = true, 0
	}
	return err
}

// A generousLimiter has a limit of one unit more than it is told, or where there is one a burst.
type generousLimiter struct{ *engine.Store }

func (g generousLimiter) Ask(o engine.Op, key string, a engine.Algorithm, limit *engine.Limit, cost, now int64, d *engine.Decision) error {
	units, burst := limit.Limit(), int64(0)
	if a.HasBurst() {
		burst = limit.Burst() + 1
	} else {
		units++
	}
	more, err := engine.NewLimit(units, limit.Period(), burst)
	if err != nil {
		return err
	}
	return g.Store.Ask(o, key, a, &more, cost, now, d)
}

// init comes before TestMain.
func init() {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	if err := serveWrong(role, os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveWrong(role, port string) (err error) {
	cfg := config.Default()
	if cfg.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	srv := server.New(cfg, wrongLimiters[role](store), slog.New(slog.NewTextHandler(os.Stderr, nil)), level, role)
	if err := srv.Listen(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return srv.Serve(ctx)
}

func startWrong(t *testing.T, role string) *harness.Process {
	t.Helper()
	p := harness.StartProcess(t, "env", roleVariable+"="+role, os.Args[0], "--port", strconv.Itoa(harness.FreePort(t)))
	t.Cleanup(func() {
		if err := p.Stop(syscall.SIGTERM); err != nil {
			t.Errorf("the server that is wrong ended with %v\n%s", err, p.Log)
		}
	})
	return p
}

// A server is caught that admits one of ten thousand requests that it ought to deny, and one that
// admits one unit more than the limit. No unit comes back during a run, so that a slow machine
// finds them too.
func TestWrong(t *testing.T) {
	for role := range wrongLimiters {
		p := startWrong(t, role)
		for _, a := range engine.Algorithms() {
			for _, pipeline := range []int{1, 64} {
				if race.Enabled && pipeline == 1 {
					continue // one in ten thousand takes its time
				}
				for _, keySpace := range []string{"uniform", "zipf", "hot"} {
					t.Run(strings.Join([]string{role, a.String(), strconv.Itoa(pipeline), keySpace}, "/"), func(t *testing.T) {
						r := runBench(t, a.String(), "100", harness.AskPeriod, "--target", "rlserver="+p.Addr(),
							"-P", strconv.Itoa(pipeline), "-n", "30000", "--keys", "10", "--key-space", keySpace, "--threads", "2")
						r.mustExit(exitViolated, "VIOLATION", "the limit allows 100")
						rounds := r.rounds()
						if len(rounds) != 1 || len(rounds[0].Violations) == 0 || !rounds[0].Judged {
							r.fail("no violation is in the report")
							return
						}
						for _, v := range rounds[0].Violations {
							if v.Allowed != 100 || v.Admitted < 101 || v.Admitted > 103 {
								r.fail(fmt.Sprintf("a violation is not as it must be: %+v", v))
							}
						}
						if first := rounds[0].Violations[0].Key; first == "" || !strings.Contains(r.stdout, first) {
							r.fail("it does not name the key " + first)
						}
					})
				}
			}
		}
	}
}
