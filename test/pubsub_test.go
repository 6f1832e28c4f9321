package test

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
)

// nextMessage reads one message of a subscriber in RESP2 or RESP3.
func (c *rawConn) nextMessage() (channel, text string) {
	c.t.Helper()
	v := c.value()
	if len(v.parts) < 3 || !strings.HasSuffix(v.parts[0].text, "message") {
		c.t.Fatalf("%c%+v is no message", v.kind, v.texts())
	}
	return v.parts[len(v.parts)-2].text, v.parts[len(v.parts)-1].text
}

// Every subscriber sees the messages of all publishers in one order, and each publisher's in
// its own.
func TestPubsubKeepsTheOrderOfMessages(t *testing.T) {
	const publishers, each, subscribers = 4, 3000, 3
	p := startServer(t)
	listening := make([]*rawConn, subscribers)
	for i := range listening {
		listening[i] = p.dial()
		if i == 1 {
			listening[i].ask("HELLO", "3")
		}
		if i == 2 {
			listening[i].ask("PSUBSCRIBE", "news.?")
		} else {
			listening[i].ask("SUBSCRIBE", "news.1")
		}
	}
	seen := make([][]string, subscribers)
	var reading, publishing sync.WaitGroup
	for i, c := range listening {
		reading.Go(func() {
			for range publishers * each {
				_, text := c.nextMessage()
				seen[i] = append(seen[i], text)
			}
		})
	}
	for n := range publishers {
		c := p.dial()
		publishing.Go(func() {
			for first := 0; first < each; first += 500 {
				var batch strings.Builder
				for i := range 500 {
					batch.WriteString(command("PUBLISH", "news.1", fmt.Sprintf("%d %d", n, first+i)))
				}
				c.send(batch.String())
				for range 500 {
					if got := c.reply(); got != ":3\r\n" {
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
		who, number, _ := strings.Cut(text, " ")
		n, _ := strconv.Atoi(who)
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
// publisher nor anybody's check waits for it.
func TestASubscriberThatNeverReadsIsCutOff(t *testing.T) {
	p := startServer(t)
	deaf, good, publisher, bystander := p.dial(), p.dial(), p.dial(), p.dial()
	deaf.ask("SUBSCRIBE", "c")
	good.ask("SUBSCRIBE", "c")
	const messages = 1500 // 75 MB: more than all buffers on the way
	heard := make(chan int, 1)
	go func() {
		n := 0
		for ; n < messages; n++ {
			if v, err := readReply(good.r); err != nil || !strings.Contains(v, "message") {
				break
			}
		}
		heard <- n
	}()
	var slowestPublish, slowestCheck time.Duration
	text := strings.Repeat("x", 50_000)
	for range messages {
		started := time.Now()
		publisher.ask("PUBLISH", "c", text)
		slowestPublish = max(slowestPublish, time.Since(started))
		started = time.Now()
		bystander.ask("RL.CHECK", "k", "token_bucket", "1000000", "1h")
		slowestCheck = max(slowestCheck, time.Since(started))
	}
	if slowestPublish > time.Second || slowestCheck > time.Second {
		t.Errorf("a PUBLISH took %v, and a bystander's check %v", slowestPublish, slowestCheck)
	}
	if n := <-heard; n != messages {
		t.Errorf("who reads got %d of %d messages", n, messages)
	}
	eventually(t, "the deaf subscriber is gone", func() bool { return bystander.infoNumber("connected_clients") == 3 })
	for name, want := range map[string]int64{"pubsub_clients": 1, "pubsub_channels": 1, "client_output_buffer_limit_disconnections": 1} {
		if got := bystander.infoNumber(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if _, err := io.Copy(io.Discard, deaf.r); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the deaf subscriber's connection is still open")
	}
	if log := p.log.String(); !strings.Contains(log, "subscriber cut off") || !strings.Contains(log, deaf.LocalAddr().String()) {
		t.Errorf("the log does not tell who was cut off:\n%s", log)
	}
}

// Whatever becomes of subscriptions, neither goroutines nor subscriptions are left.
func TestSubscriptionsLeaveNothingBehind(t *testing.T) {
	p := startServer(t)
	observer := p.dial()
	before := observer.infoNumber("goroutines")
	for round := range 100 {
		c := p.dial()
		if round%2 == 0 {
			c.ask("HELLO", "3")
		}
		for i := range 10 {
			c.send(words("SUBSCRIBE a; PSUBSCRIBE b*; UNSUBSCRIBE a; SUBSCRIBE a; MULTI; RESET"))
			for c.value().text != "RESET" {
			}
			if i%3 == 0 {
				c.send(words("MONITOR; SUBSCRIBE a"))
				observer.ask("PUBLISH", "a", "x")
			}
		}
		switch round % 4 {
		case 0:
			c.send(words("RESET; QUIT"))
			_, _ = io.Copy(io.Discard, c.r)
		case 1:
			observer.ask("CLIENT", "KILL", "ADDR", c.LocalAddr().String())
		case 2:
			c.send("*x\r\n")
		}
		_ = c.Close()
	}
	eventually(t, "only the observer is left", func() bool { return observer.infoNumber("connected_clients") == 1 })
	for _, name := range []string{"pubsub_clients", "pubsub_channels", "pubsub_patterns", "monitor_clients"} {
		if got := observer.infoNumber(name); got != 0 {
			t.Errorf("%s is %d", name, got)
		}
	}
	eventually(t, "no goroutine is left", func() bool { return observer.infoNumber("goroutines") <= before+1 })
	// One that stays has its reader and no more, however often it came and went.
	c := p.dial()
	for range 200 {
		c.send(words("SUBSCRIBE a; PING; UNSUBSCRIBE; MONITOR; RESET"))
		for c.value().text != "RESET" {
		}
	}
	eventually(t, "the one that stays has one goroutine", func() bool { return observer.infoNumber("goroutines") <= before+2 })
}

// The connection that publishes is not told apart from others, and after UNSUBSCRIBE and
// RESET no message comes, however much is going on.
func TestNoMessageComesBehindUnsubscribe(t *testing.T) {
	p := startServer(t)
	c, publisher := p.dial(), p.dial()
	const messages = 2000
	for round := range 30 {
		c.ask("SUBSCRIBE", "a")
		publisher.send(strings.Repeat(command("PUBLISH", "a", "x"), messages))
		end, last := words("UNSUBSCRIBE"), "unsubscribe"
		if round%2 == 1 {
			end, last = words("RESET"), "RESET"
		}
		for range 100 {
			c.nextMessage()
		}
		c.send(end)
		for {
			v := c.value()
			if v.text == last || len(v.parts) > 0 && v.parts[0].text == last {
				break
			}
		}
		c.mustSay("behind", "ECHO", "behind")
		for range messages {
			publisher.value()
		}
	}
}

// A subscriber in RESP3 goes on asking, with messages in between.
func TestASubscriberInRESP3AsksOn(t *testing.T) {
	p := startServer(t)
	c, publisher := p.dial(), p.dial()
	c.ask("HELLO", "3")
	c.ask("SUBSCRIBE", "a")
	const n = 3000
	go publisher.send(strings.Repeat(command("PUBLISH", "a", "x"), n))
	go c.send(strings.Repeat(command("RL.CHECK", "k", "token_bucket", strconv.Itoa(n), "1h"), n))
	expectMixed(t, c, n, 0)
}

// expectMixed reads n messages and, in any mixture with them, the decisions on n single units
// of a limit of n, of which some have been read before.
func expectMixed(t *testing.T, c *rawConn, n, decisions int) {
	t.Helper()
	messages := 0
	for messages < n || decisions < n {
		switch v := c.value(); {
		case v.kind == '>':
			messages++
		case v.kind == '*' && len(v.parts) == 6:
			if decisions++; v.parts[0].text != "1" || v.parts[2].text != strconv.Itoa(n-decisions) {
				t.Fatalf("decision %d is %q", decisions, v.texts())
			}
		default:
			t.Fatalf("neither message nor decision: %c%q", v.kind, v.texts())
		}
	}
}

func TestPubsubInClientListAndKill(t *testing.T) {
	p := startServer(t)
	a, b, c := p.dial(), p.dial(), p.dial()
	a.ask("HELLO", "3")
	a.ask("SUBSCRIBE", "x")
	a.send(words("SUBSCRIBE y z; PSUBSCRIBE p*"))
	for range 3 {
		a.value()
	}
	b.ask("SUBSCRIBE", "x")
	c.ask("MULTI")
	c.ask("PING")
	id := func(c *rawConn) string { return c.LocalAddr().String() }
	observer := p.dial()
	byAddr := map[string]map[string]string{}
	for _, fields := range observer.listed("LIST") {
		byAddr[fields["addr"]] = fields
	}
	for addr, want := range map[string][4]string{id(a): {"3", "1", "P", "-1"}, id(b): {"1", "0", "P", "-1"}, id(c): {"0", "0", "x", "1"}, id(observer): {"0", "0", "N", "-1"}} {
		f := byAddr[addr]
		if got := [4]string{f["sub"], f["psub"], f["flags"], f["multi"]}; got != want {
			t.Errorf("sub, psub, flags, multi are %q, want %q", got, want)
		}
	}
	if got := len(observer.listed("LIST", "TYPE", "PubSub")); got != 2 {
		t.Errorf("%d clients of the type pubsub, want 2", got)
	}
	if got := len(observer.listed("LIST", "TYPE", "normal")); got != 2 {
		t.Errorf("%d clients of the type normal, want 2", got)
	}
	for name, want := range map[string]int64{"pubsub_clients": 2, "pubsub_channels": 3, "pubsub_patterns": 1} {
		if got := observer.infoNumber(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	observer.mustSay("0", "CLIENT", "KILL", "TYPE", "replica")
	// As Sentinel does it: all in one transaction, which the one who asks survives.
	observer.send(words("MULTI; CLIENT KILL TYPE normal; CLIENT KILL TYPE pubsub; EXEC"))
	for _, want := range []string{"+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n:1\r\n:2\r\n"} {
		if got := observer.reply(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, c := range []*rawConn{a, b, c} {
		c.mustBeClosed()
	}
	observer.mustSay("PONG", "PING")
	eventually(t, "only the observer is left", func() bool { return observer.infoNumber("connected_clients") == 1 })
}

// A silent subscriber is not idle.
func TestTimeoutSparesSubscribers(t *testing.T) {
	p := startServer(t, "--timeout", "1")
	c, idle := p.dial(), p.dial()
	c.ask("SUBSCRIBE", "a")
	idle.mustBeClosed()
	publisher := p.dial()
	for range 10 {
		publisher.ask("PING")
		time.Sleep(100 * time.Millisecond)
	}
	publisher.mustSay("1", "PUBLISH", "a", "x")
	if _, text := c.nextMessage(); text != "x" {
		t.Errorf("got %q", text)
	}
}

// Subscribers and publishers with names, patterns and messages of any size and bytes, over
// the bounds as well, leave the server as it was.
func TestHostilePubsub(t *testing.T) {
	p := startServer(t)
	observer := p.dial()
	c := p.dial()
	c.ask("HELLO", "3")
	for i := range 1024 {
		c.ask("PSUBSCRIBE", strings.Repeat("*a", 100)+strconv.Itoa(i))
	}
	c.mustFail("too many subscriptions", "SUBSCRIBE", "one more")
	other := p.dial()
	other.mustFail("too many patterns: all connections may have 1024", "PSUBSCRIBE", "mine")
	other.mustSay("PONG", "PING") // it is not subscribed
	started := time.Now()
	other.mustSay("0", "PUBLISH", strings.Repeat("a", 256), "x")
	asked := time.Since(started)
	if asked > 5*time.Second {
		t.Errorf("publishing past hostile patterns took %v", asked)
	}
	go other.send(strings.Repeat(command("PUBLISH", strings.Repeat("a", 256), "x"), 20))
	for range 20 { // checks go on meanwhile
		started := time.Now()
		observer.ask("RL.CHECK", "k", "token_bucket", "100", "1h")
		if took := time.Since(started); took > time.Second {
			t.Errorf("a check took %v beside hostile patterns", took)
		}
	}
	_ = c.Close()
	eventually(t, "the patterns are gone", func() bool { return observer.infoNumber("pubsub_patterns") == 0 })
	third := p.dial()
	third.send(words("SUBSCRIBE big"))
	third.value()
	observer.mustSay("1", "PUBLISH", "big", strings.Repeat("x", 1<<20))
	if _, text := third.nextMessage(); len(text) != 1<<20 {
		t.Errorf("a message of 1 MB came as %d bytes", len(text))
	}
}

func TestPubsubWithGoRedis(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		p := startServer(t) // one whose subscribers are all known
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		c := redis.NewClient(&redis.Options{Addr: p.addr(), Protocol: protocol})
		sub := c.Subscribe(ctx, "a", "b")
		if err := sub.PSubscribe(ctx, "c*"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "go-redis has subscribed", func() bool {
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
