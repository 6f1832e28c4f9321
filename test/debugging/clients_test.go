package debugging

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

func TestClientListTellsOfEveryConnection(t *testing.T) {
	p := harness.StartServer(t)
	a, b := p.Dial(), p.Dial()
	a.MustSay("PONG", "PING")
	b.Ask("HELLO", "3", "SETNAME", "bee")
	a.MustSay("OK", "CLIENT", "SETINFO", "LIB-NAME", "test-lib")
	a.MustSay("OK", "client", "setinfo", "lib-ver", "1.2.3")
	idA, idB := a.Ask("CLIENT", "ID").Number(t), b.Ask("CLIENT", "ID").Number(t)
	if idA == idB || idA < 1 || idB < 1 {
		t.Errorf("CLIENT ID gives %d and %d", idA, idB)
	}
	list := a.Listed("LIST")
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
		for name, want := range map[string]string{"laddr": regexp.QuoteMeta(p.Addr()), "age": `\d`, "idle": `\d`, "flags": "N", "db": "0", "user": "default", "fd": `-?\d+`} {
			if !regexp.MustCompile("^" + want + "$").MatchString(fields[name]) {
				t.Errorf("client %d: %s=%s, want %s", id, name, fields[name], want)
			}
		}
	}
	only := func(want int64, words ...string) {
		t.Helper()
		if list := a.Listed(words...); len(list) != 1 || list[0]["id"] != strconv.FormatInt(want, 10) {
			t.Errorf("CLIENT %q: %v, want the client %d alone", words, list, want)
		}
	}
	only(idA, "INFO")
	only(idB, "LIST", "ID", strconv.FormatInt(idB, 10))
	only(idB, "LIST", "TYPE", "normal", "ID", strconv.FormatInt(idB, 10), "4242")
	if got := len(a.Listed("LIST", "ID", "4242")) + len(a.Listed("LIST", "TYPE", "pubsub")) + len(a.Listed("LIST", "TYPE", "replica")); got != 0 {
		t.Errorf("%d clients of kinds that there are none of", got)
	}
	if got := len(a.Listed("LIST", "TYPE", "NORMAL")); got != 2 {
		t.Errorf("%d normal clients, want 2", got)
	}
	if got := b.Ask("CLIENT", "LIST").Kind; got != '=' {
		t.Errorf("CLIENT LIST in RESP3 replies a %c, want verbatim text", got)
	}
	_ = b.Close()
	harness.Eventually(t, "a connection that was closed is not listed", func() bool { return len(a.Listed("LIST")) == 1 })
}

func TestClientNames(t *testing.T) {
	c := harness.StartServer(t).Dial()
	if got := c.Ask("CLIENT", "GETNAME"); !got.Null || got.Kind != '$' {
		t.Errorf("without a name, CLIENT GETNAME replies %c%q", got.Kind, got.Text)
	}
	c.MustSay("OK", "CLIENT", "SETNAME", "worker:1")
	c.MustSay("worker:1", "CLIENT", "GETNAME")
	for _, bad := range []string{"two words", "line\nbreak", "tab\t", "nul\x00", "é"} {
		c.MustSay("ERR Client names cannot contain spaces, newlines or special characters.", "CLIENT", "SETNAME", bad)
		c.MustSay("ERR Client names cannot contain spaces, newlines or special characters.", "HELLO", "2", "SETNAME", bad)
		c.MustFail("cannot contain spaces, newlines or special characters", "CLIENT", "SETINFO", "lib-name", bad)
	}
	c.MustFail("Unrecognized option 'lib-color'", "CLIENT", "SETINFO", "lib-color", "red")
	c.MustSay("worker:1", "CLIENT", "GETNAME")
	c.MustSay("OK", "CLIENT", "SETNAME", "")
	if got := c.Ask("CLIENT", "GETNAME"); !got.Null {
		t.Errorf("the name was taken away, and CLIENT GETNAME replies %q", got.Text)
	}
	c.Ask("CLIENT", "SETNAME", "again")
	c.MustSay("RESET", "RESET")
	if got := c.Ask("CLIENT", "GETNAME"); !got.Null {
		t.Errorf("after RESET, CLIENT GETNAME replies %q", got.Text)
	}
	c.Ask("HELLO", "3")
	if got := c.Ask("CLIENT", "GETNAME"); got.Kind != '_' {
		t.Errorf("without a name in RESP3, CLIENT GETNAME replies %c%q", got.Kind, got.Text)
	}
}

// A false OK makes clients wait for what never comes.
func TestClientSubcommandsThatWeDoNotHaveAreErrors(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, sub := range []string{"MAINT_NOTIFICATIONS", "NOSUCH"} {
		c.MustSay("ERR unknown subcommand '"+sub+"'. Try CLIENT HELP.", "CLIENT", sub, "ON")
	}
	c.MustSay("ERR wrong number of arguments for 'client' command", "CLIENT")
}

func TestClientNoEvictAndNoTouchAreAccepted(t *testing.T) {
	c := harness.StartServer(t).Dial()
	flags := func() string { return c.Listed("INFO")[0]["flags"] }
	c.MustSay("OK", "CLIENT", "NO-EVICT", "on")
	if got := flags(); got != "e" { // N stands only where nothing else does
		t.Errorf("with NO-EVICT, flags=%s; Redis has e", got)
	}
	c.MustSay("OK", "CLIENT", "NO-TOUCH", "ON")
	if got := flags(); got != "eT" {
		t.Errorf("with NO-EVICT and NO-TOUCH, flags=%s; Redis has eT", got)
	}
	c.MustSay("OK", "CLIENT", "NO-EVICT", "OFF")
	c.MustSay("OK", "CLIENT", "NO-TOUCH", "off")
	if got := flags(); got != "N" {
		t.Errorf("flags=%s, want N", got)
	}
	c.MustSay("ERR syntax error", "CLIENT", "NO-EVICT", "maybe")
	c.MustSay("ERR syntax error", "CLIENT", "NO-TOUCH", "maybe")
}

func TestClientKill(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	victim := func() (*harness.Conn, string) {
		v := p.Dial()
		return v, v.Ask("CLIENT", "ID").Text
	}
	v, _ := victim()
	c.MustSay("OK", "CLIENT", "KILL", v.LocalAddr().String())
	v.MustBeClosed()
	harness.Eventually(t, "a connection that was killed is gone", func() bool { return len(c.Listed("LIST")) == 1 })
	c.MustSay("ERR No such client", "CLIENT", "KILL", v.LocalAddr().String())

	v, id := victim()
	c.MustSay("0", "CLIENT", "KILL", "ID", "4242")
	c.MustSay("1", "CLIENT", "KILL", "ID", id)
	v.MustBeClosed()

	v, id = victim()
	other, _ := victim()
	c.MustSay("0", "CLIENT", "KILL", "ID", id, "ADDR", other.LocalAddr().String()) // filters narrow
	c.MustSay("0", "CLIENT", "KILL", "ID", id, "TYPE", "pubsub")
	c.MustSay("1", "CLIENT", "KILL", "ADDR", v.LocalAddr().String(), "SKIPME", "yes", "USER", "default")
	v.MustBeClosed()
	other.MustSay("PONG", "PING")

	// The caller is spared, unless told otherwise.
	c.MustSay("0", "CLIENT", "KILL", "ID", c.Ask("CLIENT", "ID").Text)
	harness.Eventually(t, "two are left", func() bool { return len(c.Listed("LIST")) == 2 })
	c.MustSay("1", "CLIENT", "KILL", "TYPE", "normal")
	other.MustBeClosed()
	c.MustSay("PONG", "PING")
	monitor, _ := victim()
	monitor.MustSay("OK", "MONITOR")
	c.MustSay("1", "CLIENT", "KILL", "LADDR", p.Addr())
	monitor.MustBeClosed()
	c.MustSay("PONG", "PING")

	// A connection that kills itself is told so first.
	v, id = victim()
	v.MustSay("1", "CLIENT", "KILL", "ID", id, "SKIPME", "no")
	v.MustBeClosed()
	v, _ = victim()
	v.MustSay("OK", "CLIENT", "KILL", v.LocalAddr().String())
	v.MustBeClosed()
	harness.Eventually(t, "all others are gone", func() bool { return len(c.Listed("LIST")) == 1 })
}

func TestMaxclientsTurnsAwayAndLetsInAgain(t *testing.T) {
	p := harness.StartServer(t, "--maxclients", "2")
	var a *harness.Conn // the harness's knock may still count for a moment
	harness.Eventually(t, "one is in", func() bool { a = p.Dial(); return tries(a, "PING") == "+PONG\r\n" })
	harness.Eventually(t, "only one", func() bool { return a.InfoNumber("connected_clients") == 1 })
	b := p.Dial()
	b.MustSay("PONG", "PING")
	third := p.Dial()
	if reply := third.Reply(); reply != "-ERR max number of clients reached\r\n" {
		t.Errorf("the third is told %q", reply)
	}
	third.MustBeClosed()
	if got := a.InfoNumber("rejected_connections"); got < 1 {
		t.Errorf("rejected_connections is %d", got)
	}
	a.MustSay("PONG", "PING")
	_ = b.Close()
	harness.Eventually(t, "there is room again", func() bool { return tries(p.Dial(), "PING") == "+PONG\r\n" })
}

// tries asks where the connection may be turned away.
func tries(c *harness.Conn, words ...string) string {
	_, _ = io.WriteString(c, harness.Command(words...))
	reply, _ := harness.ReadReply(c.Reader)
	return reply
}

func TestIdleConnectionsAreClosedAfterTheTimeout(t *testing.T) {
	p := harness.StartServer(t, "--timeout", "2")
	idle, busy, monitor := p.Dial(), p.Dial(), p.Dial()
	started := time.Now()
	idle.MustSay("PONG", "PING")
	monitor.MustSay("OK", "MONITOR")
	ended := make(chan error, 1)
	go func() {
		_, err := idle.Reader.ReadByte()
		ended <- err
	}()
	for {
		busy.MustSay("PONG", "PING")
		select {
		case err := <-ended:
			if took := time.Since(started); !errors.Is(err, io.EOF) || took < 2*time.Second {
				t.Errorf("an idle connection ended after %v with %v", took, err)
			}
			if _, words := monitor.NextLine(); words != `"PING"` {
				t.Errorf("the monitor, which is never idle, is shown %s", words)
			}
			busy.MustSay("PONG", "PING")
			return
		default:
		}
		if time.Since(started) > harness.Patience {
			t.Fatal("an idle connection is still open")
		}
		harness.Pause()
	}
}
