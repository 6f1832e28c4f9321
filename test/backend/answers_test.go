package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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

// Denials that are remembered: they are right, and forgotten when they have to be.
func TestDenyCache(t *testing.T) {
	r := startFaultyRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "60s").Client()
	plain := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "0").Client()
	for _, a := range harness.Algorithms() {
		key := "key:" + a
		check := func(limit, cost int) []int64 {
			t.Helper()
			return harness.Integers(t, c, "RL.CHECK", key, a, limit, "366d", "COST", cost)
		}
		hits := func() int { return int(harness.InfoNumbers(t, c)["deny_cache_hits"]) }
		deny := func() {
			t.Helper()
			for range 2 { // the second one is answered from the cache
				if got := check(5, 2); got[0] != 0 {
					t.Fatalf("%s: a third pair of five was admitted: %v", a, got)
				}
			}
		}
		check(5, 2)
		check(5, 2)
		before, began := hits(), time.Now()
		deny()
		denied := time.Since(began) // the cache counts from some instant of it
		if n := hits() - before; n != 1 {
			t.Errorf("%s: %d hits; want 1", a, n)
		}
		// As time goes on the answer goes on with it, beside one that Redis gives.
		time.Sleep(100 * time.Millisecond)
		beside := time.Now()
		cached, asked := check(5, 2), harness.Integers(t, plain, "RL.CHECK", key, a, 5, "366d", "COST", 2)
		apart := (denied + time.Since(beside)).Milliseconds() + 2
		for i := range cached {
			if i < 3 && cached[i] != asked[i] || i >= 3 && (cached[i] > asked[i]+apart || cached[i] < asked[i]-apart) {
				t.Errorf("%s: the cache says %v and Redis %v; they were asked within %d ms", a, cached, asked, apart)
				break
			}
		}
		if got := check(5, 1); got[0] != 1 {
			t.Errorf("%s: a smaller request was denied: %v", a, got)
		}
		deny()
		// Another limit: a bucket that owes an hour is as full as before, a log has room.
		if got, want := check(50, 2), harness.Integers(t, plain, "RL.PEEK", key, a, 50, "366d", "COST", 2); got[0] != want[0] {
			t.Errorf("%s: with another limit %v; a PEEK says %v", a, got, want)
		}
		integersOrOK(t, c, "RL.RESET", key)
		check(5, 2)
		check(5, 2)
		deny()
		integersOrOK(t, c, "RL.REFUND", key, a, 5, "366d", "COST", 2)
		if got := check(5, 2); got[0] != 1 {
			t.Errorf("%s: after a refund: %v", a, got)
		}
		deny()
		integersOrOK(t, c, "RL.RESET", key)
		if got := check(5, 2); got[0] != 1 {
			t.Errorf("%s: after a reset: %v", a, got)
		}
		check(5, 2)
		deny()
		// A reset by another server is seen when the denial has become too old.
		integersOrOK(t, plain, "RL.RESET", key)
		if got := check(5, 2); got[0] != 0 {
			t.Errorf("%s: the denial was not remembered: %v", a, got)
		}
		integersOrOK(t, c, "CONFIG", "SET", "deny-cache-max", "50ms")
		time.Sleep(60 * time.Millisecond)
		if got := check(5, 2); got[0] != 1 {
			t.Errorf("%s: after deny-cache-max: %v", a, got)
		}
		integersOrOK(t, c, "CONFIG", "SET", "deny-cache-max", "60s")
	}
}

// What another server has changed may be unseen until the denial that is remembered is too old, or
// Redis has answered any question about the key. Until then a denial tells the state before, and
// nothing is admitted that Redis would not admit.
func TestDenyCacheOfTwoServers(t *testing.T) {
	r := startFaultyRedis(t)
	one, other := startCaching(t, r), startCaching(t, r)
	for _, a := range harness.Algorithms() {
		ask := func(c *redis.Client, command string, cost int, allowed, remaining int64, why string) {
			t.Helper()
			if got := harness.Integers(t, c, command, "key:"+a, a, 10, "366d", "COST", cost); got[0] != allowed || got[2] != remaining {
				t.Errorf("%s: %s of %d, %s: %v; want %d and %d", a, command, cost, why, got, allowed, remaining)
			}
		}
		ask(one, "RL.CHECK", 5, 1, 5, "a first request")
		ask(one, "RL.CHECK", 8, 0, 5, "of which the denial is remembered")
		ask(other, "RL.CHECK", 3, 1, 2, "through the other server")
		ask(one, "RL.CHECK", 8, 0, 5, "as it was when it was denied")
		ask(one, "RL.CHECK", 4, 0, 2, "which had to be asked")
		ask(one, "RL.CHECK", 4, 0, 2, "which is remembered now")
		ask(other, "RL.REFUND", 5, 1, 7, "through the other server")
		ask(one, "RL.CHECK", 4, 0, 2, "as it was when it was denied")
		integersOrOK(t, one, "CONFIG", "SET", "deny-cache-max", "50ms")
		time.Sleep(60 * time.Millisecond)
		ask(one, "RL.CHECK", 4, 1, 3, "when the denial is too old")
		ask(other, "RL.CHECK", 4, 0, 3, "which the other server has never denied")
		integersOrOK(t, one, "CONFIG", "SET", "deny-cache-max", "1h")
	}
}

func startCaching(t *testing.T, r *faultyRedis) *redis.Client {
	return harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "1h").Client()
}

// Many callers of one server take from one key, and ask for more than there is. Whether Redis
// answers or the cache, nobody is told that more is left than anybody had been told before.
func TestDenyCacheNeverGoesBack(t *testing.T) {
	const callers, limit, seed = 8, 400, 1
	r := startFaultyRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "1h")
	for _, a := range harness.Algorithms() {
		var least atomic.Int64
		least.Store(limit)
		var asking sync.WaitGroup
		for n := range callers {
			c, random := p.Client(), rand.New(rand.NewPCG(seed, uint64(n)))
			asking.Go(func() {
				for before := least.Load(); before > 0 && !t.Failed(); before = least.Load() {
					cost := 1
					if random.IntN(4) > 0 {
						cost = limit - random.IntN(limit/4) // of few values for a log
						cost -= cost % 20
					}
					got, err := c.Do(t.Context(), "RL.CHECK", "key:"+a, a, limit, "366d", "COST", cost).Int64Slice()
					if err != nil || got[2] > before {
						t.Errorf("%s: %v %v for %d, after an answer with %d left", a, got, err, cost, before)
						return
					}
					for last := least.Load(); got[2] < last && !least.CompareAndSwap(last, got[2]); last = least.Load() {
					}
				}
			})
		}
		asking.Wait()
	}
	if hits := harness.InfoNumbers(t, p.Client())["deny_cache_hits"]; hits == 0 {
		t.Error("no answer is from the cache")
	}
}

// A caller that waits as long as a denial says is admitted, and not denied by what is remembered.
func TestRetryAfterDenialFromCache(t *testing.T) {
	r := startFaultyRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr()).Client()
	for _, a := range harness.Algorithms() {
		for range 5 {
			question := []any{"RL.CHECK", "key:" + a, a, 1, "60ms"}
			got := harness.Integers(t, c, question...)
			for got[0] == 1 {
				got = harness.Integers(t, c, question...)
			}
			got = harness.Integers(t, c, question...)
			time.Sleep(time.Duration(got[3]) * time.Millisecond)
			if again := harness.Integers(t, c, question...); got[0] == 0 && again[0] != 1 {
				t.Errorf("%s: %v, and after that time %v", a, got, again)
			}
		}
	}
}

// A pipeline in which a denial, a reset and a check follow each other is answered in order.
func TestDenyCacheInAPipeline(t *testing.T) {
	r := startFaultyRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr())
	check := harness.Command("RL.CHECK", "k", "token_bucket", "1", "1h")
	c := p.Dial()
	c.Send(strings.Repeat(check+check+harness.Command("RL.RESET", "k")+check+harness.Command("RL.REFUND", "k", "token_bucket", "1", "1h"), 50))
	for round := range 50 {
		for i, want := range []string{"*6\r\n:1", "*6\r\n:0", ":1", "*6\r\n:1", "*6\r\n:1\r\n:1\r\n:1"} {
			if got := c.Reply(); !strings.HasPrefix(got, want) {
				t.Fatalf("round %d, reply %d: %q; want %q", round, i, got, want)
			}
		}
	}
}

// The replies to a mixed pipeline come in order, whole and none too many, whether Redis
// decides or not, in whatever pieces the pipeline comes.
func TestOrderOfReplies(t *testing.T) {
	const seed = 1
	r := startFaultyRedis(t)
	for _, loops := range []string{"auto", "0"} {
		p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "200ms", "--event-loops", loops)
		for round, policy := range []string{"error", "error", "deny", "local"} {
			integersOrOK(t, p.Client(), "CONFIG", "SET", "on-redis-failure", policy)
			if round == 1 {
				_ = r.Cmd.Process.Signal(syscall.SIGSTOP)
			}
			var talking sync.WaitGroup
			for i := range 8 {
				c := p.Dial()
				talking.Go(func() { talkAtRandom(c, rand.New(rand.NewPCG(seed, uint64(100*round+i)))) })
			}
			talking.Wait()
		}
		_ = r.Cmd.Process.Signal(syscall.SIGCONT)
		awaitDecision(t, p.Client())
	}
}

// talkAtRandom sends a pipeline in pieces and compares the replies with what each begins with.
func talkAtRandom(c *harness.Conn, r *rand.Rand) {
	var text strings.Builder
	var want [][]string
	for i := range 300 {
		key := fmt.Sprint("key:", r.IntN(20))
		words, begins := []string{"RL.CHECK", key, "token_bucket", "10", "60"}, []string{"*6\r\n", "-UNAVAILABLE"}
		switch r.IntN(12) {
		case 0:
			words, begins = []string{"ECHO", strconv.Itoa(i)}, []string{fmt.Sprintf("$%d\r\n%d\r\n", len(strconv.Itoa(i)), i)}
		case 1:
			words, begins = []string{"RL.CHECK", key, "token_bucket", "0", "60"}, []string{"-ERR limit"}
		case 2:
			words, begins = []string{"RL.RESET", key, "another"}, []string{":", "-UNAVAILABLE"}
		case 3:
			words[0] = "RL.PEEK"
		case 4:
			words[0] = "RL.REFUND"
		case 5:
			words, begins = []string{"nonsense", strconv.Itoa(i)}, []string{"-ERR unknown command 'nonsense', with args beginning with: '" + strconv.Itoa(i)}
		case 6:
			words, begins = []string{"INFO", "server"}, []string{"$"}
		case 7:
			words, begins = []string{"KEYS", "*"}, []string{"-ERR KEYS is not available with --backend redis; ask Redis itself"}
		case 8:
			words, begins = []string{"DEL", key}, []string{":", "-UNAVAILABLE"}
		}
		text.WriteString(harness.Command(words...))
		want = append(want, begins)
	}
	text.WriteString(harness.Command("QUIT"))
	go func() {
		for rest := text.String(); rest != ""; {
			n := min(1+r.IntN(4000), len(rest))
			if _, err := c.Write([]byte(rest[:n])); err != nil {
				return // the replies tell
			}
			rest = rest[n:]
		}
	}()
	for i, begins := range append(want, []string{"+OK\r\n"}) {
		got, err := harness.ReadReply(c.Reader)
		if err != nil || !slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(got, b) }) {
			c.T.Errorf("reply %d is %.100q %v; want one of %q", i, got, err, begins)
			return
		}
	}
	if rest, err := c.Reader.ReadString('\n'); err == nil {
		c.T.Errorf("behind the last reply came %q", rest)
	}
}

// Long pipelines, peers that leave in the middle, and the end of the server while questions
// are under way.
func TestQuestionsUnderWay(t *testing.T) {
	r := startFaultyRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "5s")
	check := harness.Command("RL.CHECK", "k", "sliding_window_log", "100000", "1h")
	c := p.Dial()
	go c.Send(strings.Repeat(check, 20_000))
	for i := range 20_000 {
		if got := c.Reply(); !strings.HasPrefix(got, fmt.Sprintf("*6\r\n:1\r\n:100000\r\n:%d\r\n", 100_000-i-1)) {
			t.Fatalf("reply %d: %q", i, got)
		}
	}
	_ = r.Cmd.Process.Signal(syscall.SIGSTOP)
	for range 50 { // connections that end while their question is under way
		c := p.Dial()
		c.Send(check)
		_ = c.Close()
	}
	killed, admin := p.Dial(), p.Dial()
	killed.Send(check)
	awaitCheck(t, admin, killed)
	admin.MustSay("OK", "CLIENT", "KILL", killed.LocalAddr().String())
	if got, err := harness.ReadReply(killed.Reader); err == nil {
		t.Errorf("a connection that was killed was answered %q", got)
	}
	waiting := p.Dial()
	waiting.Send(check + check)
	awaitCheck(t, admin, waiting)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	_ = r.Cmd.Process.Signal(syscall.SIGCONT)
	for range 2 {
		if got := waiting.Reply(); !strings.HasPrefix(got, "*6\r\n:1\r\n") {
			t.Errorf("what was asked before the end was answered %q", got)
		}
	}
	if <-p.Done; p.Err != nil { // or the harness would send a second signal
		t.Errorf("rlserver ended with %v", p.Err)
	}
}

// awaitCheck waits until the server has read a check that a connection has sent.
func awaitCheck(t *testing.T, admin, c *harness.Conn) {
	t.Helper()
	harness.Eventually(t, "the check is under way", func() bool {
		return slices.ContainsFunc(admin.Listed("LIST"), func(one map[string]string) bool {
			return one["addr"] == c.LocalAddr().String() && one["cmd"] == "rl.check"
		})
	})
}

// Commands about keys that only Redis has say so.
func TestCommandsThatAreNotHere(t *testing.T) {
	r := startFaultyRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr()).Client()
	for _, words := range [][]any{
		{"DBSIZE"}, {"EXISTS", "k"}, {"FLUSHALL"}, {"FLUSHDB"}, {"KEYS", "*"}, {"MEMORY", "USAGE", "k"},
		{"PTTL", "k"}, {"SCAN", "0"}, {"TTL", "k"}, {"TYPE", "k"},
	} {
		name := words[0].(string)
		if name == "MEMORY" {
			name = "MEMORY USAGE"
		}
		want := "ERR " + name + " is not available with --backend redis; ask Redis itself"
		if err := c.Do(context.Background(), words...).Err(); err == nil || err.Error() != want {
			t.Errorf("%v: %v; want %s", words, err, want)
		}
	}
	const tooLong = "ERR limit of sliding_window_log 100001 is out of range: accepted is a whole number from 1 to 100000"
	if err := c.Do(context.Background(), "RL.CHECK", "k", "sliding_window_log", 100_001, 60).Err(); err == nil || err.Error() != tooLong {
		t.Errorf("a log beyond max-log-limit: %v; want %s", err, tooLong)
	}
	for _, words := range [][]any{{"PING"}, {"INFO"}, {"COMMAND", "COUNT"}, {"CLIENT", "LIST"}, {"CONFIG", "GET", "redis-*"}, {"SLOWLOG", "LEN"}, {"TIME"}} {
		if err := c.Do(context.Background(), words...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			t.Errorf("%v: %v", words, err)
		}
	}
}
