package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rlserver/rlserver/server/resp"
)

// A stream carries a connection over a net.Conn, with a goroutine of its own. It is for connections
// that an event loop cannot carry: with TLS, detached ones, and those of other systems.
type stream struct {
	server *Server
	nc     net.Conn
	// stall is of the present write. With it dropIfStuck finds a peer that does not read, so no write
	// needs a deadline.
	stall   stall
	writing atomic.Int64 // bytes of the present write

	// isReady says that a wait is over. Ready sets it and then sends signal, unless the connection's
	// goroutine has set it before, because the peer has left.
	isReady atomic.Bool
	signal  chan struct{}
}

func newStream(s *Server, nc net.Conn) *stream {
	return &stream{server: s, nc: nc, signal: make(chan struct{}, 1)}
}

func (st *stream) flush(c *Conn) error {
	st.writing.Store(int64(len(c.Buf)))
	st.stall.since.Store(st.server.elapsed())
	n, err := st.nc.Write(c.Buf)
	st.stall.since.Store(0)
	st.writing.Store(0)
	st.server.Traffic.wrote(n)
	c.Buf = c.Buf[:0]
	if cap(c.Buf) > outBytesKept {
		c.Buf = nil
	}
	return err
}

func (st *stream) buffers() Buffers {
	held := st.writing.Load()
	return Buffers{Held: held, Readable: held == 0, Writable: held > 0}
}

// full is never true: a write waits for the peer, and the connection with it.
func (st *stream) full(*Conn) bool { return false }

// kill closes the socket. The connection's goroutine notices that.
func (st *stream) kill() { _ = st.nc.Close() }

func (st *stream) drain() { _ = st.nc.SetReadDeadline(time.Now().Add(drainGrace)) }

func (st *stream) dropIfStuck(after time.Duration, dropped func()) (busy bool) {
	if st.stall.since.Load() == 0 {
		return false
	}
	// A write can wait although the peer reads: the system lets it go on only when a good part of
	// its buffer is free. So the bytes in that buffer count.
	if st.stall.tooLong(queuedBytes(st.nc), st.server.elapsed(), after) {
		dropped()
		st.kill()
	}
	return true
}

// queuedBytes is how many bytes wait in the system to be sent or acknowledged; 0 where that is not
// known.
func queuedBytes(nc net.Conn) (n int) {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = wrapped.NetConn()
	}
	if raw, err := nc.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = queuedIn(int(fd)) })
	}
	return n
}

// serveStream serves the connection until it ends.
func (c *Conn) serveStream(st *stream) {
	c.server.elsewhere.Add(1)
	defer c.server.elsewhere.Add(-1)
	defer c.end()
	defer func() { _ = st.nc.Close() }()
	defer func() {
		if c.wait != NoWait { // replies before a panic
			c.awaitAll(st)
			_ = c.Flush()
		}
	}()
	defer c.rescue()
	if err := handshake(c.nc); err != nil {
		c.server.logger.Debug("connection lost", "error", err, "addr", c.addr)
		return
	}
	for !c.detaching {
		if err := c.fill(); err != nil {
			c.endOfInput(err)
			return
		}
		if !c.serveRead(st) {
			c.part()
			return
		}
	}
	if c.handOver != nil {
		c.serveHandOver()
	} else {
		c.serveDetached(st)
	}
}

// fill reads once.
func (c *Conn) fill() error {
	before := c.framer.Buffered()
	err := c.framer.Fill(c.nc)
	if n := c.framer.Buffered() - before; n > 0 {
		c.server.Traffic.read(n)
	}
	return err
}

// serveRead answers all commands that have been read, also those whose replies wait.
func (c *Conn) serveRead(st *stream) (more bool) {
	defer c.note()
	more = c.serveBatch()
	for c.wait != NoWait {
		c.await(st)
		// The replies leave now, or they would wait with the next ones.
		more = c.Flush() == nil && more && c.serveBatch()
	}
	return c.Flush() == nil && more
}

// await waits for the deferred replies, and writes them. Pushes may go out meanwhile.
func (c *Conn) await(st *stream) {
	c.suspend()
	c.note()
	there := true
	c.betweenPushes(func() { there = st.awaitReady(c) })
	if there {
		c.resume()
	} else {
		c.abandonWait()
	}
}

// awaitAll waits until no reply waits any more.
func (c *Conn) awaitAll(st *stream) {
	for c.wait != NoWait {
		c.await(st)
	}
}

// ready is called by another goroutine. A long wait reads from the socket, which a deadline ends.
func (st *stream) ready(conns []*Conn) {
	if st.isReady.CompareAndSwap(false, true) {
		if conns[0].wait == LongWait {
			_ = st.nc.SetReadDeadline(time.Now())
		}
		st.signal <- struct{}{}
	}
}

// awaitReady waits until the owner calls Ready. It returns false if the peer leaves before.
func (st *stream) awaitReady(c *Conn) (there bool) {
	st.isReady.Store(false)
	c.server.owner.Await([]Session{c.session})
	if c.wait == ShortWait {
		<-st.signal
		return true
	}
	there = st.readUntilReady(c)
	_ = c.nc.SetReadDeadline(time.Time{})
	if c.server.draining.Load() { // drain has set a deadline, which was overwritten
		st.drain()
	}
	return there
}

// readUntilReady reads during a long wait, or it would not notice that the peer leaves.
func (st *stream) readUntilReady(c *Conn) (there bool) {
	for {
		err := c.fill()
		switch {
		case st.isReady.Load():
			<-st.signal
			return true
		case err == nil && c.framer.Buffered() <= resp.QueryBytesMax:
		case errors.Is(err, os.ErrDeadlineExceeded): // the server drains
			if !c.session.GiveUp() {
				<-st.signal
			}
			return true
		case st.isReady.CompareAndSwap(false, true):
			return false
		}
	}
}

// endOfInput ends a connection from which no more can be read: the peer has left, or the server
// drains.
func (c *Conn) endOfInput(err error) {
	switch {
	case c.server.draining.Load():
		c.part()
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.server.logger.Debug("connection lost", "error", err, "addr", c.addr)
	}
}

// part sends the last replies and the end of the stream, and reads what is still on its way. A
// socket that is closed with unread input sends a reset, which can overtake the last answer and
// destroy it.
func (c *Conn) part() {
	if c.Flush() != nil {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerMax))
	_, _ = io.Copy(io.Discard, c.nc)
}
