package server

import (
	"net"
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
		raw, err := c.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the commands to arrive", func() (arrived bool) {
			_ = raw.Control(func(fd uintptr) {
				var queued int32
				_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&queued)))
				arrived = errno == 0 && queued == 0
			})
			return arrived
		})
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
