package pubsub

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

func TestTransactionsWithGoRedis(t *testing.T) {
	p := harness.StartServer(t)
	for _, protocol := range []int{2, 3} {
		c := redis.NewClient(&redis.Options{Addr: p.Addr(), Protocol: protocol})
		key := "k" + strconv.Itoa(protocol)
		var replies []*redis.Cmd
		_, err := c.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
			for range 500 {
				replies = append(replies, pipe.Do(t.Context(), "RL.CHECK", key, "token_bucket", 300, "1h"))
			}
			return nil
		})
		if err != nil {
			t.Fatalf("protocol %d: %v", protocol, err)
		}
		for i, reply := range replies {
			got, err := reply.Int64Slice()
			if want := i < 300; err != nil || (got[0] == 1) != want {
				t.Fatalf("protocol %d: reply %d is %v, %v", protocol, i, got, err)
			}
		}
		if err := c.Watch(t.Context(), func(*redis.Tx) error { return nil }, key); err == nil || !strings.Contains(err.Error(), "WATCH is not available") {
			t.Errorf("WATCH: %v", err)
		}
		_ = c.Close()
	}
}

// A slow command in a transaction holds up no other connection, and its answers wait for the peer
// only up to a bound.
func TestSlowTransactionsStepAside(t *testing.T) {
	p := harness.StartServer(t, "--output-buffer-limit", "1mb")
	c, bystander := p.Dial(), p.Dial()
	c.Fill("key:", "token_bucket", 20_000)
	c.Send(harness.CommandLine("MULTI") + strings.Repeat(harness.CommandLine("KEYS *"), 300) + harness.CommandLine("EXEC"))
	var slowest time.Duration
	for range 50 {
		started := time.Now()
		bystander.MustSay("PONG", "PING")
		slowest = max(slowest, time.Since(started))
		time.Sleep(5 * time.Millisecond)
	}
	harness.Within(t, time.Second, slowest, "a PING beside a slow transaction")
	harness.Eventually(t, "the transaction is over, though its answers have not been read", func() bool {
		return len(bystander.Listed("LIST")) == 2 && !strings.Contains(bystander.Ask("CLIENT", "LIST").Text, "flags=x")
	})
	for range 301 {
		c.Value()
	}
	reply := c.Value()
	if len(reply.Parts) != 300 || len(reply.Parts[0].Parts) != 20_000 {
		t.Fatalf("EXEC replies %d parts, and %d keys", len(reply.Parts), len(reply.Parts[0].Parts))
	}
	last := reply.Parts[299]
	if last.Kind != '-' || !strings.Contains(last.Text, "output-buffer-limit") {
		t.Errorf("the answers of a peer that does not read are not bounded: %c%.100q", last.Kind, last.Text)
	}
	c.MustSay("PONG", "PING")
}

func TestMonitorShowsTransactionsAsRedisDoes(t *testing.T) {
	seenBy := func(p *harness.Process) (lines []string) {
		monitor, other := p.Dial(), p.Dial()
		monitor.MustSay("OK", "MONITOR")
		other.Send(harness.CommandLine("MULTI; PING; ECHO x; EXEC; MULTI; ECHO; EXEC; MULTI; PING a; DISCARD; UNWATCH; PUBLISH a b; UNSUBSCRIBE; ECHO last"))
		for {
			_, line := monitor.NextLine()
			if lines = append(lines, line); strings.Contains(line, "last") {
				return lines
			}
		}
	}
	if want, got := seenBy(harness.StartRedis(t)), seenBy(harness.StartServer(t)); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("MONITOR shows\n%q\nand of Redis\n%q", got, want)
	}
}
