package server

import (
	"fmt"
	"strings"
	"testing"
)

// A gatedCarrier takes what is written when it may.
type gatedCarrier struct {
	deafCarrier
	gate  chan struct{} // every flush takes one from it
	taken chan string
}

func (g *gatedCarrier) flush(c *conn) error {
	if len(c.out) > 0 {
		<-g.gate
		g.taken <- string(c.out)
		c.out = c.out[:0]
	}
	return nil
}

func newGated(s *Server) (*client, *gatedCarrier) {
	c, conn := newDeafClient(s)
	g := &gatedCarrier{gate: make(chan struct{}, 100), taken: make(chan string, 100)}
	conn.carrier = g
	return c, g
}

func say(c *client, line string) string {
	from := len(c.wire.out)
	var args [][]byte
	for _, word := range strings.Split(line, " ") {
		args = append(args, []byte(word))
	}
	c.server.dispatch(c, args)
	reply := string(c.wire.out[from:])
	c.wire.out = c.wire.out[:from]
	return reply
}

// Nothing goes out before the connection is out of its event loop, then all in order, and
// nothing once it has ended.
func TestPushesAreHeldThenWrittenThenDropped(t *testing.T) {
	c, g := newGated(newTestServer(newStore(t)))
	(&c.request).detach()
	p := c.pushes
	for i := range 3 {
		if !p.put(fmt.Sprint(i), "test") {
			t.Fatal("a push is refused")
		}
	}
	if p.state != pushesHeld {
		t.Fatalf("state %d before begin", p.state)
	}
	g.gate <- struct{}{}
	p.begin()
	if got := <-g.taken; got != "012" {
		t.Errorf("what was held goes out as %q", got)
	}
	g.gate <- struct{}{}
	p.put("3", "test")
	if got := <-g.taken; got != "3" {
		t.Errorf("got %q", got)
	}
	p.end()
	refused := !p.put("4", "test")
	p.mu.Lock()
	defer p.mu.Unlock()
	if !refused || p.bytes != 0 || len(p.queue) != 0 {
		t.Error("there is room for more after the end")
	}
}

// However often commands look into the queue, one goroutine at most writes.
func TestOneWriterOfPushes(t *testing.T) {
	c, g := newGated(newTestServer(newStore(t)))
	(&c.request).detach()
	p := c.pushes
	p.begin()
	p.writing.Lock()
	for range 1000 {
		p.put("x", "test")
		p.flushInto(c)
		if p.state != pushesWriting {
			t.Fatal("a writer that waits for its turn is taken for none")
		}
	}
	if got := len(c.wire.out); got != 1000 {
		t.Errorf("%d pushes stand before the reply, want 1000", got)
	}
	g.gate <- struct{}{}
	if err := c.wire.flush(); err != nil {
		t.Fatal(err)
	}
	p.writing.Unlock()
}

// The queue takes pushBytesMax and not a push more, and is let go of with the connection.
func TestPushesAreBounded(t *testing.T) {
	c, _ := newGated(newTestServer(newStore(t)))
	(&c.request).detach()
	p, push := c.pushes, strings.Repeat("x", 1<<16-pushOverhead)
	for i := range pushBytesMax >> 16 {
		if !p.put(push, "test") {
			t.Fatalf("push %d is refused, with %d bytes waiting", i, p.bytes)
		}
	}
	if p.bytes != pushBytesMax {
		t.Errorf("%d bytes wait, want %d", p.bytes, pushBytesMax)
	}
	if p.put("", "test") || p.state != pushesEnded || p.queue != nil {
		t.Error("the bound was passed")
	}
}

// Rows with no_multi are refused in a transaction, whose EXEC then runs nothing.
func TestNoMulti(t *testing.T) {
	s := newTestServer(newStore(t))
	s.table.byName["time"].refusedInMulti = true
	c, _ := newDeafClient(s)
	for _, step := range [][2]string{{"MULTI", "+OK\r\n"}, {"TIME", "-" + errNotInMulti + "\r\n"}, {"PING", "+QUEUED\r\n"}, {"EXEC", "-" + errExecAbort + "\r\n"}, {"PING", "+PONG\r\n"}} {
		if got := say(c, step[0]); got != step[1] {
			t.Errorf("%s is answered %q, want %q", step[0], got, step[1])
		}
	}
}

// A connection that feeds a replica is of that kind, by both names, and never idle.
func TestReplicaKind(t *testing.T) {
	s := newTestServer(newStore(t))
	c, _ := newDeafClient(s)
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

// In an event loop a transaction waits for its turn aside only if something in it may take
// long, and PUBLISH only if there are many who might get it.
func TestWhatIsBriefNow(t *testing.T) {
	s := newTestServer(newStore(t))
	c, _ := newDeafClient(s)
	c.hurried = true
	exec := func(commands ...string) verdict {
		say(c, "MULTI")
		for _, line := range commands {
			say(c, line)
		}
		v := s.dispatch(c, [][]byte{[]byte("EXEC")})
		say(c, "RESET")
		return v
	}
	many := strings.Split(strings.Repeat("EXISTS a b c d;", fastArgumentsMax/5+1), ";")
	for name, test := range map[string]struct {
		got, want verdict
	}{
		"nothing": {exec(), dispatched}, "fast": {exec("PING", "RL.CHECK k token_bucket 1 1"), dispatched}, "slow": {exec("PING", "KEYS *"), tooLong},
		"broken": {exec("KEYS *", "NOSUCH"), dispatched}, "many": {exec(many[:len(many)-1]...), tooLong},
	} {
		if test.got != test.want {
			t.Errorf("EXEC of %s: verdict %d, want %d", name, test.got, test.want)
		}
	}
	publish := func() verdict { return s.dispatch(c, [][]byte{[]byte("PUBLISH"), []byte("a"), []byte("b")}) }
	if publish() != dispatched {
		t.Error("PUBLISH to nobody steps aside")
	}
	s.pubsub.subscriptions.Store(publishBriefReceiverMax + 1)
	if publish() != tooLong {
		t.Error("PUBLISH to many does not step aside")
	}
}
