package test

import (
	"strconv"
	"strings"
	"testing"
)

// Where Redis decides, MULTI is refused, and who subscribes or monitors goes on asking: its
// answers come in order with messages in between.
func TestPubsubWithABackend(t *testing.T) {
	r := startFaultyRedis(t)
	p := startServer(t, "--backend", "redis", "--redis-addr", r.addr())
	c, publisher := p.dial(), p.dial()
	c.mustSay("ERR MULTI is not available with --backend redis: answers that Redis decides cannot stand in EXEC's; send the commands without it", "MULTI")
	c.mustSay("ERR EXEC without MULTI", "EXEC")
	c.ask("HELLO", "3")
	const n = 2000
	check := command("RL.CHECK", "k", "token_bucket", strconv.Itoa(n), "1h")
	// What stands before SUBSCRIBE in a batch is answered before.
	c.send(check + command("SUBSCRIBE", "a") + check)
	if v := c.value(); v.kind != '*' || v.parts[2].text != strconv.Itoa(n-1) {
		t.Fatalf("before SUBSCRIBE: %c%q", v.kind, v.texts())
	}
	if v := c.value(); v.kind != '>' || v.parts[0].text != "subscribe" {
		t.Fatalf("SUBSCRIBE: %c%q", v.kind, v.texts())
	}
	go c.send(strings.Repeat(check, n-2))
	go publisher.send(strings.Repeat(command("PUBLISH", "a", "x"), n))
	expectMixed(t, c, n, 1)
	monitor := p.dial()
	monitor.mustSay("OK", "MONITOR")
	monitor.send(command("RL.CHECK", "other", "token_bucket", "1", "1h"))
	for answered, shown := false, false; !answered || !shown; {
		v := monitor.value()
		answered = answered || v.kind == '*' && v.parts[0].text == "1"
		shown = shown || v.kind == '+' && strings.Contains(v.text, `"other"`)
	}
}
