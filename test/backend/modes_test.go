package backend

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// What a connection has asked for holds for answers of Redis too, which come later: replies are
// dropped, and a client that tracks is told of what it reads in front of the answer and behind it.
func TestModesOfConnections(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-timeout", "20s", "--cluster-enabled", "emulated")
	const question = " k token_bucket 5 100d"
	answers := func(line string) string {
		c := p.Dial()
		_ = c.SetDeadline(time.Now().Add(harness.Patience))
		c.Send(harness.CommandLine("HELLO 3; " + line + "; QUIT"))
		_ = c.Value() // of HELLO
		var got []string
		for {
			v, err := harness.ParseValue(c.Reader)
			if err != nil {
				return strings.Join(got, " ")
			}
			switch {
			case len(v.Parts) == 6:
				got = append(got, v.Parts[0].Text+"/"+v.Parts[2].Text)
			case v.Kind == '>':
				got = append(got, ">"+strings.Join(v.Parts[1].Texts(), ","))
			default:
				got = append(got, v.Text)
			}
		}
	}
	for _, step := range []struct{ line, want string }{
		{"RL.CHECK" + question, "1/4 OK"},
		{"CLIENT REPLY SKIP; RL.CHECK" + question + "; RL.CHECK" + question, "1/2 OK"},
		{"CLIENT REPLY OFF; RL.CHECK" + question + "; PING; RL.RESET k; RL.CHECK" + question + "; CLIENT REPLY ON; RL.CHECK" + question, "OK 1/3 OK"},
		{"CLIENT TRACKING on; RL.PEEK" + question + "; RL.CHECK" + question + "; RL.PEEK" + question, "OK >k 1/3 >k 1/2 >k 1/2 >k OK"},
		{"CLIENT TRACKING on OPTIN; RL.PEEK" + question + "; CLIENT CACHING yes; RL.PEEK" + question + "; PING", "OK 1/2 OK >k 1/2 >k PONG OK"},
		{"CLIENT PAUSE 1 WRITE; RL.CHECK" + question + "; PING", "OK 1/1 PONG OK"},
	} {
		if got := answers(step.line); got != step.want {
			t.Errorf("%s\n got %s\nwant %s", step.line, got, step.want)
		}
	}
	c := p.Dial()
	if slots := c.Ask("CLUSTER", "SLOTS"); len(slots.Parts) != 1 || len(slots.Parts[0].Parts) != 3 {
		t.Errorf("CLUSTER SLOTS is %+v", slots)
	}
	c.MustFail("COUNTKEYSINSLOT is not available with --backend redis", "CLUSTER", "COUNTKEYSINSLOT", "1")
	if help := c.Ask("CLUSTER", "HELP").Texts(); !slices.Contains(help, "SLOTS") {
		t.Errorf("CLUSTER HELP is %q", help)
	}
}
