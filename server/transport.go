package server

import (
	"errors"
	"net"
	"runtime/debug"
	"time"
)

// The transport: connections are accepted here, and what is the same for all who carry
// them (stream.go, loop_linux.go) is here.

// The waits between two tries to accept, when accepting fails because the process or the
// machine is out of something (EMFILE).
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// lingerMax is how long a connection that we close may go on sending.
const lingerMax = 200 * time.Millisecond

// accept takes connections until the listener is closed.
func (s *Server) accept(listener net.Listener) {
	backoff := acceptBackoffMin
	for {
		nc, err := listener.Accept()
		switch {
		case err == nil:
			backoff = acceptBackoffMin
			s.admit(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.logger.Warn("cannot accept a connection", "error", err, "retry_in", backoff)
			time.Sleep(backoff)
			backoff = min(2*backoff, acceptBackoffMax)
		}
	}
}

// admit serves a connection, or tells it why not.
func (s *Server) admit(nc net.Conn) {
	s.stats.connections.Add(1)
	cfg := s.config()
	if cfg.ProtectedMode && cfg.RequirePass == "" && !isLoopback(nc.RemoteAddr()) {
		s.turnAway(nc, errProtected)
		return
	}
	conn := &conn{nc: nc, addr: addressText(nc)}
	carry := s.carry(conn)
	c := s.clients.add(cfg.MaxClients, func(id int64) *client { return newClient(s, conn, id) })
	if c == nil {
		s.turnAway(nc, errMaxClients)
		return
	}
	s.serving.Add(1)
	carry(c)
}

// carry chooses who carries a connection, and returns how that begins.
func (s *Server) carry(conn *conn) (begin func(*client)) {
	if begin := s.loops.carry(conn); begin != nil {
		return begin
	}
	st := newStream(conn.nc)
	conn.carrier, conn.handle = st, st
	return func(c *client) { go s.serve(c, conn) }
}

// turnAway closes a connection with an error. The peer has a moment to read it, but nobody
// waits for that here.
func (s *Server) turnAway(nc net.Conn, text string) {
	s.stats.rejected.Add(1)
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write([]byte("-" + text + "\r\n"))
	_ = nc.Close()
}

// serveBatch answers the commands that have come so far, and sends the answers in one
// write. It returns false when no more are to be read: what gathered in out is the last. A
// command for which there is no time here is left in the framer, and conn.slow set. Where
// replies have to wait (pending.go), nothing is sent, and commands may be left until then.
func (s *Server) serveBatch(c *client, conn *conn) bool {
	c.beginBatch()
serving:
	for !conn.closed && !conn.detaching && !conn.carrier.full(conn) {
		conn.framer.trusted = c.mayAsk()
		start := conn.framer.r
		args, whole, err := conn.framer.next()
		if err != nil {
			s.reproach(c, conn, err)
			break
		}
		if !whole {
			break
		}
		if next := conn.framer.ahead(); next != nil && s.prefetch != nil {
			s.prefetch(unsafeString(next))
		}
		conn.answered = len(conn.out)
		switch s.dispatch(c, args) {
		case tooLong:
			conn.framer.r, conn.slow = start, true
			break serving
		case notYet:
			conn.framer.r = start
			break serving
		case dispatched:
		}
		if c.mustWait && c.hold(conn, conn.answered) {
			break
		}
		if len(conn.out) < outBytesFlush {
			continue
		}
		if conn.waiting() {
			break
		}
		if conn.flush() != nil {
			conn.out, conn.closed = conn.out[:0], true
		}
	}
	c.flushRuns()
	if conn.waiting() { // what they wait for comes first
		return !conn.closed
	}
	return !conn.closed && conn.flush() == nil
}

// unsentMax is how many bytes of replies may wait for a peer before no more are made for it.
func (s *Server) unsentMax(conn *conn) int64 {
	if !conn.framer.trusted || s.unsent.Load() > unsentBytesMax {
		return outBytesFlush
	}
	return s.config().OutputBuffer
}

// reproach ends a connection that has broken the protocol. What was right before has been
// answered; the error is the last answer.
func (s *Server) reproach(c *client, conn *conn, err error) {
	s.stats.protocolErrors.Add(1)
	conn.closed = true
	if errors.Is(err, errCrossProtocol) {
		s.logger.Warn("connection closed: "+err.Error(), "addr", c.addr)
		return
	}
	s.logger.Debug("protocol error", "error", err, "addr", c.addr)
	conn.WriteError("ERR " + err.Error())
}

// rescue is deferred around handlers: a panic ends this connection and no other.
func (s *Server) rescue(c *client, conn *conn) {
	problem := recover()
	if problem == nil {
		return
	}
	s.stats.panics.Add(1)
	s.logger.Error("panic in a command", "panic", problem, "addr", c.addr, "stack", string(debug.Stack()))
	if conn.asked != nil {
		conn.asked.clear() // what it has asked is not asked any more
	}
	c.mustWait, conn.closed = false, true
	conn.cut(conn.answered) // its reply may be half written
	conn.WriteError(errPanic)
	if !conn.waiting() {
		_ = conn.flush()
	}
}

// forget takes leave of a connection that has ended.
func (s *Server) forget(c *client) {
	c.flushRuns()
	c.abandonLater()
	s.monitors.remove(c)
	s.pubsub.forget(c)
	s.clients.remove(c)
	if !c.isReplica.Load() {
		s.serving.Done()
	}
}
