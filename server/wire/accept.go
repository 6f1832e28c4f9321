package wire

import (
	"errors"
	"net"
	"time"
)

// The pauses between two attempts to accept, when accepting fails because the process or the machine
// has no more of a resource (EMFILE).
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// accept accepts connections until the listener is closed.
func (s *Server) accept(listener net.Listener) {
	backoff := acceptBackoffMin
	for {
		nc, err := listener.Accept()
		switch {
		case err == nil:
			backoff = acceptBackoffMin
			s.open(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.logger.Warn("cannot accept a connection", "error", err, "retry_in", backoff)
			time.Sleep(backoff)
			backoff = min(2*backoff, acceptBackoffMax)
		}
	}
}

// open serves a connection in an event loop, or in a goroutine of its own. Or it closes the
// connection with the owner's refusal.
func (s *Server) open(nc net.Conn) {
	c := &Conn{server: s, nc: nc, addr: addressText(nc)}
	begin := s.loops.carry(c)
	if begin == nil {
		st := newStream(s, nc)
		c.carrier, c.handle = st, st
		begin = func() { go c.serveStream(st) }
	}
	session, refusal := s.owner.Open(c)
	if session == nil {
		refuse(nc, refusal)
		return
	}
	c.session = session
	s.serving.Add(1)
	begin()
}

// refuse closes a connection with an error. The peer has a moment to read it, but the server does
// not wait for that.
func refuse(nc net.Conn, text string) {
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write([]byte("-" + text + "\r\n"))
	_ = nc.Close()
}
