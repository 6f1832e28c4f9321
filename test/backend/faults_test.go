package backend

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// A fault is one way for a Redis not to decide.
type fault struct {
	name string
	// opens says that the circuit opens: after the first question none waits.
	opens bool
	begin func(r *faultyRedis)
	end   func(r *faultyRedis)
}

// A faultyRedis is a Redis that a test puts out of order and in order again.
type faultyRedis struct {
	*harness.Process
	t testing.TB
	c *redis.Client
}

func startFaultyRedis(t testing.TB) *faultyRedis {
	// Keys take their time to load, so that a restart with keys is noticed.
	r := &faultyRedis{t: t, Process: harness.StartRedis(t, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024", "--dbfilename", "dump.rdb")}
	r.c = r.Client()
	return r
}

func (r *faultyRedis) do(args ...any) {
	r.t.Helper()
	if err := r.c.Do(context.Background(), args...).Err(); err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
}

// again starts it on the same port and in the same folder, after it was killed.
func (r *faultyRedis) again() {
	r.Process = harness.StartProcess(r.t, r.Cmd.Path, r.Cmd.Args[1:]...)
	r.t.Cleanup(func() { _ = r.Stop(syscall.SIGKILL) })
}

var faults = []fault{
	{"stopped", true, func(r *faultyRedis) { _ = r.Cmd.Process.Signal(syscall.SIGSTOP) }, func(r *faultyRedis) { _ = r.Cmd.Process.Signal(syscall.SIGCONT) }},
	{"killed, started empty", true, func(r *faultyRedis) { kill(r.Process) }, (*faultyRedis).again},
	{"loading", true, func(r *faultyRedis) { r.load() }, (*faultyRedis).loadFast},
	// It says about three times in a timeout that it loads: what is left of the timeout after
	// the last is too short to tell by it that Redis is silent.
	{"loading, and answering seldom", true, func(r *faultyRedis) { r.load("--key-load-delay", "4000") }, (*faultyRedis).loadFast},
	{"demoted", true, func(r *faultyRedis) { r.do("replicaof", "127.0.0.1", "1") }, func(r *faultyRedis) { r.do("replicaof", "no", "one") }},
	{"another password", true, func(r *faultyRedis) {
		r.do("config", "set", "requirepass", "secret")
		r.do("client", "kill", "type", "normal", "skipme", "yes")
	}, func(r *faultyRedis) { r.do("config", "set", "requirepass", "") }},
	{"out of memory", false, func(r *faultyRedis) { r.do("config", "set", "maxmemory", "1") }, func(r *faultyRedis) { r.do("config", "set", "maxmemory", "0") }},
}

// load restarts it, with settings, and with so many keys that it loads until loadFast.
func (r *faultyRedis) load(settings ...string) {
	r.do("eval", "for i = 1, 100000 do redis.call('SET', 'old:' .. i, 'value') end return 1", 0)
	r.do("save")
	kill(r.Process)
	r.Cmd.Args = append(r.Cmd.Args, settings...) // of what is said twice the last counts
	r.again()
}

// loadFast lets it finish loading.
func (r *faultyRedis) loadFast() { r.do("config", "set", "key-load-delay", "0") }

const (
	faultTimeout = time.Second
	faultLimit   = 10
	faultShare   = 2
)

// Whatever is wrong with Redis, every policy's answers are right, no question waits longer than
// the timeout, only the first ones wait at all, and Redis decides again when the fault has ended.
func TestRedisFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := startFaultyRedis(t)
			p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", faultTimeout.String(), "--local-share", strconv.Itoa(faultShare))
			c := p.Client()
			if got := harness.Integers(t, c, "RL.CHECK", "before", "token_bucket", faultLimit, "1h"); got[0] != 1 || got[2] != faultLimit-1 {
				t.Fatalf("before: %v", got)
			}
			degraded := int(harness.InfoNumbers(t, c)["degraded_answers"])
			f.begin(r)
			asked := 0
			for _, policy := range []string{"error", "allow", "deny", "local"} {
				integersOrOK(t, c, "CONFIG", "SET", "on-redis-failure", policy)
				asked += f.judge(t, c, policy)
			}
			if got, err := c.Do(t.Context(), "RL.PEEK", "before", "token_bucket", faultLimit, "1h").Int64Slice(); !f.opens && (err != nil || got[2] != faultLimit-1) {
				t.Errorf("a question that needs no memory was answered %v %v", got, err)
			} else if f.opens {
				asked++
			}
			if n := int(harness.InfoNumbers(t, c)["degraded_answers"]) - degraded; n != asked {
				t.Errorf("INFO counts %d degraded answers; %d were given", n, asked)
			}
			if state := strings.Contains(c.Info(t.Context(), "backend").Val(), "backend_state:down"); state != f.opens {
				t.Errorf("INFO says that it is down: %v; want %v", state, f.opens)
			}
			f.end(r)
			ended := time.Now()
			awaitDecision(t, c)
			t.Logf("decides again %v after the end of the fault", time.Since(ended).Round(10*time.Millisecond))
			if f.opens {
				judgeLog(t, p)
			}
		})
	}
}

// judge asks while the fault lasts, and returns how many questions it was.
func (f fault) judge(t *testing.T, c *redis.Client, policy string) (asked int) {
	t.Helper()
	admitted := 0
	began := time.Now()
	const questions = 20
	for i := range questions {
		start := time.Now()
		got, err := c.Do(t.Context(), "RL.CHECK", "key:"+policy, "token_bucket", faultLimit, "1h").Int64Slice()
		harness.Within(t, faultTimeout+2*time.Second, time.Since(start), fmt.Sprintf("%s: question %d", policy, i))
		switch text := fmt.Sprint(got, err); {
		case policy == "error":
			if err == nil || !strings.HasPrefix(err.Error(), "UNAVAILABLE ") {
				t.Errorf("error: %s", text)
			}
		case policy == "allow" && text != "[1 10 -1 0 0 0] <nil>", policy == "deny" && text != "[0 10 -1 1000 0 0] <nil>":
			t.Errorf("%s: %s", policy, text)
		case policy == "local":
			if err != nil {
				t.Fatalf("local: %s", text)
			}
			admitted += int(got[0])
			if got[1] != faultLimit || got[2] != int64(faultLimit/faultShare-admitted) {
				t.Errorf("local: %s, after %d were admitted of a share of %d", text, admitted, faultLimit/faultShare)
			}
		}
	}
	if took := time.Since(began); f.opens && took > questions*faultTimeout/2 {
		t.Errorf("%s: %d questions took %v: they have waited each for itself", policy, questions, took)
	}
	if policy == "local" && admitted != faultLimit/faultShare {
		t.Errorf("local: %d admitted; want the share, %d", admitted, faultLimit/faultShare)
	}
	if err := c.Do(t.Context(), "RL.RESET", "key:"+policy).Err(); f.opens && (err == nil || !strings.HasPrefix(err.Error(), "UNAVAILABLE ")) {
		t.Errorf("%s: RL.RESET answered %v", policy, err)
	} else if f.opens {
		asked++
	}
	return asked + questions
}

// awaitDecision waits until Redis decides again.
func awaitDecision(t *testing.T, c *redis.Client) {
	t.Helper()
	n := 0
	harness.Eventually(t, "Redis decides", func() bool {
		n++
		got, err := c.Do(t.Context(), "RL.CHECK", fmt.Sprint("after:", n), "token_bucket", faultLimit, "1h").Int64Slice()
		return err == nil && got[2] == faultLimit-1
	})
}

func integersOrOK(t *testing.T, c *redis.Client, args ...any) {
	t.Helper()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// judgeLog sees that the log tells of the outage once, and of its end.
func judgeLog(t *testing.T, p *harness.Process) {
	t.Helper()
	harness.Eventually(t, "the log tells of the end", func() bool { return strings.Contains(p.Log.String(), "Redis decides again") })
	began, ended := strings.Count(p.Log.String(), "Redis does not decide"), strings.Count(p.Log.String(), "Redis decides again")
	if began != ended || began < 1 || began > 2 {
		t.Errorf("the log tells %d times of an outage and %d times of its end:\n%s", began, ended, p.Log)
	}
}

// While Redis is stopped, two hundred callers ask one question after the other: each waits
// for at most one timeout, not for one a question.
func TestDeadRedisCostsOneTimeout(t *testing.T) {
	t.Parallel()
	const callers, timeout = 200, time.Second
	r := startFaultyRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", timeout.String(), "--on-redis-failure", "allow")
	awaitDecision(t, p.Client())
	_ = r.Cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = r.Cmd.Process.Signal(syscall.SIGCONT) }()
	var asking sync.WaitGroup
	var slow, asked atomic.Int64
	end := time.Now().Add(4 * time.Second)
	for i := range callers {
		c := p.Dial()
		asking.Go(func() {
			waited := 0
			for time.Now().Before(end) {
				start := time.Now()
				c.Send(harness.Command("RL.CHECK", fmt.Sprint("key:", i), "token_bucket", "10", "1h"))
				if got := c.Reply(); !strings.HasPrefix(got, "*6\r\n:1\r\n:10\r\n:-1\r\n") {
					t.Errorf("caller %d: %q", i, got)
					return
				}
				asked.Add(1)
				if time.Since(start) > timeout/2 {
					waited++
				}
			}
			slow.Add(int64(waited))
			if waited > 1 && harness.TimesMatter {
				t.Errorf("caller %d has waited %d times", i, waited)
			}
		})
	}
	asking.Wait()
	t.Logf("%d questions, %d of which waited for more than half of the timeout", asked.Load(), slow.Load())
	if asked.Load() < 10*callers {
		t.Errorf("%d callers got only %d answers", callers, asked.Load())
	}
}

// Redis is not there when the server starts: it serves its policy's answers, and decisions
// when Redis has come.
func TestRedisComesLater(t *testing.T) {
	r := startFaultyRedis(t)
	kill(r.Process)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--on-redis-failure", "deny")
	c := p.Client()
	if got := harness.Integers(t, c, "RL.CHECK", "k", "leaky_bucket", "10", "1h"); fmt.Sprint(got) != "[0 10 -1 1000 0 0]" {
		t.Errorf("without Redis: %v", got)
	}
	d := p.Dial()
	d.MustSay("OK", "CONFIG", "SET", "on-redis-failure", "error")
	d.MustFail("UNAVAILABLE", "RL.PEEK", "k", "leaky_bucket", "10", "1h")
	d.MustFail("UNAVAILABLE", "RL.RESET", "k")
	_, fields := d.Info("commandstats")
	for name, want := range map[string]string{"rl.check": "failed_calls=0", "rl.peek": "failed_calls=1", "rl.reset": "failed_calls=1"} {
		if got := fields["cmdstat_"+name]; !strings.HasSuffix(got, ","+want) {
			t.Errorf("cmdstat_%s is %q, want %s", name, got, want)
		}
	}
	r.again()
	awaitDecision(t, c)
}

// Scripts that Redis has forgotten are given to it again, under load and without a wrong
// answer.
func TestScriptsAreForgotten(t *testing.T) {
	const keys, limit, flushes = 30, 100, 40
	r := startFaultyRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "10s", "--deny-cache-max", "0")
	algorithms, admitted := harness.Algorithms(), make([]atomic.Int64, keys)
	var asking sync.WaitGroup
	for range 8 {
		c := p.Client()
		asking.Go(func() {
			for i := range keys * limit / 4 {
				got, err := ask(c, fmt.Sprint("key:", i%keys), algorithms[i%keys%len(algorithms)], limit)
				if err != nil {
					t.Error(err)
					return
				}
				admitted[i%keys].Add(got[0])
			}
		})
	}
	for range flushes {
		r.do("script", "flush")
		time.Sleep(20 * time.Millisecond)
	}
	asking.Wait()
	for i := range admitted {
		if n := admitted[i].Load(); n != limit {
			t.Errorf("key %d: %d admitted; want exactly %d", i, n, limit)
		}
	}
}

// What Redis holds under a key and rlserver has not written is never touched.
func TestForeignKeysAreLeftAlone(t *testing.T) {
	r := startFaultyRedis(t)
	r.do("rpush", "rl:list", "a", "b")
	r.do("hset", "rl:hash", "f", "v")
	r.do("set", "rl:text", "some text")
	r.do("set", "rl:digits", "t12345")
	r.do("set", "rl:older", "t9999999999000000000") // of a version that was never released
	r.do("set", "rl:cut", "w1700000000000000+3155760000000000000")
	foreign := []string{"list", "hash", "text", "digits", "older", "cut"}
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr()).Client()
	dump := func(key string) string { return r.c.Dump(t.Context(), "rl:"+key).Val() }
	for _, policy := range []string{"error", "allow", "deny", "local"} {
		integersOrOK(t, c, "CONFIG", "SET", "on-redis-failure", policy)
		for _, key := range foreign {
			before := dump(key)
			for _, op := range []string{"RL.CHECK", "RL.PEEK", "RL.REFUND", "RL.RESET"} {
				for _, a := range harness.Algorithms() {
					args := []any{op, key, a, 10, 60}
					if op == "RL.RESET" {
						args = args[:2]
					}
					if key == "cut" && (op == "RL.RESET" || a != "sliding_window_log") {
						continue // to the others it is a log's key
					}
					err := c.Do(t.Context(), args...).Err()
					if err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE ") {
						t.Errorf("%s, %v: %v", policy, args, err)
					}
				}
			}
			if dump(key) != before {
				t.Errorf("%s was changed", key)
			}
		}
	}
}

// kill ends a process at once.
func kill(p *harness.Process) { _ = p.Stop(syscall.SIGKILL) }
