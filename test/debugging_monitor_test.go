package test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var monitorLinePattern = regexp.MustCompile(`^\+(\d{10})\.\d{6} \[0 (127\.0\.0\.1:\d+)\] (.*)\r\n$`)

// nextLine reads a line of MONITOR, and gives who sent the command and its words.
func (c *rawConn) nextLine() (addr, words string) {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("waiting for a line of MONITOR: %v", err)
	}
	m := monitorLinePattern.FindStringSubmatch(line)
	if m == nil {
		c.t.Fatalf("%q is no line of MONITOR", line)
	}
	if at, _ := strconv.ParseInt(m[1], 10, 64); at < time.Now().Unix()-60 || at > time.Now().Unix()+1 {
		c.t.Errorf("%q is not from now", line)
	}
	return m[2], m[3]
}

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
	seenBy := func(p *process) (lines []string) {
		monitor, other := p.dial(), p.dial()
		monitor.mustSay("OK", "MONITOR")
		for _, words := range commands {
			other.ask(words...)
		}
		for range commands {
			addr, words := monitor.nextLine()
			if addr != other.LocalAddr().String() {
				t.Errorf("MONITOR says that %s came from %s, want %s", words, addr, other.LocalAddr())
			}
			lines = append(lines, words)
		}
		return lines
	}
	want, got := seenBy(startRedis(t)), seenBy(startServer(t))
	if !slices.Equal(got, want) {
		t.Errorf("MONITOR shows\n%q\nand of Redis\n%q", got, want)
	}
}

func TestMonitorKeepsOrderAcrossAPipeline(t *testing.T) {
	p := startServer(t)
	monitor, other := p.dial(), p.dial()
	monitor.mustSay("OK", "MONITOR")
	const n = 2000
	var all strings.Builder
	for i := range n {
		all.WriteString(command("RL.CHECK", strconv.Itoa(i), "token_bucket", "1", "1h"))
	}
	other.send(all.String())
	for i := range n {
		if _, words := monitor.nextLine(); words != fmt.Sprintf(`"RL.CHECK" "%d" "token_bucket" "1" "1h"`, i) {
			t.Fatalf("line %d is %s", i, words)
		}
	}
}

func TestMonitorShowsNoPasswords(t *testing.T) {
	p := startServer(t)
	monitor, other := p.dial(), p.dial()
	monitor.mustSay("OK", "MONITOR")
	other.ask("AUTH", "geheim1")
	other.ask("AUTH", "default", "geheim2")
	other.ask("AUTH", "default", "geheim3", "too many")
	other.ask("HELLO", "3", "AUTH", "default", "geheim4")
	other.ask("HELLO", "2", "AUTH", "nobody", "geheim5")
	other.ask("CONFIG", "SET", "requirepass", "geheim6")
	other.ask("AUTH", "geheim6")
	other.ask("CONFIG", "SET", "requirepass", "")
	other.ask("PING")
	for {
		_, words := monitor.nextLine()
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
	p := startServer(t)
	c, other := p.dial(), p.dial()
	for round := range 40 {
		c.mustSay("OK", "MONITOR")
		other.send(strings.Repeat(command("DBSIZE"), commands))
		c.send(command("ECHO", "while monitoring"))
		for answered, lines := false, 0; !answered || lines < 100; {
			switch v := c.value(); {
			case v.kind == '$' && v.text == "while monitoring":
				answered = true
			case v.kind == '+':
				lines++
			default:
				t.Fatalf("a monitor is sent %c%q", v.kind, v.text)
			}
		}
		c.send(command("RESET"))
		for c.value().text != "RESET" {
		}
		if v := c.ask("ECHO", "afterwards"); v.kind != '$' || v.text != "afterwards" {
			t.Fatalf("round %d: after RESET the answer to ECHO is %c%q", round, v.kind, v.text)
		}
		for range commands {
			other.value()
		}
	}
	if _, fields := c.info("clients"); fields["monitor_clients"] != "0" {
		t.Errorf("monitor_clients is %s", fields["monitor_clients"])
	}
}

func TestAMonitorCanQuit(t *testing.T) {
	p := startServer(t)
	monitor, other := p.dial(), p.dial()
	monitor.mustSay("OK", "MONITOR")
	if _, fields := other.info("clients"); fields["monitor_clients"] != "1" {
		t.Errorf("monitor_clients is %s", fields["monitor_clients"])
	}
	if list := other.ask("CLIENT", "LIST").text; !strings.Contains(list, " flags=O ") {
		t.Errorf("no monitor in CLIENT LIST:\n%s", list)
	}
	// Nothing behind QUIT is executed, though it came in the same packet.
	monitor.send(command("QUIT") + command("RL.CHECK", "late", "token_bucket", "1", "1h"))
	rest, err := io.ReadAll(monitor.r)
	if err != nil || !strings.Contains(string(rest), "+OK\r\n") {
		t.Errorf("after QUIT: %q, %v", rest, err)
	}
	eventually(t, "nobody monitors", func() bool { return other.infoNumber("monitor_clients") == 0 })
	other.mustSay("0", "EXISTS", "late")
}

// A monitor that does not read is cut off, and no other connection waits for it.
func TestAMonitorThatNeverReadsIsCutOff(t *testing.T) {
	p := startServer(t)
	monitor, other, bystander := p.dial(), p.dial(), p.dial()
	monitor.mustSay("OK", "MONITOR")
	batch := strings.Repeat(command("ECHO", strings.Repeat("x", 2000)), 100)
	var slowest time.Duration
	cut := false
	for range 600 { // 120 MB: more than all buffers on the way
		other.send(batch)
		for range 100 {
			other.value()
		}
		asked := time.Now()
		bystander.mustSay("PONG", "PING")
		slowest = max(slowest, time.Since(asked))
		if cut = bystander.infoNumber("monitor_clients") == 0; cut {
			break
		}
	}
	if !cut {
		t.Fatal("a monitor that never reads is not cut off")
	}
	if slowest > time.Second {
		t.Errorf("a bystander's PING took %v", slowest)
	}
	var waited net.Error
	if _, err := io.Copy(io.Discard, monitor.r); errors.As(err, &waited) && waited.Timeout() {
		t.Error("the monitor's connection is still open")
	}
	eventually(t, "the monitor is gone", func() bool { return bystander.infoNumber("connected_clients") == 2 })
	if !strings.Contains(p.log.String(), "monitor") {
		t.Error("the log does not tell that a monitor was cut off")
	}
}

// slowEntries reads SLOWLOG GET.
func (c *rawConn) slowEntries(count ...string) []value {
	c.t.Helper()
	reply := c.ask(append([]string{"SLOWLOG", "GET"}, count...)...)
	for _, e := range reply.parts {
		if len(e.parts) != 6 || e.parts[0].kind != ':' || e.parts[1].kind != ':' || e.parts[2].kind != ':' || e.parts[3].kind != '*' ||
			e.parts[4].kind != '$' || e.parts[5].kind != '$' {
			c.t.Fatalf("an entry of SLOWLOG is %+v", e)
		}
	}
	return reply.parts
}

func TestSlowlogKeepsTheNewestFirst(t *testing.T) {
	p := startServer(t, "--slowlog-log-slower-than", "0")
	c := p.dial()
	c.ask("CLIENT", "SETNAME", "snail")
	c.mustSay("OK", "SLOWLOG", "RESET")
	for i := range 15 {
		c.ask("RL.CHECK", "k"+strconv.Itoa(i), "token_bucket", "1", "1h")
	}
	entries := c.slowEntries()
	if len(entries) != 10 {
		t.Fatalf("SLOWLOG GET gives %d entries, want 10", len(entries))
	}
	for i, e := range entries {
		if got, want := e.parts[3].texts(), []string{"RL.CHECK", "k" + strconv.Itoa(14-i), "token_bucket", "1", "1h"}; !slices.Equal(got, want) {
			t.Errorf("entry %d is %q, want %q", i, got, want)
		}
		if i > 0 && e.parts[0].number(t) != entries[i-1].parts[0].number(t)-1 {
			t.Errorf("ids %s and then %s", entries[i-1].parts[0].text, e.parts[0].text)
		}
		if at := e.parts[1].number(t); at < time.Now().Unix()-60 || at > time.Now().Unix() {
			t.Errorf("entry %d is of the instant %d", i, at)
		}
		if us := e.parts[2].number(t); us < 0 || us > 1_000_000 {
			t.Errorf("entry %d took %d µs", i, us)
		}
		if e.parts[4].text != c.LocalAddr().String() || e.parts[5].text != "snail" {
			t.Errorf("entry %d came from %q, %q", i, e.parts[4].text, e.parts[5].text)
		}
	}
	for count, want := range map[string]int{"-1": 15, "3": 3, "0": 0, "1000": 15} {
		if got := c.slowEntries(count); len(got) != want {
			t.Errorf("SLOWLOG GET %s gives %d entries, want %d", count, len(got), want)
		}
	}
	c.mustFail("count should be greater than or equal to -1", "SLOWLOG", "GET", "-2")
	c.mustFail("count should be greater than or equal to -1", "SLOWLOG", "GET", "few")
	c.mustSay("15", "SLOWLOG", "LEN")
	c.mustSay("OK", "CONFIG", "SET", "slowlog-max-len", "5")
	c.ask("ECHO", "the newest")
	c.mustSay("5", "SLOWLOG", "LEN")
	if got := c.slowEntries("1")[0].parts[3].texts(); !slices.Equal(got, []string{"ECHO", "the newest"}) {
		t.Errorf("the newest entry is %q", got)
	}
	c.mustSay("OK", "SLOWLOG", "RESET")
	c.mustSay("0", "SLOWLOG", "LEN")
	c.mustSay("OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	c.ask("ECHO", "not slow")
	c.mustSay("0", "SLOWLOG", "LEN")
	c.mustSay("OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	c.ask("AUTH", "geheim")
	c.ask("HELLO", "2", "AUTH", "default", "geheim")
	c.ask("CONFIG", "SET", "requirepass", "geheim", "maxclients", "10")
	if text := fmt.Sprint(c.slowEntries("-1")); strings.Contains(text, "geheim") {
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
	logged := func(p *process) (args [][]string) {
		c := p.dial()
		c.mustSay("OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
		for _, words := range [][]string{many, many[:32], many[:33], long} {
			c.ask(words...)
			args = append(args, c.slowEntries("1")[0].parts[3].texts())
		}
		return args
	}
	if want, got := logged(startRedis(t)), logged(startServer(t)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("SLOWLOG keeps\n%q\nand Redis\n%q", got, want)
	}
}
