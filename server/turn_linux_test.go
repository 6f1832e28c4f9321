package server

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// All replies that begin to wait in one turn of an event loop wait together, those of one connection
// and those of many, so that their changes share one commit.
func TestOneCommitATurn(t *testing.T) {
	const connections = 50
	l, store := newLedger(), moodyStore{newStore(t), make(chan struct{})}
	s := startServed(t, 1, l, store)
	var all []*peer
	for range connections {
		c := s.dial()
		c.ask("PING", "+PONG")
		all = append(all, c)
	}
	l.stick()
	s.dial().send("RL.PEEK gate token_bucket 10 1d")
	store.gate <- struct{}{} // the loop waits
	for _, c := range all {
		c.send("RL.CHECK k token_bucket 1000 1d", "PING", "RL.CHECK k token_bucket 1000 1d", "PING")
		c.awaitArrival()
	}
	store.gate <- struct{}{}
	eventually(t, "the commit", func() bool { return l.held() > 0 })
	l.release(nil)
	for _, c := range all {
		c.expect("[:1 :1000 …", "+PONG", "[:1 :1000 …", "+PONG")
	}
	if n := l.commits.Load(); n != 1 {
		t.Errorf("%d commits", n)
	}
}

// The replies of a turn reach their peers, in order, whatever is the end of a connection: it goes on,
// it quits, it leaves the loop, or its peer has left.
func TestRepliesOfATurn(t *testing.T) {
	const rounds = 40
	store := moodyStore{newStore(t), make(chan struct{})}
	s := startServed(t, 1, nil, store)
	long := strings.Repeat("x", 3000)
	kinds := []struct{ send, want []string }{
		{[]string{"PING"}, []string{"+PONG"}},
		{[]string{"ECHO " + long}, []string{long}},
		{[]string{"ECHO a", "ECHO " + long, "ECHO " + long}, []string{"a", long, long}},
		{[]string{"ECHO b", "QUIT", "PING"}, []string{"b", "+OK", "(EOF)"}},
		{[]string{"ECHO c", "KEYS none", "ECHO d"}, []string{"c", "[]", "d"}},  // which steps aside
		{[]string{"ECHO e", "SUBSCRIBE f"}, []string{"e", "[subscribe f :1]"}}, // which leaves the loop
		{[]string{"ECHO g", "NONE"}, []string{"g", "-ERR unknown command…"}},
		{slices.Repeat([]string{"ECHO " + long}, 15), slices.Repeat([]string{long}, 15)},
	}
	var all, left []*peer
	for i := range rounds * len(kinds) {
		c := s.dial()
		c.ask("PING", "+PONG")
		if all = append(all, c); i%10 == 0 {
			gone := s.dial()
			gone.ask("PING", "+PONG")
			left = append(left, gone)
		}
	}
	s.dial().send("RL.PEEK gate token_bucket 10 1d")
	store.gate <- struct{}{} // the loop waits
	for i, c := range all {
		c.send(kinds[i%len(kinds)].send...)
	}
	for _, gone := range left {
		gone.send("PING", "ECHO h")
		_ = gone.Close()
	}
	for _, c := range all {
		c.awaitArrival()
	}
	store.gate <- struct{}{}
	for i, c := range all {
		c.expect(kinds[i%len(kinds)].want...)
	}
}

// A reply does not wait for the long batch of another connection that is served in the same turn.
func TestReplyBeforeALongBatch(t *testing.T) {
	store := moodyStore{newStore(t), make(chan struct{})}
	s := startServed(t, 1, nil, store)
	first, other := s.dial(), s.dial()
	first.ask("PING", "+PONG")
	other.ask("PING", "+PONG")
	const gate = "RL.PEEK gate token_bucket 10 1d"
	s.dial().send(gate)
	store.gate <- struct{}{} // the loop waits
	first.send("PING")
	first.awaitArrival()
	other.send(append(slices.Repeat([]string{"ECHO " + strings.Repeat("x", 100)}, 100), gate)...)
	other.awaitArrival()
	store.gate <- struct{}{}
	store.gate <- struct{}{} // it waits at the end of the long batch
	first.expect("+PONG")
	store.gate <- struct{}{}
}

// awaitArrival waits until the server's system has all that was sent.
func (p *peer) awaitArrival() {
	p.t.Helper()
	raw, err := p.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the commands to arrive", func() (arrived bool) {
		_ = raw.Control(func(fd uintptr) {
			var queued int32
			_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&queued)))
			arrived = errno == 0 && queued == 0
		})
		return arrived
	})
}
