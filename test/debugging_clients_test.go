package test

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mustBeClosed wants the connection's end, and nothing before it.
func (c *rawConn) mustBeClosed() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	switch b, err := c.r.ReadByte(); {
	case err == nil:
		c.t.Errorf("the connection is open and sends %q", b)
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET):
		c.t.Errorf("the connection is not closed: %v", err)
	}
}

// listed reads CLIENT LIST, or CLIENT INFO, as one map of fields for each line.
func (c *rawConn) listed(words ...string) (list []map[string]string) {
	c.t.Helper()
	reply := c.ask(append([]string{"CLIENT"}, words...)...)
	if reply.kind != '$' && reply.kind != '=' {
		c.t.Fatalf("CLIENT %q: %c%q", words, reply.kind, reply.text)
	}
	for line := range strings.Lines(reply.text) {
		fields := map[string]string{}
		for word := range strings.SplitSeq(strings.TrimSuffix(line, "\n"), " ") {
			name, text, found := strings.Cut(word, "=")
			if !found || name == "" {
				c.t.Errorf("CLIENT %q has a word that is not name=value: %q", words, word)
			}
			fields[name] = text
		}
		list = append(list, fields)
	}
	return list
}

func TestClientListTellsOfEveryConnection(t *testing.T) {
	p := startServer(t)
	a, b := p.dial(), p.dial()
	a.mustSay("PONG", "PING")
	b.ask("HELLO", "3", "SETNAME", "bee")
	a.mustSay("OK", "CLIENT", "SETINFO", "LIB-NAME", "test-lib")
	a.mustSay("OK", "client", "setinfo", "lib-ver", "1.2.3")
	idA, idB := a.ask("CLIENT", "ID").number(t), b.ask("CLIENT", "ID").number(t)
	if idA == idB || idA < 1 || idB < 1 {
		t.Errorf("CLIENT ID gives %d and %d", idA, idB)
	}
	list := a.listed("LIST")
	if len(list) != 2 {
		t.Fatalf("CLIENT LIST has %d lines, want 2: %v", len(list), list)
	}
	wants := map[int64]map[string]string{
		idA: {"addr": a.LocalAddr().String(), "name": "", "cmd": "client|list", "resp": "2", "lib-name": "test-lib", "lib-ver": "1.2.3"},
		idB: {"addr": b.LocalAddr().String(), "name": "bee", "cmd": "client|id", "resp": "3", "lib-name": "", "lib-ver": ""},
	}
	for _, fields := range list {
		id, _ := strconv.ParseInt(fields["id"], 10, 64)
		for name, want := range wants[id] {
			if fields[name] != want {
				t.Errorf("client %d: %s=%s, want %s", id, name, fields[name], want)
			}
		}
		for name, want := range map[string]string{"laddr": regexp.QuoteMeta(p.addr()), "age": `\d`, "idle": `\d`, "flags": "N", "db": "0", "user": "default", "fd": `-?\d+`} {
			if !regexp.MustCompile("^" + want + "$").MatchString(fields[name]) {
				t.Errorf("client %d: %s=%s, want %s", id, name, fields[name], want)
			}
		}
	}
	only := func(want int64, words ...string) {
		t.Helper()
		if list := a.listed(words...); len(list) != 1 || list[0]["id"] != strconv.FormatInt(want, 10) {
			t.Errorf("CLIENT %q: %v, want the client %d alone", words, list, want)
		}
	}
	only(idA, "INFO")
	only(idB, "LIST", "ID", strconv.FormatInt(idB, 10))
	only(idB, "LIST", "TYPE", "normal", "ID", strconv.FormatInt(idB, 10), "4242")
	if got := len(a.listed("LIST", "ID", "4242")) + len(a.listed("LIST", "TYPE", "pubsub")) + len(a.listed("LIST", "TYPE", "replica")); got != 0 {
		t.Errorf("%d clients of kinds that there are none of", got)
	}
	if got := len(a.listed("LIST", "TYPE", "NORMAL")); got != 2 {
		t.Errorf("%d normal clients, want 2", got)
	}
	if got := b.ask("CLIENT", "LIST").kind; got != '=' {
		t.Errorf("CLIENT LIST in RESP3 replies a %c, want verbatim text", got)
	}
	_ = b.Close()
	eventually(t, "who left is not listed", func() bool { return len(a.listed("LIST")) == 1 })
}

func TestClientNames(t *testing.T) {
	c := startServer(t).dial()
	if got := c.ask("CLIENT", "GETNAME"); !got.null || got.kind != '$' {
		t.Errorf("without a name, CLIENT GETNAME replies %c%q", got.kind, got.text)
	}
	c.mustSay("OK", "CLIENT", "SETNAME", "worker:1")
	c.mustSay("worker:1", "CLIENT", "GETNAME")
	for _, bad := range []string{"two words", "line\nbreak", "tab\t", "nul\x00", "é"} {
		c.mustSay("ERR Client names cannot contain spaces, newlines or special characters.", "CLIENT", "SETNAME", bad)
		c.mustSay("ERR Client names cannot contain spaces, newlines or special characters.", "HELLO", "2", "SETNAME", bad)
		c.mustFail("cannot contain spaces, newlines or special characters", "CLIENT", "SETINFO", "lib-name", bad)
	}
	c.mustFail("Unrecognized option 'lib-color'", "CLIENT", "SETINFO", "lib-color", "red")
	c.mustSay("worker:1", "CLIENT", "GETNAME")
	c.mustSay("OK", "CLIENT", "SETNAME", "")
	if got := c.ask("CLIENT", "GETNAME"); !got.null {
		t.Errorf("the name was taken away, and CLIENT GETNAME replies %q", got.text)
	}
	c.ask("CLIENT", "SETNAME", "again")
	c.mustSay("RESET", "RESET")
	if got := c.ask("CLIENT", "GETNAME"); !got.null {
		t.Errorf("after RESET, CLIENT GETNAME replies %q", got.text)
	}
	c.ask("HELLO", "3")
	if got := c.ask("CLIENT", "GETNAME"); got.kind != '_' {
		t.Errorf("without a name in RESP3, CLIENT GETNAME replies %c%q", got.kind, got.text)
	}
}

// A false OK makes clients wait for what never comes.
func TestClientSubcommandsThatWeDoNotHaveAreErrors(t *testing.T) {
	c := startServer(t).dial()
	for _, sub := range []string{"TRACKING", "MAINT_NOTIFICATIONS", "CACHING", "NOSUCH"} {
		c.mustSay("ERR unknown subcommand '"+sub+"'. Try CLIENT HELP.", "CLIENT", sub, "ON")
	}
	c.mustSay("ERR wrong number of arguments for 'client' command", "CLIENT")
}

func TestClientNoEvictAndNoTouchAreAccepted(t *testing.T) {
	c := startServer(t).dial()
	flags := func() string { return c.listed("INFO")[0]["flags"] }
	c.mustSay("OK", "CLIENT", "NO-EVICT", "on")
	if got := flags(); got != "e" { // N stands only where nothing else does
		t.Errorf("with NO-EVICT, flags=%s; Redis has e", got)
	}
	c.mustSay("OK", "CLIENT", "NO-TOUCH", "ON")
	if got := flags(); got != "eT" {
		t.Errorf("with NO-EVICT and NO-TOUCH, flags=%s; Redis has eT", got)
	}
	c.mustSay("OK", "CLIENT", "NO-EVICT", "OFF")
	c.mustSay("OK", "CLIENT", "NO-TOUCH", "off")
	if got := flags(); got != "N" {
		t.Errorf("flags=%s, want N", got)
	}
	c.mustSay("ERR syntax error", "CLIENT", "NO-EVICT", "maybe")
	c.mustSay("ERR syntax error", "CLIENT", "NO-TOUCH", "maybe")
}

func TestClientKill(t *testing.T) {
	p := startServer(t)
	c := p.dial()
	victim := func() (*rawConn, string) {
		v := p.dial()
		return v, v.ask("CLIENT", "ID").text
	}
	v, _ := victim()
	c.mustSay("OK", "CLIENT", "KILL", v.LocalAddr().String())
	v.mustBeClosed()
	eventually(t, "who was killed is gone", func() bool { return len(c.listed("LIST")) == 1 })
	c.mustSay("ERR No such client", "CLIENT", "KILL", v.LocalAddr().String())

	v, id := victim()
	c.mustSay("0", "CLIENT", "KILL", "ID", "4242")
	c.mustSay("1", "CLIENT", "KILL", "ID", id)
	v.mustBeClosed()

	v, id = victim()
	other, _ := victim()
	c.mustSay("0", "CLIENT", "KILL", "ID", id, "ADDR", other.LocalAddr().String()) // filters narrow
	c.mustSay("0", "CLIENT", "KILL", "ID", id, "TYPE", "pubsub")
	c.mustSay("1", "CLIENT", "KILL", "ADDR", v.LocalAddr().String(), "SKIPME", "yes", "USER", "default")
	v.mustBeClosed()
	other.mustSay("PONG", "PING")

	// The caller is spared, unless told otherwise.
	c.mustSay("0", "CLIENT", "KILL", "ID", c.ask("CLIENT", "ID").text)
	eventually(t, "two are left", func() bool { return len(c.listed("LIST")) == 2 })
	c.mustSay("1", "CLIENT", "KILL", "TYPE", "normal")
	other.mustBeClosed()
	c.mustSay("PONG", "PING")
	monitor, _ := victim()
	monitor.mustSay("OK", "MONITOR")
	c.mustSay("1", "CLIENT", "KILL", "LADDR", p.addr())
	monitor.mustBeClosed()
	c.mustSay("PONG", "PING")

	// Who kills itself is told so first.
	v, id = victim()
	v.mustSay("1", "CLIENT", "KILL", "ID", id, "SKIPME", "no")
	v.mustBeClosed()
	v, _ = victim()
	v.mustSay("OK", "CLIENT", "KILL", v.LocalAddr().String())
	v.mustBeClosed()
	eventually(t, "all others are gone", func() bool { return len(c.listed("LIST")) == 1 })
}

func TestMaxclientsTurnsAwayAndLetsInAgain(t *testing.T) {
	p := startServer(t, "--maxclients", "2")
	var a *rawConn // the harness's knock may still count for a moment
	eventually(t, "one is in", func() bool { a = p.dial(); return a.tries("PING") == "+PONG\r\n" })
	eventually(t, "only one", func() bool { return a.infoNumber("connected_clients") == 1 })
	b := p.dial()
	b.mustSay("PONG", "PING")
	third := p.dial()
	if reply := third.reply(); reply != "-ERR max number of clients reached\r\n" {
		t.Errorf("the third is told %q", reply)
	}
	third.mustBeClosed()
	if got := a.infoNumber("rejected_connections"); got < 1 {
		t.Errorf("rejected_connections is %d", got)
	}
	a.mustSay("PONG", "PING")
	_ = b.Close()
	eventually(t, "there is room again", func() bool { return p.dial().tries("PING") == "+PONG\r\n" })
}

// tries asks where the connection may be turned away.
func (c *rawConn) tries(words ...string) string {
	_, _ = io.WriteString(c, command(words...))
	reply, _ := readReply(c.r)
	return reply
}

func TestIdleConnectionsAreClosedAfterTheTimeout(t *testing.T) {
	p := startServer(t, "--timeout", "1")
	idle, busy, monitor := p.dial(), p.dial(), p.dial()
	started := time.Now()
	idle.mustSay("PONG", "PING")
	monitor.mustSay("OK", "MONITOR")
	ended := make(chan error, 1)
	go func() {
		_, err := idle.r.ReadByte()
		ended <- err
	}()
	for {
		busy.mustSay("PONG", "PING")
		select {
		case err := <-ended:
			if took := time.Since(started); !errors.Is(err, io.EOF) || took < time.Second {
				t.Errorf("an idle connection ended after %v with %v", took, err)
			}
			if _, words := monitor.nextLine(); words != `"PING"` {
				t.Errorf("the monitor, who is never idle, is shown %s", words)
			}
			busy.mustSay("PONG", "PING")
			return
		default:
		}
		if time.Since(started) > 5*time.Second {
			t.Fatal("an idle connection is still open after 5 s")
		}
		waitALittle()
	}
}
