package wire

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The pauses between two attempts to accept, when accepting fails because the process or the machine
// has no more of a resource.
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// A reserve is a file descriptor that is kept for the day when the process, or the machine, has no
// other left. It is given up then, so that one more connection can be accepted, told so and closed.
// Without it the peers would wait for an answer that does not come.
type reserve struct {
	mu   sync.Mutex
	file *os.File // nil: not held
	told time.Time
}

// reserveTold is how often at most the log tells that there is no descriptor left.
const reserveTold = time.Second

// hold takes the reserve, if it is not held. It returns false if there is no descriptor left. The root
// is what a container without files has to open; where that is forbidden there is no reserve.
func (r *reserve) hold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		return true
	}
	var err error
	r.file, err = os.Open("/")
	return !isOutOfDescriptors(err)
}

// giveUp frees the reserve, and says whether it was held.
func (r *reserve) giveUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return false
	}
	_ = r.file.Close()
	r.file = nil
	return true
}

// lend calls open, which opens one descriptor more for a moment, and calls it again with the reserve
// given up if there was none left. The caller calls hold when it has closed one.
func (r *reserve) lend(open func() error) error {
	err := open()
	if isOutOfDescriptors(err) && r.giveUp() {
		err = open()
	}
	return err
}

// isOutOfDescriptors says that the process, or the machine, has no descriptor left.
func isOutOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// tells says whether it is time for a line in the log.
func (r *reserve) tells() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return isDue(&r.told, reserveTold)
}

// isDue says whether a period has gone by since the last time that it was so, and notes that it was.
func isDue(last *time.Time, period time.Duration) bool {
	now := time.Now()
	if now.Sub(*last) < period {
		return false
	}
	*last = now
	return true
}

// accept accepts connections until the listener is closed.
func (s *Server) accept(listener net.Listener) {
	backoff := acceptBackoffMin
	s.reserve.hold()
	for {
		nc, err := listener.Accept()
		switch {
		case err == nil:
			backoff = acceptBackoffMin
			s.open(nc)
		case errors.Is(err, net.ErrClosed):
			return
		case isOutOfDescriptors(err) && s.reserve.giveUp():
			if s.reserve.tells() {
				s.logger.Warn("no file descriptor is left: new connections are refused", "error", err,
					"remedy", "raise the limit of open files (ulimit -n, LimitNOFILE), or lower maxclients")
			}
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
	if !s.reserve.hold() { // the connection has the last descriptor
		refuse(nc, s.owner.Full())
		s.reserve.hold()
		return
	}
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
// not wait for that. With TLS the error could only be read after a handshake, for which the server
// does not wait either.
func refuse(nc net.Conn, text string) {
	if t, ok := nc.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write([]byte("-" + text + "\r\n"))
	_ = nc.Close()
}
