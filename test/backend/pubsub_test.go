package backend

import (
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// Where Redis decides, MULTI is refused. A connection that subscribes or monitors goes on asking,
// and its answers come in order with messages in between.
func TestPubsubWithABackend(t *testing.T) {
	r := harness.StartRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr())
	c, publisher := p.Dial(), p.Dial()
	c.MustSay("ERR MULTI is not available with --backend redis: answers that Redis decides cannot stand in EXEC's; send the commands without it", "MULTI")
	c.MustSay("ERR EXEC without MULTI", "EXEC")
	c.Ask("HELLO", "3")
	const n = 2000
	check := harness.Command("RL.CHECK", "k", "token_bucket", strconv.Itoa(n), "1h")
	// What stands before SUBSCRIBE in a batch is answered before.
	c.Send(check + harness.Command("SUBSCRIBE", "a") + check)
	if v := c.Value(); v.Kind != '*' || v.Parts[2].Text != strconv.Itoa(n-1) {
		t.Fatalf("before SUBSCRIBE: %c%q", v.Kind, v.Texts())
	}
	if v := c.Value(); v.Kind != '>' || v.Parts[0].Text != "subscribe" {
		t.Fatalf("SUBSCRIBE: %c%q", v.Kind, v.Texts())
	}
	go c.Send(strings.Repeat(check, n-2))
	go publisher.Send(strings.Repeat(harness.Command("PUBLISH", "a", "x"), n))
	harness.ExpectMixed(t, c, n, 1)
	monitor := p.Dial()
	monitor.MustSay("OK", "MONITOR")
	monitor.Send(harness.Command("RL.CHECK", "other", "token_bucket", "1", "1h"))
	for answered, shown := false, false; !answered || !shown; {
		v := monitor.Value()
		answered = answered || v.Kind == '*' && v.Parts[0].Text == "1"
		shown = shown || v.Kind == '+' && strings.Contains(v.Text, `"other"`)
	}
}
