package server

import (
	"errors"
	"io"
	"net"
	"runtime/debug"
	"time"
)

// The transport: one goroutine a connection, over any net.Listener.

// The waits between two tries to accept, when accepting fails because the process or the
// machine is out of something (EMFILE).
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

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
	conn := newConn(nc)
	c := s.clients.add(cfg.MaxClients, func(id int64) *client { return newClient(s, conn, id) })
	if c == nil {
		s.turnAway(nc, errMaxClients)
		return
	}
	s.serving.Go(func() { s.serve(c, conn) })
}

// turnAway closes a connection with an error. The peer has a moment to read it, but nobody
// waits for that here.
func (s *Server) turnAway(nc net.Conn, text string) {
	s.stats.rejected.Add(1)
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = nc.Write([]byte("-" + text + "\r\n"))
	_ = nc.Close()
}

// serve serves one connection until it ends. A panic ends this connection and no other.
func (s *Server) serve(c *client, conn *conn) {
	defer func() {
		if problem := recover(); problem != nil {
			s.stats.panics.Add(1)
			s.logger.Error("panic in a command", "panic", problem, "addr", c.addr, "stack", string(debug.Stack()))
			conn.out = nil // a reply may be half written
			conn.WriteError(errPanic)
			_ = conn.flush()
		}
		c.flushRuns()
		s.monitors.remove(c)
		s.clients.remove(c)
		_ = conn.nc.Close()
	}()
	for !conn.closed && !conn.detached {
		if err := conn.framer.fill(conn.nc); err != nil {
			s.farewell(c, conn, err)
			return
		}
		if !s.serveBatch(c, conn) {
			return
		}
	}
	if conn.detached && !conn.closed {
		s.serveDetached(c, conn)
	}
}

// serveBatch answers the commands that have come so far, and sends the answers in one
// write. It returns false when the connection is over.
func (s *Server) serveBatch(c *client, conn *conn) bool {
	c.beginBatch()
	for !conn.closed && !conn.detached {
		conn.framer.trusted = c.mayAsk()
		args, whole, err := conn.framer.next()
		if err != nil {
			s.farewell(c, conn, err)
			return false
		}
		if !whole {
			break
		}
		s.dispatch(c, args)
		if len(conn.out) >= outBytesFlush && conn.flush() != nil {
			return false
		}
	}
	c.flushRuns()
	return conn.flush() == nil
}

// farewell ends a connection from which no more can be read: the peer left, or broke the
// protocol, or the server drains. What was right before an error of the protocol has been
// answered; the error is the last answer.
func (s *Server) farewell(c *client, conn *conn, err error) {
	var broken errProtocol
	switch {
	case errors.As(err, &broken):
		s.stats.protocolErrors.Add(1)
		s.logger.Debug("protocol error", "error", err, "addr", c.addr)
		conn.WriteError("ERR " + err.Error())
	case errors.Is(err, errCrossProtocol):
		s.stats.protocolErrors.Add(1)
		s.logger.Warn("connection closed: "+err.Error(), "addr", c.addr)
	case s.draining.Load():
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	default:
		s.logger.Debug("connection lost", "error", err, "addr", c.addr)
		return
	}
	if conn.flush() == nil {
		lingerClose(conn.nc)
	}
}

// lingerMax is how long a connection that we close may go on sending: a socket closed with
// unread input sends a reset, which can overtake the last answer and destroy it.
const lingerMax = 200 * time.Millisecond

// lingerClose says that no more answers come, and reads what is still on its way.
func lingerClose(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(lingerMax))
	_, _ = io.Copy(io.Discard, nc)
}
