package pubsub

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// nextMessage reads one message of a subscriber in RESP2 or RESP3.
func nextMessage(c *harness.Conn) (channel, text string) {
	c.T.Helper()
	v := c.Value()
	if len(v.Parts) < 3 || !strings.HasSuffix(v.Parts[0].Text, "message") {
		c.T.Fatalf("%c%+v is no message", v.Kind, v.Texts())
	}
	return v.Parts[len(v.Parts)-2].Text, v.Parts[len(v.Parts)-1].Text
}

// Every subscriber sees the messages of all publishers in one order, and each publisher's in
// its own.
func TestPubsubKeepsTheOrderOfMessages(t *testing.T) {
	const publishers, each, subscribers = 4, 3000, 3
	p := harness.StartServer(t)
	listening := make([]*harness.Conn, subscribers)
	for i := range listening {
		listening[i] = p.Dial()
		if i == 1 {
			listening[i].Ask("HELLO", "3")
		}
		if i == 2 {
			listening[i].Ask("PSUBSCRIBE", "news.?")
		} else {
			listening[i].Ask("SUBSCRIBE", "news.1")
		}
	}
	seen := make([][]string, subscribers)
	var reading, publishing sync.WaitGroup
	for i, c := range listening {
		reading.Go(func() {
			for range publishers * each {
				_, text := nextMessage(c)
				seen[i] = append(seen[i], text)
			}
		})
	}
	for n := range publishers {
		c := p.Dial()
		publishing.Go(func() {
			for first := 0; first < each; first += 500 {
				var batch strings.Builder
				for i := range 500 {
					batch.WriteString(harness.Command("PUBLISH", "news.1", fmt.Sprintf("%d %d", n, first+i)))
				}
				c.Send(batch.String())
				for range 500 {
					if got := c.Reply(); got != ":3\r\n" {
						t.Errorf("PUBLISH replies %q, want 3 receivers", got)
					}
				}
			}
		})
	}
	publishing.Wait()
	reading.Wait()
	next := make([]int, publishers)
	for i, text := range seen[0] {
		publisher, number, _ := strings.Cut(text, " ")
		n, _ := strconv.Atoi(publisher)
		if number != strconv.Itoa(next[n]) {
			t.Fatalf("message %d is %q, want number %d", i, text, next[n])
		}
		next[n]++
		for _, others := range seen[1:] {
			if others[i] != text {
				t.Fatalf("message %d is %q for one and %q for another", i, text, others[i])
			}
		}
	}
}

// A subscriber that does not read is cut off; the others get every message, and neither the
// publisher nor a bystander's check waits for it.
func TestASubscriberThatNeverReadsIsCutOff(t *testing.T) {
	p := harness.StartServer(t)
	deaf, good, publisher, bystander := p.Dial(), p.Dial(), p.Dial(), p.Dial()
	deaf.Ask("SUBSCRIBE", "c")
	good.Ask("SUBSCRIBE", "c")
	const messages = 1500 // 75 MB: more than all buffers on the way
	var slowestPublish, slowestCheck time.Duration
	text := strings.Repeat("x", 50_000)
	for range messages {
		started := time.Now()
		publisher.Ask("PUBLISH", "c", text)
		slowestPublish = max(slowestPublish, time.Since(started))
		started = time.Now()
		bystander.Ask("RL.CHECK", "k", "token_bucket", "1000000", "1h")
		slowestCheck = max(slowestCheck, time.Since(started))
		nextMessage(good) // it keeps up, however little of the processor it gets
	}
	harness.Within(t, time.Second, slowestPublish, "a PUBLISH")
	harness.Within(t, time.Second, slowestCheck, "a bystander's check")
	harness.Eventually(t, "the deaf subscriber is gone", func() bool { return bystander.InfoNumber("connected_clients") == 3 })
	for name, want := range map[string]int64{"pubsub_clients": 1, "pubsub_channels": 1, "client_output_buffer_limit_disconnections": 1} {
		if got := bystander.InfoNumber(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if _, err := io.Copy(io.Discard, deaf.Reader); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the deaf subscriber's connection is still open")
	}
	if log := p.Log.String(); !strings.Contains(log, "subscriber cut off") || !strings.Contains(log, deaf.LocalAddr().String()) {
		t.Errorf("the log does not name the connection that was cut off:\n%s", log)
	}
}

// Whatever becomes of subscriptions, neither goroutines nor subscriptions are left.
func TestSubscriptionsLeaveNothingBehind(t *testing.T) {
	p := harness.StartServer(t)
	observer := p.Dial()
	before := observer.InfoNumber("goroutines")
	for round := range 100 {
		c := p.Dial()
		if round%2 == 0 {
			c.Ask("HELLO", "3")
		}
		for i := range 10 {
			c.Send(harness.CommandLine("SUBSCRIBE a; PSUBSCRIBE b*; UNSUBSCRIBE a; SUBSCRIBE a; MULTI; RESET"))
			for c.Value().Text != "RESET" {
			}
			if i%3 == 0 {
				c.Send(harness.CommandLine("MONITOR; SUBSCRIBE a"))
				observer.Ask("PUBLISH", "a", "x")
			}
		}
		switch round % 4 {
		case 0:
			c.Send(harness.CommandLine("RESET; QUIT"))
			_, _ = io.Copy(io.Discard, c.Reader)
		case 1:
			observer.Ask("CLIENT", "KILL", "ADDR", c.LocalAddr().String())
		case 2:
			c.Send("*x\r\n")
		}
		_ = c.Close()
	}
	harness.Eventually(t, "only the observer is left", func() bool { return observer.InfoNumber("connected_clients") == 1 })
	for _, name := range []string{"pubsub_clients", "pubsub_channels", "pubsub_patterns", "monitor_clients"} {
		if got := observer.InfoNumber(name); got != 0 {
			t.Errorf("%s is %d", name, got)
		}
	}
	harness.Eventually(t, "no goroutine is left", func() bool { return observer.InfoNumber("goroutines") <= before+1 })
	// One that stays has its reader and no more, however often it came and went.
	c := p.Dial()
	for range 200 {
		c.Send(harness.CommandLine("SUBSCRIBE a; PING; UNSUBSCRIBE; MONITOR; RESET"))
		for c.Value().Text != "RESET" {
		}
	}
	harness.Eventually(t, "the one that stays has one goroutine", func() bool { return observer.InfoNumber("goroutines") <= before+2 })
}

// The connection that publishes is not told apart from others, and after UNSUBSCRIBE and
// RESET no message comes, however much is going on.
func TestNoMessageComesBehindUnsubscribe(t *testing.T) {
	p := harness.StartServer(t)
	c, publisher := p.Dial(), p.Dial()
	const messages = 2000
	for round := range 30 {
		c.Ask("SUBSCRIBE", "a")
		publisher.Send(strings.Repeat(harness.Command("PUBLISH", "a", "x"), messages))
		end, last := harness.CommandLine("UNSUBSCRIBE"), "unsubscribe"
		if round%2 == 1 {
			end, last = harness.CommandLine("RESET"), "RESET"
		}
		for range 100 {
			nextMessage(c)
		}
		c.Send(end)
		for {
			v := c.Value()
			if v.Text == last || len(v.Parts) > 0 && v.Parts[0].Text == last {
				break
			}
		}
		c.MustSay("behind", "ECHO", "behind")
		for range messages {
			publisher.Value()
		}
	}
}

// A subscriber in RESP3 goes on asking, with messages in between.
func TestASubscriberInRESP3AsksOn(t *testing.T) {
	p := harness.StartServer(t)
	c, publisher := p.Dial(), p.Dial()
	c.Ask("HELLO", "3")
	c.Ask("SUBSCRIBE", "a")
	const n = 3000
	go publisher.Send(strings.Repeat(harness.Command("PUBLISH", "a", "x"), n))
	go c.Send(strings.Repeat(harness.Command("RL.CHECK", "k", "token_bucket", strconv.Itoa(n), "1h"), n))
	harness.ExpectMixed(t, c, n, 0)
}

func TestPubsubInClientListAndKill(t *testing.T) {
	p := harness.StartServer(t)
	a, b, c := p.Dial(), p.Dial(), p.Dial()
	a.Ask("HELLO", "3")
	a.Ask("SUBSCRIBE", "x")
	a.Send(harness.CommandLine("SUBSCRIBE y z; PSUBSCRIBE p*"))
	for range 3 {
		a.Value()
	}
	b.Ask("SUBSCRIBE", "x")
	c.Ask("MULTI")
	c.Ask("PING")
	id := func(c *harness.Conn) string { return c.LocalAddr().String() }
	observer := p.Dial()
	byAddr := map[string]map[string]string{}
	for _, fields := range observer.Listed("LIST") {
		byAddr[fields["addr"]] = fields
	}
	for addr, want := range map[string][4]string{id(a): {"3", "1", "P", "-1"}, id(b): {"1", "0", "P", "-1"}, id(c): {"0", "0", "x", "1"}, id(observer): {"0", "0", "N", "-1"}} {
		f := byAddr[addr]
		if got := [4]string{f["sub"], f["psub"], f["flags"], f["multi"]}; got != want {
			t.Errorf("sub, psub, flags, multi are %q, want %q", got, want)
		}
	}
	if got := len(observer.Listed("LIST", "TYPE", "PubSub")); got != 2 {
		t.Errorf("%d clients of the type pubsub, want 2", got)
	}
	if got := len(observer.Listed("LIST", "TYPE", "normal")); got != 2 {
		t.Errorf("%d clients of the type normal, want 2", got)
	}
	for name, want := range map[string]int64{"pubsub_clients": 2, "pubsub_channels": 3, "pubsub_patterns": 1} {
		if got := observer.InfoNumber(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	observer.MustSay("0", "CLIENT", "KILL", "TYPE", "replica")
	// As Sentinel does it: all in one transaction, which the connection that asks survives.
	observer.Send(harness.CommandLine("MULTI; CLIENT KILL TYPE normal; CLIENT KILL TYPE pubsub; EXEC"))
	for _, want := range []string{"+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n:1\r\n:2\r\n"} {
		if got := observer.Reply(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, c := range []*harness.Conn{a, b, c} {
		c.MustBeClosed()
	}
	observer.MustSay("PONG", "PING")
	harness.Eventually(t, "only the observer is left", func() bool { return observer.InfoNumber("connected_clients") == 1 })
}

// A silent subscriber is not idle.
func TestTimeoutSparesSubscribers(t *testing.T) {
	p := harness.StartServer(t, "--timeout", "2")
	c, idle := p.Dial(), p.Dial()
	c.Ask("SUBSCRIBE", "a")
	idle.MustBeClosed()
	publisher := p.Dial()
	for range 10 {
		publisher.Ask("PING")
		time.Sleep(100 * time.Millisecond)
	}
	publisher.MustSay("1", "PUBLISH", "a", "x")
	if _, text := nextMessage(c); text != "x" {
		t.Errorf("got %q", text)
	}
}

// Subscribers and publishers with names, patterns and messages of any size and bytes, over
// the bounds as well, leave the server as it was.
func TestHostilePubsub(t *testing.T) {
	p := harness.StartServer(t)
	observer := p.Dial()
	c := p.Dial()
	c.Ask("HELLO", "3")
	for i := range 1024 {
		c.Ask("PSUBSCRIBE", strings.Repeat("*a", 100)+strconv.Itoa(i))
	}
	c.MustFail("too many subscriptions", "SUBSCRIBE", "one more")
	other := p.Dial()
	other.MustFail("too many patterns: all connections may have 1024", "PSUBSCRIBE", "mine")
	other.MustSay("PONG", "PING") // it is not subscribed
	started := time.Now()
	other.MustSay("0", "PUBLISH", strings.Repeat("a", 256), "x")
	harness.Within(t, 5*time.Second, time.Since(started), "publishing past hostile patterns")
	go other.Send(strings.Repeat(harness.Command("PUBLISH", strings.Repeat("a", 256), "x"), 20))
	for range 20 { // checks go on meanwhile
		started := time.Now()
		observer.Ask("RL.CHECK", "k", "token_bucket", "100", "1h")
		harness.Within(t, time.Second, time.Since(started), "a check beside hostile patterns")
	}
	_ = c.Close()
	harness.Eventually(t, "the patterns are gone", func() bool { return observer.InfoNumber("pubsub_patterns") == 0 })
	third := p.Dial()
	third.Send(harness.CommandLine("SUBSCRIBE big"))
	third.Value()
	observer.MustSay("1", "PUBLISH", "big", strings.Repeat("x", 1<<20))
	if _, text := nextMessage(third); len(text) != 1<<20 {
		t.Errorf("a message of 1 MB came as %d bytes", len(text))
	}
}

func TestPubsubWithGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		p := harness.StartServer(t) // one whose subscribers are all known
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		c := redis.NewClient(&redis.Options{Addr: p.Addr(), Protocol: protocol})
		sub := c.Subscribe(ctx, "a", "b")
		if err := sub.PSubscribe(ctx, "c*"); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "go-redis has subscribed", func() bool {
			n, err := c.PubSubNumPat(ctx).Result()
			return err == nil && n == 1
		})
		messages := sub.Channel()
		for _, channel := range []string{"a", "b", "cc"} {
			if n, err := c.Publish(ctx, channel, "to "+channel).Result(); n != 1 || err != nil {
				t.Fatalf("protocol %d: PUBLISH %s: %d, %v", protocol, channel, n, err)
			}
			if m := <-messages; m.Channel != channel || m.Payload != "to "+channel {
				t.Errorf("protocol %d: got %v", protocol, m)
			}
		}
		if err := sub.Ping(ctx, "x"); err != nil {
			t.Error(err)
		}
		if list, err := c.PubSubChannels(ctx, "*").Result(); err != nil || len(list) != 2 {
			t.Errorf("channels are %v, %v", list, err)
		}
		_ = sub.Close()
		cancel()
		_ = c.Close()
	}
}
