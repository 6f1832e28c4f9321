package debugging

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

func TestMonitorShowsCommandsInOrderAndQuotedAsRedisDoes(t *testing.T) {
	commands := [][]string{
		{"PING"},
		{"ping", "x y"},
		{"ECHO", "\"quoted\" \\ 'single'"},
		{"ECHO", "\x00\x01\a\b\t\n\v\r\x1b\x7f\x80\xff é"},
		{"ECHO", ""},
		{"EXISTS", "a", "b", "c"},
		{"DBSIZE"},
	}
	seenBy := func(p *harness.Process) (lines []string) {
		monitor, other := p.Dial(), p.Dial()
		monitor.MustSay("OK", "MONITOR")
		for _, words := range commands {
			other.Ask(words...)
		}
		for range commands {
			addr, words := monitor.NextLine()
			if addr != other.LocalAddr().String() {
				t.Errorf("MONITOR says that %s came from %s, want %s", words, addr, other.LocalAddr())
			}
			lines = append(lines, words)
		}
		return lines
	}
	want, got := seenBy(harness.StartRedis(t)), seenBy(harness.StartServer(t))
	if !slices.Equal(got, want) {
		t.Errorf("MONITOR shows\n%q\nand of Redis\n%q", got, want)
	}
}

func TestMonitorKeepsOrderAcrossAPipeline(t *testing.T) {
	p := harness.StartServer(t)
	monitor, other := p.Dial(), p.Dial()
	monitor.MustSay("OK", "MONITOR")
	const n = 2000
	var all strings.Builder
	for i := range n {
		all.WriteString(harness.Command("RL.CHECK", strconv.Itoa(i), "token_bucket", "1", "1h"))
	}
	other.Send(all.String())
	for i := range n {
		if _, words := monitor.NextLine(); words != fmt.Sprintf(`"RL.CHECK" "%d" "token_bucket" "1" "1h"`, i) {
			t.Fatalf("line %d is %s", i, words)
		}
	}
}

func TestMonitorShowsNoPasswords(t *testing.T) {
	p := harness.StartServer(t)
	monitor, other := p.Dial(), p.Dial()
	monitor.MustSay("OK", "MONITOR")
	other.Ask("AUTH", "geheim1")
	other.Ask("AUTH", "default", "geheim2")
	other.Ask("AUTH", "default", "geheim3", "too many")
	other.Ask("HELLO", "3", "AUTH", "default", "geheim4")
	other.Ask("HELLO", "2", "AUTH", "nobody", "geheim5")
	other.Ask("CONFIG", "SET", "requirepass", "geheim6")
	other.Ask("AUTH", "geheim6")
	other.Ask("CONFIG", "SET", "requirepass", "")
	other.Ask("PING")
	for {
		_, words := monitor.NextLine()
		if strings.Contains(words, "geheim") {
			t.Errorf("MONITOR shows %s", words)
		}
		if words == `"PING"` {
			return
		}
	}
}

// A monitor may go on asking, and RESET makes it an ordinary connection again: what comes
// behind +RESET are answers, and nothing else, however much is going on.
func TestResetEndsAMonitor(t *testing.T) {
	const commands = 3000 // fewer than may wait for a monitor, so it is not cut off
	p := harness.StartServer(t)
	c, other := p.Dial(), p.Dial()
	for round := range 40 {
		c.MustSay("OK", "MONITOR")
		other.Send(strings.Repeat(harness.Command("DBSIZE"), commands))
		c.Send(harness.Command("ECHO", "while monitoring"))
		for answered, lines := false, 0; !answered || lines < 100; {
			switch v := c.Value(); {
			case v.Kind == '$' && v.Text == "while monitoring":
				answered = true
			case v.Kind == '+':
				lines++
			default:
				t.Fatalf("a monitor is sent %c%q", v.Kind, v.Text)
			}
		}
		c.Send(harness.Command("RESET"))
		for c.Value().Text != "RESET" {
		}
		if v := c.Ask("ECHO", "afterwards"); v.Kind != '$' || v.Text != "afterwards" {
			t.Fatalf("round %d: after RESET the answer to ECHO is %c%q", round, v.Kind, v.Text)
		}
		for range commands {
			other.Value()
		}
	}
	if _, fields := c.Info("clients"); fields["monitor_clients"] != "0" {
		t.Errorf("monitor_clients is %s", fields["monitor_clients"])
	}
}

func TestAMonitorCanQuit(t *testing.T) {
	p := harness.StartServer(t)
	monitor, other := p.Dial(), p.Dial()
	monitor.MustSay("OK", "MONITOR")
	if _, fields := other.Info("clients"); fields["monitor_clients"] != "1" {
		t.Errorf("monitor_clients is %s", fields["monitor_clients"])
	}
	if list := other.Ask("CLIENT", "LIST").Text; !strings.Contains(list, " flags=O ") {
		t.Errorf("no monitor in CLIENT LIST:\n%s", list)
	}
	// Nothing behind QUIT is executed, though it came in the same packet.
	monitor.Send(harness.Command("QUIT") + harness.Command("RL.CHECK", "late", "token_bucket", "1", "1h"))
	rest, err := io.ReadAll(monitor.Reader)
	if err != nil || !strings.Contains(string(rest), "+OK\r\n") {
		t.Errorf("after QUIT: %q, %v", rest, err)
	}
	harness.Eventually(t, "no connection monitors", func() bool { return other.InfoNumber("monitor_clients") == 0 })
	other.MustSay("0", "EXISTS", "late")
}

// A monitor that does not read is cut off, and no other connection waits for it.
func TestAMonitorThatNeverReadsIsCutOff(t *testing.T) {
	p := harness.StartServer(t)
	monitor, other, bystander := p.Dial(), p.Dial(), p.Dial()
	monitor.MustSay("OK", "MONITOR")
	batch := strings.Repeat(harness.Command("ECHO", strings.Repeat("x", 2000)), 100)
	var slowest time.Duration
	cut := false
	for range 600 { // 120 MB: more than all buffers on the way
		other.Send(batch)
		for range 100 {
			other.Value()
		}
		asked := time.Now()
		bystander.MustSay("PONG", "PING")
		slowest = max(slowest, time.Since(asked))
		if cut = bystander.InfoNumber("monitor_clients") == 0; cut {
			break
		}
	}
	if !cut {
		t.Fatal("a monitor that never reads is not cut off")
	}
	harness.Within(t, time.Second, slowest, "a bystander's PING")
	var waited net.Error
	if _, err := io.Copy(io.Discard, monitor.Reader); errors.As(err, &waited) && waited.Timeout() {
		t.Error("the monitor's connection is still open")
	}
	harness.Eventually(t, "the monitor is gone", func() bool { return bystander.InfoNumber("connected_clients") == 2 })
	if !strings.Contains(p.Log.String(), "monitor") {
		t.Error("the log does not tell that a monitor was cut off")
	}
}

// slowEntries reads SLOWLOG GET.
func slowEntries(c *harness.Conn, count ...string) []harness.Value {
	c.T.Helper()
	reply := c.Ask(append([]string{"SLOWLOG", "GET"}, count...)...)
	for _, e := range reply.Parts {
		if len(e.Parts) != 6 || e.Parts[0].Kind != ':' || e.Parts[1].Kind != ':' || e.Parts[2].Kind != ':' || e.Parts[3].Kind != '*' ||
			e.Parts[4].Kind != '$' || e.Parts[5].Kind != '$' {
			c.T.Fatalf("an entry of SLOWLOG is %+v", e)
		}
	}
	return reply.Parts
}

func TestSlowlogKeepsTheNewestFirst(t *testing.T) {
	p := harness.StartServer(t, "--slowlog-log-slower-than", "0")
	c := p.Dial()
	c.Ask("CLIENT", "SETNAME", "snail")
	c.MustSay("OK", "SLOWLOG", "RESET")
	for i := range 15 {
		c.Ask("RL.CHECK", "k"+strconv.Itoa(i), "token_bucket", "1", "1h")
	}
	entries := slowEntries(c)
	if len(entries) != 10 {
		t.Fatalf("SLOWLOG GET gives %d entries, want 10", len(entries))
	}
	for i, e := range entries {
		if got, want := e.Parts[3].Texts(), []string{"RL.CHECK", "k" + strconv.Itoa(14-i), "token_bucket", "1", "1h"}; !slices.Equal(got, want) {
			t.Errorf("entry %d is %q, want %q", i, got, want)
		}
		if i > 0 && e.Parts[0].Number(t) != entries[i-1].Parts[0].Number(t)-1 {
			t.Errorf("ids %s and then %s", entries[i-1].Parts[0].Text, e.Parts[0].Text)
		}
		if at := e.Parts[1].Number(t); at < time.Now().Unix()-60 || at > time.Now().Unix() {
			t.Errorf("entry %d is of the instant %d", i, at)
		}
		if us := e.Parts[2].Number(t); us < 0 || us > harness.Patience.Microseconds() {
			t.Errorf("entry %d took %d µs", i, us)
		}
		if e.Parts[4].Text != c.LocalAddr().String() || e.Parts[5].Text != "snail" {
			t.Errorf("entry %d came from %q, %q", i, e.Parts[4].Text, e.Parts[5].Text)
		}
	}
	for count, want := range map[string]int{"-1": 15, "3": 3, "0": 0, "1000": 15} {
		if got := slowEntries(c, count); len(got) != want {
			t.Errorf("SLOWLOG GET %s gives %d entries, want %d", count, len(got), want)
		}
	}
	c.MustFail("count should be greater than or equal to -1", "SLOWLOG", "GET", "-2")
	c.MustFail("count should be greater than or equal to -1", "SLOWLOG", "GET", "few")
	c.MustSay("15", "SLOWLOG", "LEN")
	c.MustSay("OK", "CONFIG", "SET", "slowlog-max-len", "5")
	c.Ask("ECHO", "the newest")
	c.MustSay("5", "SLOWLOG", "LEN")
	if got := slowEntries(c, "1")[0].Parts[3].Texts(); !slices.Equal(got, []string{"ECHO", "the newest"}) {
		t.Errorf("the newest entry is %q", got)
	}
	c.MustSay("OK", "SLOWLOG", "RESET")
	c.MustSay("0", "SLOWLOG", "LEN")
	c.MustSay("OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	c.Ask("ECHO", "not slow")
	c.MustSay("0", "SLOWLOG", "LEN")
	c.MustSay("OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	c.Ask("AUTH", "geheim")
	c.Ask("HELLO", "2", "AUTH", "default", "geheim")
	c.Ask("CONFIG", "SET", "requirepass", "geheim", "maxclients", "10")
	if text := fmt.Sprint(slowEntries(c, "-1")); strings.Contains(text, "geheim") {
		t.Errorf("the slow log tells the password: %s", text)
	}
}

// Long commands are cut as Redis cuts them.
func TestSlowlogCutsArgumentsAsRedisDoes(t *testing.T) {
	many := []string{"EXISTS"}
	for i := range 40 {
		many = append(many, "key"+strconv.Itoa(i))
	}
	long := []string{"EXISTS", strings.Repeat("x", 128), strings.Repeat("y", 129), strings.Repeat("z", 1000)}
	logged := func(p *harness.Process) (args [][]string) {
		c := p.Dial()
		c.MustSay("OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
		for _, words := range [][]string{many, many[:32], many[:33], long} {
			c.Ask(words...)
			args = append(args, slowEntries(c, "1")[0].Parts[3].Texts())
		}
		return args
	}
	if want, got := logged(harness.StartRedis(t)), logged(harness.StartServer(t)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("SLOWLOG keeps\n%q\nand Redis\n%q", got, want)
	}
}
