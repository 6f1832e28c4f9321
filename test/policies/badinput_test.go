package policies

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// A refusal is a command that is wrong, and what its error says.
type refusal struct {
	words []string
	says  []string
}

// said makes a refusal of a line. In the line ~ stands for a word of its own that is empty.
func said(line string, says ...string) refusal {
	words := strings.Fields(line)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "~", "")
	}
	return refusal{words, says}
}

// pairsOf are n different pairs.
func pairsOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " k%d @api", i)
	}
	return b.String()
}

const (
	rule    = " LIMIT fixed_window 10 1h"
	unknown = "unknown policy 'apl'"
)

// refusals are asked where there are the policies api, of two limits, and gate, which denies.
func refusals() []refusal {
	list := []refusal{
		// What does not exist. The error lists near names.
		said("RL.CHECK k @apl", unknown, "api"),
		said("RL.PEEK k @apl", unknown, "api"),
		said("RL.REFUND k @apl", unknown, "api"),
		said("RL.EXPLAIN k @apl", unknown, "api"),
		said("RL.MCHECK 2 k @api k @apl", unknown, "api"),
		said("RL.POLICY GET apl", unknown, "api"),
		said("RL.POLICY OVERRIDE apl k"+rule, unknown, "api"),
		said("RL.POLICY OVERRIDES apl", unknown, "api"),
		said("RL.POLICY UNSET apl k", unknown, "api"),
		said("RL.CHECK k @nothing-like-it", "unknown policy 'nothing-like-it'", "RL.POLICY LIST"),
		said("RL.CHECK k @API", "unknown policy 'API'", "api"), // names have letters of either case
		said("RL.CHECK k @", "policy"),
		said("RL.CHECK k @"+strings.Repeat("x", 100), "policy"),

		// Names.
		{append([]string{"RL.POLICY", "SET", "my api"}, strings.Fields(rule)...), []string{"my api", "letters"}},
		{append([]string{"RL.POLICY", "SET", ""}, strings.Fields(rule)...), []string{"letters"}},
		{append([]string{"RL.POLICY", "SET", "a\r\n+OK"}, strings.Fields(rule)...), []string{"letters"}},
		said("RL.POLICY SET @api"+rule, "@api", "letters"),
		said("RL.POLICY SET ä"+rule, "letters"),
		said("RL.POLICY SET a:b"+rule, "letters"),
		said("RL.POLICY SET "+strings.Repeat("x", 65)+rule, "64"),

		// Limits.
		said("RL.POLICY SET api", ""),
		said("RL.POLICY SET api SHADOW", "LIMIT"),
		said("RL.POLICY SET api LIMIT", ""),
		said("RL.POLICY SET api LIMIT LIMIT", "LIMIT"),
		said("RL.POLICY SET api fixed_window 10 1h", "LIMIT"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 10", ""),
		said("RL.POLICY SET api"+rule+" LIMIT other_window 10 1h", "other_window", "fixed_window"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 0 1h", "limit 0", "1 to 1000000000"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 10 400d", "period '400d'"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 10 1h BURST 20", "BURST"),
		said("RL.POLICY SET api"+rule+" COST 2", "COST"),
		said("RL.POLICY SET api"+rule+" SHADOW SHADOW", "SHADOW"),
		said("RL.POLICY SET api"+rule+" DENY", "DENY"),
		said("RL.POLICY SET api DENY"+rule, "DENY"),
		said("RL.POLICY SET api LIMIT token_bucket 10 month", "period", "month", "fixed_window"),
		said("RL.POLICY SET api LIMIT sliding_window_log 10 week", "period", "week", "fixed_window"),
		said("RL.POLICY SET api LIMIT sliding_window_log 100001 1h", "100000"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 20 1h", "same state"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 20 60m", "same state"),
		said("RL.POLICY SET api"+rule+" LIMIT fixed_window 20 hour", "same state"),
		said("RL.POLICY SET api"+strings.Repeat(" LIMIT token_bucket 1 1s", 9), "8"),
		said("RL.CHECK k token_bucket 10 month", "period", "month", "fixed_window"),
		said("RL.CHECK k leaky_bucket 10 year", "period", "year", "fixed_window"),
		said("RL.CHECK k fixed_window 10 decade", "period 'decade'", "month"),

		// Overrides.
		said("RL.POLICY OVERRIDE api k", ""),
		said("RL.POLICY OVERRIDE api ~"+rule, "key is 0 bytes"),
		said("RL.POLICY OVERRIDE api "+strings.Repeat("k", 1025)+rule, "key is 1025 bytes"),
		said("RL.POLICY OVERRIDE api k LIMIT fixed_window 10 400d", "period '400d'"),
		said("RL.POLICY OVERRIDE api k PERHAPS", "PERHAPS"),
		said("RL.POLICY PUT api"+rule, "PUT"),
		said("RL.POLICY", "wrong number of arguments"),

		// Calls of a policy.
		said("RL.CHECK ~ @api", "key is 0 bytes"),
		said("RL.CHECK "+strings.Repeat("k", 1025)+" @api", "key is 1025 bytes"),
		said("RL.CHECK k @api COST 0", "cost 0", "1 to 1000000000"),
		said("RL.CHECK k @api COST x", "cost 'x'"),
		said("RL.CHECK k @api COST", "COST needs a value"),
		said("RL.CHECK k @api COST 1 COST 1", "COST is given twice"),
		said("RL.CHECK k @api FORCE FORCE", "FORCE is given twice"),
		said("RL.CHECK k @api BURST 5", "BURST"),
		said("RL.CHECK k @api 10 1h", "option '10'"),
		said("RL.CHECK k @api COST 1 10", "option '10'"),
		said("RL.CHECK k fixed_window 10 @api", "period '@api'"),
		said("RL.PEEK k @api FORCE", "FORCE"),
		said("RL.PEEK k fixed_window 10 1h FORCE", "FORCE"),
		said("RL.REFUND k @api FORCE", "FORCE"),
		said("RL.REFUND k fixed_window 10 1h COST 1 FORCE", "FORCE"),
		said("RL.EXPLAIN k @api FORCE", "FORCE"),
		said("RL.EXPLAIN k", "wrong number of arguments"),

		// Calls of several pairs.
		said("RL.MCHECK", "wrong number of arguments"),
		said("RL.MCHECK 0"+pairsOf(1), "1 to 16"),
		said("RL.MCHECK -1"+pairsOf(1), "1 to 16"),
		said("RL.MCHECK 17"+pairsOf(17), "1 to 16"),
		said("RL.MCHECK x"+pairsOf(1), "'x'"),
		said("RL.MCHECK 1.0"+pairsOf(1), "'1.0'"),
		said("RL.MCHECK 3"+pairsOf(2), ""),
		said("RL.MCHECK 2"+pairsOf(3), ""),
		said("RL.MCHECK 2 k0 @api k1", ""),
		said("RL.MCHECK 2 k0 @api COST 2", ""),
		said("RL.MCHECK 2 k0 @api k1 api", "api"),
		said("RL.MCHECK 2 k0 fixed_window 10 1h k1 @api", ""),
		said("RL.MCHECK 3 k0 @api k1 @api k0 @api", "k0", "twice"),
		said("RL.MCHECK 3 k0 @api k0 @gate k0 @api", "k0", "twice"),
		said("RL.MCHECK 2 k0 @api ~ @api", "key is 0 bytes"),
		said("RL.MCHECK 2"+pairsOf(2)+" COST 0", "cost 0"),
		said("RL.MCHECK 2"+pairsOf(2)+" COST", "COST needs a value"),
		said("RL.MCHECK 2"+pairsOf(2)+" BURST 2", "BURST"),
		said("RL.MCHECK 2"+pairsOf(2)+" FORCE FORCE", "FORCE is given twice"),

		// The state of a limit is not to be had by another name.
		said("RL.CHECK witness@api:f/1d fixed_window 50 1d", "WRONGTYPE"),
		said("RL.REFUND witness@api:w/1d sliding_window_log 50 1d", "WRONGTYPE"),
	}
	return list
}

// Whatever is wrong, the error says what, and nothing happens: not to a limit, nor to the set.
func TestBadInput(t *testing.T) {
	for _, s := range settings[:2] {
		t.Run(s.name, func(t *testing.T) {
			c := s.start(t)[0].Dial()
			c.SetPolicy("api", "fixed_window 50 1d", "sliding_window_log 50 1d")
			c.MustSay("OK", "RL.POLICY", "SET", "gate", "DENY")
			c.MustSay("OK", "RL.POLICY", "OVERRIDE", "api", "vip", "ALLOW")
			if got, err := c.Ask("RL.CHECK", "witness", "@api", "COST", "4").Integers(); err != nil || got[0] != 1 {
				t.Fatalf("the witness was answered %v (%v)", got, err)
			}
			before := observe(c)
			for _, bad := range refusals() {
				got := c.Ask(bad.words...)
				missing := slices.ContainsFunc(bad.says, func(text string) bool { return !strings.Contains(got.Text, text) })
				known := strings.HasPrefix(got.Text, "ERR ") || strings.HasPrefix(got.Text, "WRONGTYPE ")
				if got.Kind != '-' || missing || !known || strings.ContainsAny(got.Text, "\r\n") {
					t.Errorf("%.100q was answered %c%.300s %v; want an error with %q", bad.words, got.Kind, got.Text, got.Texts(), bad.says)
				}
				if after := observe(c); after != before {
					t.Errorf("%.100q has changed\n%s\nto\n%s", bad.words, before, after)
					before = after
				}
			}
		})
	}
}

// observe tells all that a wrong command could have changed.
func observe(c *harness.Conn) string {
	c.T.Helper()
	var b strings.Builder
	for _, l := range explain(c, "witness", "api") {
		fmt.Fprintln(&b, l.state, l.used)
	}
	for _, key := range []string{"k", "k0", "k1"} {
		for _, l := range explain(c, key, "api") {
			fmt.Fprintln(&b, l.state, l.used)
		}
	}
	for _, words := range []string{"RL.POLICY LIST", "RL.POLICY GET api", "RL.POLICY OVERRIDES api"} {
		c.Send(harness.CommandLine(words))
		b.WriteString(c.Reply())
	}
	fmt.Fprintln(&b, count(c, "policies_version"))
	return b.String()
}

// Keys of several slots are refused in a cluster before anything is taken of one of them.
func TestCrossSlot(t *testing.T) {
	c := settings[2].start(t)[0].Dial()
	c.SetPolicy("api", "fixed_window 50 1d", "sliding_window_log 50 1d")
	for n := 2; n <= 16; n++ {
		words := append([]string{"RL.MCHECK", strconv.Itoa(n)}, strings.Fields(pairsOf(n))...)
		c.MustFail("CROSSSLOT", words...)
		if got := c.Ask(words...).Text; !strings.Contains(got, "slot") {
			t.Errorf("the error is %q", got)
		}
	}
	for i := range 16 {
		for _, l := range explain(c, fmt.Sprint("k", i), "api") {
			if l.used != 0 {
				t.Errorf("%s: %d units are taken", l.state, l.used)
			}
		}
	}
	// The limits of one key always share a slot, and keys with the same tag do.
	for _, words := range []string{"RL.MCHECK 1 k1 @api", "RL.MCHECK 2 {a}1 @api {a}2 @api", "RL.CHECK k2 @api"} {
		if got, err := c.Ask(strings.Fields(words)...).Integers(); err != nil || got[0] != 1 {
			t.Errorf("%s: %v (%v)", words, got, err)
		}
	}
}

// wrongFiles are policies of a file that is refused, the line at which, and what was expected.
var wrongFiles = []struct {
	text string
	line int
	says []string
}{
	{"policies:\n  api: fixed_window 10 1h\n  api: fixed_window 20 1h\n", 3, []string{"api"}},
	{"policies:\n  api:\n", 2, []string{"api"}},
	{"policies:\n  api: []\n", 2, []string{"api"}},
	{"policies:\n  my api: fixed_window 10 1h\n", 2, []string{"my api", "letters"}},
	{"policies:\n  good: deny\n  api: fixed_window 10\n", 3, []string{"PERIOD"}},
	{"policies:\n  api: fixed_window ten 1h\n", 2, []string{"limit", "ten"}},
	{"policies:\n  api: token_bucket 10 month\n", 2, []string{"month", "fixed_window"}},
	{"policies:\n  api: perhaps\n", 2, []string{"perhaps"}},
	{"policies:\n  api: " + strings.Repeat("token_bucket 1 1s + ", 8) + "fixed_window 1 1s\n", 2, []string{"8"}},
	{"policies:\n  api: fixed_window 10 1h + fixed_window 20 60m\n", 2, []string{"same state"}},
	{"policies:\n  api:\n    limits: fixed_window 10 1h\n    shadows: true\n", 4, []string{"shadows"}},
	{"policies:\n  api:\n    limits: fixed_window 10 1h\n    shadow: perhaps\n", 4, []string{"shadow"}},
	{"policies:\n  api:\n    limits: fixed_window 10 1h\n    overrides:\n      vip: fixed_window 10\n", 5, []string{"vip", "PERIOD"}},
	{"policies:\n  api:\n    limits: fixed_window 10 1h\n    overrides:\n      vip: allow\n      vip: deny\n", 6, []string{"vip"}},
	{"policies: fixed_window 10 1h\n", 1, []string{"policies"}},
	{"policies:\n  - fixed_window 10 1h\n", 2, nil},
}

// A file that is wrong is refused whole, by all that read one: the set before stays in force.
func TestWrongFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rlserver.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policies:\n  api: fixed_window 50 1d + sliding_window_log 50 1d\n")
	c := harness.StartServer(t, "--config", path).Dial()
	before := observe(c)
	for _, wrong := range wrongFiles {
		write(wrong.text)
		says := append([]string{fmt.Sprintf("%s:%d", path, wrong.line)}, wrong.says...)
		reload := c.Ask("RL.POLICY", "RELOAD")
		started, startErr := exec.Command(harness.Binary(t), "serve", "--config", path, "--port", "auto").CombinedOutput()
		checked, checkErr := exec.Command(harness.Binary(t), "policy", "check", path).CombinedOutput()
		if reload.Kind != '-' || startErr == nil || checkErr == nil {
			t.Errorf("accepted:\n%s\nRL.POLICY RELOAD: %c%s; serve: %v; policy check: %v", wrong.text, reload.Kind, reload.Text, startErr, checkErr)
		}
		for name, text := range map[string]string{"RL.POLICY RELOAD": reload.Text, "serve": string(started), "policy check": string(checked)} {
			for _, want := range says {
				if !strings.Contains(text, want) {
					t.Errorf("%s says of\n%s\n%s; want %q", name, wrong.text, text, want)
				}
			}
		}
		if after := observe(c); after != before {
			t.Errorf("%s\nhas changed\n%s\nto\n%s", wrong.text, before, after)
			before = after
		}
	}
}
