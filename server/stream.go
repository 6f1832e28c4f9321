package server

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A stream carries a connection over a net.Conn, with a goroutine of its own. It is for what
// an event loop cannot carry: TLS, handlers that wait, monitors, other systems.
type stream struct {
	nc net.Conn
	// writingSince is when the write that is under way began (ns of the monotonic clock
	// since the stream's start), or 0. A connection whose peer does not read is found by
	// it, without the price of a deadline on every write.
	writingSince atomic.Int64
	started      time.Time
	// queued is how many bytes the system had not got rid of at the last dropIfStuck.
	queued int
}

func newStream(nc net.Conn) *stream { return &stream{nc: nc, started: time.Now()} }

func (st *stream) flush(c *conn) error {
	st.writingSince.Store(max(int64(time.Since(st.started)), 1))
	_, err := st.nc.Write(c.out)
	st.writingSince.Store(0)
	c.out = c.out[:0]
	if cap(c.out) > outBytesKept {
		c.out = nil
	}
	return err
}

// full is never so: a write waits for the peer, and with it the connection.
func (st *stream) full(*conn) bool { return false }

// kill closes the socket; the connection's goroutine notices and cleans up.
func (st *stream) kill() { _ = st.nc.Close() }

func (st *stream) drain() { _ = st.nc.SetReadDeadline(time.Now().Add(drainGrace)) }

func (st *stream) dropIfStuck(after time.Duration, dropped func()) (busy bool) {
	since := st.writingSince.Load()
	if since == 0 {
		return false
	}
	// A write that waits does not mean that the peer takes nothing: the system lets it go on
	// only when a good part of its buffer is free.
	queued, now := queuedBytes(st.nc), int64(time.Since(st.started))
	progress := queued < st.queued
	st.queued = queued
	switch {
	case progress:
		st.writingSince.CompareAndSwap(since, now)
	case time.Duration(now-since) > after:
		dropped()
		st.kill()
	}
	return true
}

// queuedBytes is how many bytes wait in the system to be sent or acknowledged; 0 where that
// is not known.
func queuedBytes(nc net.Conn) (n int) {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = wrapped.NetConn()
	}
	if raw, err := nc.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = queuedIn(int(fd)) })
	}
	return n
}

// serve serves one connection until it ends.
func (s *Server) serve(c *client, conn *conn) {
	defer s.forget(c)
	defer func() { _ = conn.nc.Close() }()
	defer func() {
		if conn.waiting() { // what a panic has left
			s.awaitAll(c, conn)
			_ = conn.flush()
		}
	}()
	defer s.rescue(c, conn)
	if err := handshake(conn.nc); err != nil {
		s.logger.Debug("connection lost", "error", err, "addr", c.addr)
		return
	}
	for !conn.detaching {
		if err := conn.framer.fill(conn.nc); err != nil {
			s.takeLeave(c, conn, err)
			return
		}
		if !s.serveRead(c, conn) {
			s.part(conn)
			return
		}
	}
	s.serveDetached(c, conn)
}

// serveRead answers all commands that have been read, those whose replies wait as well.
func (s *Server) serveRead(c *client, conn *conn) (more bool) {
	more = s.serveBatch(c, conn)
	for conn.waiting() {
		s.await(c, conn)
		more = conn.flush() == nil && more && s.serveBatch(c, conn) // or they would wait for the next ones
	}
	return more
}

// takeLeave ends a connection from which no more can be read: it has broken the protocol,
// the peer has left, or the server drains.
func (s *Server) takeLeave(c *client, conn *conn, err error) {
	switch {
	case conn.framer.broken != nil:
		s.reproach(c, conn, err)
		s.part(conn)
	case s.draining.Load():
		s.part(conn)
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		s.logger.Debug("connection lost", "error", err, "addr", c.addr)
	}
}

// part sends the last replies, says that no more come, and reads what is still on its way:
// a socket closed with unread input sends a reset, which can overtake the last answer and
// destroy it.
func (s *Server) part(conn *conn) {
	if conn.flush() != nil {
		return
	}
	half, ok := conn.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = conn.nc.SetReadDeadline(time.Now().Add(lingerMax))
	_, _ = io.Copy(io.Discard, conn.nc)
}
