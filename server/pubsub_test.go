package server

import (
	"strings"
	"testing"
)

func say(c *session, line string) string {
	c.reply.Buf = c.reply.Buf[:0]
	var args [][]byte
	for _, word := range strings.Split(line, " ") {
		args = append(args, []byte(word))
	}
	c.server.dispatch(c, args)
	return string(c.reply.Buf)
}

// Rows with no_multi are refused in a transaction, whose EXEC then runs nothing.
func TestNoMulti(t *testing.T) {
	s := newTestServer(newStore(t))
	s.table.byName["time"].refusedInMulti = true
	c := newTestSession(s)
	for _, step := range [][2]string{{"MULTI", "+OK\r\n"}, {"TIME", "-" + errNotInMulti + "\r\n"}, {"PING", "+QUEUED\r\n"}, {"EXEC", "-" + errExecAbort + "\r\n"}, {"PING", "+PONG\r\n"}} {
		if got := say(c, step[0]); got != step[1] {
			t.Errorf("%s is answered %q, want %q", step[0], got, step[1])
		}
	}
}

// A connection that feeds a replica is of that kind, by both names, and never idle.
func TestReplicaKind(t *testing.T) {
	s := newTestServer(newStore(t))
	c := newTestSession(s)
	c.isReplica.Store(true)
	if c.kind() != kindReplica || c.flags() != "S" || !c.mayBeSilent() {
		t.Errorf("kind %s, flags %s", c.kind(), c.flags())
	}
	for _, name := range []string{"replica", "SLAVE", "normal", "master", "pubsub"} {
		var f clientFilter
		if problem := f.parse([][]byte{[]byte("TYPE"), []byte(name)}, false); problem != "" {
			t.Fatal(problem)
		}
		if got, want := f.matches(c, nil), f.kind == kindReplica; got != want {
			t.Errorf("TYPE %s matches a replica: %v", name, got)
		}
	}
	c.monitor.Store(true)
	if c.kind() != kindNormal || c.flags() != "O" {
		t.Errorf("a monitor is of the kind %s, flags %s", c.kind(), c.flags())
	}
}

// In an event loop a transaction steps aside only if a command of it may take long, and PUBLISH only
// if there may be many receivers.
func TestWhatFitsALoop(t *testing.T) {
	s := newTestServer(newStore(t))
	exec, publish := s.table.byName["exec"], s.table.byName["publish"]
	many := strings.Split(strings.Repeat("EXISTS a b c d;", fastArgumentsMax/5+1), ";")
	for name, test := range map[string]struct {
		commands []string
		want     bool
	}{
		"nothing": {nil, true}, "fast": {[]string{"PING", "RL.CHECK k token_bucket 1 1"}, true}, "slow": {[]string{"PING", "KEYS *"}, false},
		"broken": {[]string{"KEYS *", "NOSUCH"}, true}, "many": {many[:len(many)-1], false},
	} {
		c := newTestSession(s)
		say(c, "MULTI")
		for _, line := range test.commands {
			say(c, line)
		}
		if got := exec.fitsLoop(c, 1); got != test.want {
			t.Errorf("EXEC of %s fits a loop: %v", name, got)
		}
		c.Closed()
	}
	c := newTestSession(s)
	if !publish.fitsLoop(c, 3) {
		t.Error("PUBLISH without receivers does not fit a loop")
	}
	s.pubsub.subscriptions.Store(publishBriefReceiverMax + 1)
	if publish.fitsLoop(c, 3) {
		t.Error("PUBLISH with many receivers fits a loop")
	}
}
