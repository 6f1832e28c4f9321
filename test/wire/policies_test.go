package wire

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

const setPolicy = "RL.POLICY SET p LIMIT token_bucket 10 1d LIMIT fixed_window 5 year"

// redisCLI is what redis-cli prints for a terminal.
func redisCLI(t *testing.T, p *harness.Process, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", append([]string{"-p", strconv.Itoa(p.Port), "--no-raw"}, strings.Fields(line)...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %s: %v\n%s", line, err, out)
	}
	return string(out)
}

// An explanation is readable in redis-cli: a map in RESP3, and its names and values in turn in RESP2.
func TestExplainInRedisCLI(t *testing.T) {
	p := harness.StartServer(t)
	redisCLI(t, p, setPolicy)
	redisCLI(t, p, "RL.CHECK k @p COST 4")
	for _, want := range []string{
		`1# "policy" => "p"`, `2# "key" => "k"`, `3# "override" => (nil)`, `5# "verdict" => "ask"`, `6# "allowed" => (integer) 1`,
		`1# "rule" => "token_bucket 10 1d"`, `2# "state" => "k@p:t10/1d"`, `7# "used" => (integer) 4`, `8# "remaining" => (integer) 6`, `10# "retry_after_ms" => (integer) 0`,
		`1# "rule" => "fixed_window 5 year"`, `8# "remaining" => (integer) 1`,
	} {
		if got := redisCLI(t, p, "-3 RL.EXPLAIN k @p"); !strings.Contains(got, want+" \n") && !strings.Contains(got, want+"\n") {
			t.Errorf("RESP3: %s is missing in\n%s", want, got)
		}
	}
	got := redisCLI(t, p, "RL.EXPLAIN k @p COST 2")
	for _, want := range []string{"1) \"policy\"\n 2) \"p\"\n", "11) \"allowed\"\n12) (integer) 0\n", "1) \"rule\"\n        2) \"token_bucket 10 1d\"\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("RESP2: %q is missing in\n%s", want, got)
		}
	}
	redisCLI(t, p, "RL.POLICY OVERRIDE p k DENY")
	for line, want := range map[string]string{
		"-3 RL.POLICY LIST":        `1# "p" => "token_bucket 10 1d + fixed_window 5 year"`,
		"-3 RL.POLICY OVERRIDES p": `1# "k" => "deny"`,
		"-3 RL.POLICY GET p":       `5# "overrides" => (integer) 1`,
		"RL.POLICY LIST":           "1) \"p\"\n2) \"token_bucket 10 1d + fixed_window 5 year\"",
		"-3 RL.EXPLAIN k @p":       `3# "override" => "deny"`,
		"RL.CHECK k @q":            "(error) ERR unknown policy 'q': RL.POLICY LIST shows all",
	} {
		if got := redisCLI(t, p, line); !strings.Contains(got, want) {
			t.Errorf("%s: %s is missing in\n%s", line, want, got)
		}
	}
}

// The same commands have the same answers in memory and with Redis, in order, whether answers are known at
// once, come late, or need no state.
func TestPoliciesSameInRedis(t *testing.T) {
	redis := harness.StartRedis(t)
	servers := []*harness.Process{harness.StartServer(t), harness.StartServer(t, "--backend", "redis", "--redis-addr", redis.Addr())}
	lines := []string{
		setPolicy, "RL.POLICY SET w LIMIT fixed_window 3 year", "RL.POLICY SET log LIMIT sliding_window_log 5 366d LIMIT fixed_window 100 year", "RL.POLICY SET no DENY", "RL.POLICY SET yes ALLOW",
		"RL.POLICY SET shadow LIMIT fixed_window 2 year SHADOW",
		"RL.CHECK k @w COST 2", "RL.CHECK k @no", "RL.CHECK k @w COST 2", "RL.CHECK k @p COST 3", "RL.CHECK k @p COST 3", "RL.PEEK k @log COST 5", "RL.CHECK k @yes", "RL.REFUND k @p COST 3", "RL.REFUND k @no",
		"RL.MCHECK 3 a @w b @w c @yes COST 3", "RL.MCHECK 2 a @w d @w", "RL.PEEK d @w", "RL.MCHECK 2 d @w e @no", "RL.MCHECK 2 d @w e @shadow COST 3", "RL.MCHECK 1 d @w COST 2 FORCE", "RL.CHECK a @w FORCE",
		"RL.CHECK s @shadow COST 3", "RL.CHECK k @gone", "RL.EXPLAIN k @no", "RL.EXPLAIN full fixed_window 7 year", "RL.POLICY GET shadow", "RL.POLICY DEL no", "RL.CHECK k @no", "RL.POLICY LIST", "PING",
	}
	var answers [2][]string
	for i, p := range servers {
		c := p.Dial()
		c.Send(harness.CommandLine(strings.Join(lines, "; ")))
		for range lines {
			answers[i] = append(answers[i], untimed(c.Value()))
		}
		if _, fields := c.Info("stats"); fields["denied_shadow"] != "2" {
			t.Errorf("denied_shadow is %s, want 2", fields["denied_shadow"])
		}
	}
	for i, line := range lines {
		if answers[0][i] != answers[1][i] {
			t.Errorf("%s\n in memory %s\n in Redis  %s", line, answers[0][i], answers[1][i])
		}
	}
}

// untimed writes a reply, of a decision without its times.
func untimed(v harness.Value) string {
	texts := v.Texts()
	if len(v.Parts) == 6 && v.Parts[0].Kind == ':' {
		return strings.Join(texts[:3], " ")
	}
	if v.Parts == nil {
		return v.Text
	}
	return fmt.Sprint(texts)
}

// A client that tracks is told of the keys that it reads, by policies too, in front of the answer and
// behind it: also where the answer comes late.
func TestTrackingOfPolicies(t *testing.T) {
	redis := harness.StartRedis(t)
	const pushed = ">(invalidate k)"
	for _, flags := range [][]string{nil, {"--backend", "redis", "--redis-addr", redis.Addr()}} {
		c := harness.StartServer(t, flags...).Dial()
		c.Send(harness.CommandLine("RL.POLICY SET p LIMIT fixed_window 5 year; HELLO 3; CLIENT TRACKING on; RL.PEEK k @p; RL.EXPLAIN k @p; RL.CHECK c @p; RL.POLICY GET p; PING"))
		_, _ = c.Value(), c.Value()
		var got []string
		for range 9 {
			got = append(got, strings.SplitN(brief(c.Value()), " ", 2)[0])
		}
		const invalidate = ">(invalidate"
		want := []string{"+OK", invalidate, "*(1", invalidate, invalidate, "%(policy", invalidate, "*(1", "%(name"}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%v:\n got %v\nwant %v (%s)", flags, got, want, pushed)
		}
	}
}

// Clients of a cluster find the keys of RL.MCHECK, by the range, by the specification or by asking.
func TestKeysOfMCheck(t *testing.T) {
	c := harness.StartServer(t).Dial()
	if got := fmt.Sprint(c.Ask("COMMAND", "GETKEYS", "RL.MCHECK", "2", "a", "@p", "b", "@q", "COST", "3").Texts()); got != "[a b]" {
		t.Errorf("the keys are %s", got)
	}
	c.MustFail("ERR Invalid arguments specified for command", "COMMAND", "GETKEYS", "RL.MCHECK", "3", "a", "@p", "b", "@q")
	row := c.Ask("COMMAND", "INFO", "rl.mcheck").Parts[0]
	if got := fmt.Sprint(row.Parts[2].Texts(), row.Texts()[3:6]); got != "[write fast movablekeys] [2 2 1]" {
		t.Errorf("COMMAND INFO says %s", got)
	}
}
