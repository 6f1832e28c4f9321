package wire

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// All replies that begin to wait in one turn of an event loop wait together, those of one connection
// and those of many, so that their changes share one commit.
func TestOneAwaitATurn(t *testing.T) {
	const connections = 50
	listener := listenTCP(t)
	_, e := serveEcho(t, 1, listener)
	var all []*client
	for range connections {
		nc, err := net.Dial("tcp", listener.Addr().String())
		c := newClient(t, nc, err)
		c.send("hello")
		c.expect("hello")
		all = append(all, c)
	}
	began, turn := make(chan struct{}), make(chan struct{})
	l := e.Conns()[0].handle.(*socket).loop
	l.post(func() { close(began); <-turn })
	<-began
	for _, c := range all {
		c.send("short", "between", "short", "after")
	}
	for _, c := range e.Conns() { // which the loop, waiting for turn, does not touch
		eventually(t, "the commands to arrive", func() bool {
			n, err := unix.IoctlGetInt(c.handle.(*socket).fd, unix.TIOCINQ)
			return err == nil && n == len("short\r\nbetween\r\nshort\r\nafter\r\n")
		})
	}
	close(turn)
	eventually(t, "the wait", func() bool { return len(e.waits()) > 0 })
	if waits := e.waits(); len(waits) != 1 || len(waits[0]) != connections {
		t.Fatalf("%d calls of Await, the first with %d sessions", len(waits), len(waits[0]))
	}
	release(e.waits()[0]...)
	for _, c := range all {
		c.expect("short", "between", "short", "after")
	}
	if n := len(e.waits()); n != 1 {
		t.Errorf("%d calls of Await", n)
	}
}
