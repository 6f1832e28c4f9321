package wire

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/server/resp"
)

// A Conn is a connection: its socket and its buffers. It belongs to one goroutine, its own or that
// of its event loop. Kill, DropIfStuck, Push, Ready and Buffers are for other goroutines.
type Conn struct {
	// Replies gather in Writer.Buf until a batch is done, and leave in one write.
	resp.Writer
	framer  resp.Framer
	server  *Server
	session Session
	// carrier moves the bytes. It changes when the connection leaves its event loop. handle, by
	// which other goroutines reach the connection, never changes.
	carrier carrier
	handle  handle
	nc      net.Conn
	addr    string

	// replyStart is where in Buf the reply to the present command begins.
	replyStart int
	// early has the replies in Buf while they wait for something; wait says for what.
	early []byte

	wait   Wait
	closed bool // no further command is to be read
	slow   bool // the next command may take long
	inLoop bool // an event loop serves the present batch
	// detaching: the connection is to leave its event loop, if it is in one, and then to get pushes
	// or to be handed over.
	detaching bool
	// turnEnd is when a batch that has stepped aside lets others go first; nil for all others.
	turnEnd  *time.Time
	pushes   atomic.Pointer[pushes]
	handOver *handOver

	killed, handedOver atomic.Bool
	gauges             gauges
}

// A carrier moves the bytes of a connection.
type carrier interface {
	// flush writes the replies that have gathered. Bytes that the peer does not read at once may be
	// kept for later. An error is the connection's end.
	flush(c *Conn) error
	// full says whether so many replies wait for the peer that no more should be made.
	full(c *Conn) bool
}

// A handle is how other goroutines reach a connection.
type handle interface {
	kill()
	drain()
	dropIfStuck(after time.Duration, dropped func()) (busy bool)
	// ready is Ready, for connections of one carrier or loop.
	ready(conns []*Conn)
	// buffers are what the carrier holds of Buffers.
	buffers() Buffers
}

// The bounds on replies.
const (
	outBytesKept  = 64 << 10  // of buffer that is kept between batches
	outBytesFlush = 256 << 10 // that gather before they are written within a batch
	// unsentBytesMax of all event loops' connections may wait for their peers. With more, each
	// connection is held to outBytesFlush.
	unsentBytesMax = 64 << 20

	// IdleBytesMax is the most that the buffers of an idle connection take.
	IdleBytesMax = resp.ReadBytesKept + outBytesKept
)

// lingerMax is how long a connection that the server closes may go on sending.
const lingerMax = 200 * time.Millisecond

// RemoteAddr is the peer's address, as CLIENT LIST shows it.
func (c *Conn) RemoteAddr() string { return c.addr }

// LocalAddr is the address that the peer has connected to.
func (c *Conn) LocalAddr() string { return c.nc.LocalAddr().String() }

// IsLocal says whether the peer is on this machine.
func (c *Conn) IsLocal() bool {
	tcp, ok := c.nc.RemoteAddr().(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// IsTLS says whether the peer speaks TLS.
func (c *Conn) IsTLS() bool {
	_, ok := c.nc.(*tls.Conn)
	return ok
}

// Trust lifts the tighter bounds on input and replies that hold before a client has authenticated,
// or brings them back.
func (c *Conn) Trust(trusted bool) { c.framer.Trusted = trusted }

// Repeats says whether the present command differs from the one before it in nothing but its second
// word, the key.
func (c *Conn) Repeats() bool { return c.framer.Repeats() }

// InLoop says whether an event loop serves the present batch, so that other connections wait for
// its end.
func (c *Conn) InLoop() bool { return c.inLoop }

// HangUp makes the replies that have gathered the connection's last.
func (c *Conn) HangUp() { c.closed = true }

// Full says whether so many replies wait for the peer that no more should be made.
func (c *Conn) Full() bool { return c.carrier.full(c) }

// ReplyStart is where in Buf the reply to the present command begins.
func (c *Conn) ReplyStart() int { return c.replyStart }

// Flush writes the replies that have gathered. With an error none of them is left, and the
// connection is at its end.
func (c *Conn) Flush() error {
	if len(c.Buf) == 0 {
		return nil
	}
	c.replyStart = 0
	err := c.carrier.flush(c)
	if err != nil {
		c.Buf, c.closed = c.Buf[:0], true
	}
	return err
}

// FlushIfLong writes the replies that have gathered, if they are many and need not wait.
func (c *Conn) FlushIfLong() {
	if len(c.Buf) >= outBytesFlush && c.wait == NoWait {
		_ = c.Flush() // an error closes the connection
	}
}

// Kill ends the connection at once. Any goroutine may call it.
func (c *Conn) Kill() {
	c.killed.Store(true)
	c.handle.kill()
}

// Killed says whether Kill was called.
func (c *Conn) Killed() bool { return c.killed.Load() }

// DropIfStuck ends the connection, and calls dropped, if replies wait for the peer and it has read
// none for longer than after. It compares with its last call. It returns whether the connection has
// work to do, if only to wait for the peer. Any goroutine may call it.
func (c *Conn) DropIfStuck(after time.Duration, dropped func()) (busy bool) {
	return c.handle.dropIfStuck(after, dropped)
}

// A stall finds a peer that does not read the replies that wait for it.
type stall struct {
	since  atomic.Int64 // when the peer last read some of them (Server.elapsed); 0: none wait
	queued int          // bytes that the system had not sent at the last call of tooLong
}

// tooLong says whether the peer has read nothing for longer than after. queued are the bytes that
// the system has not sent now: when they become fewer, the peer reads.
func (s *stall) tooLong(queued int, now int64, after time.Duration) bool {
	since, progress := s.since.Load(), queued < s.queued
	s.queued = queued
	if progress {
		s.since.CompareAndSwap(since, now)
	}
	return !progress && since != 0 && time.Duration(now-since) > after
}

// A handOver is what becomes of a connection that leaves the server.
type handOver struct {
	refusal string
	serve   func(net.Conn)
}

// HandOver takes the connection from the server when the batch has been answered. serve gets it in
// a goroutine of its own, and returns when the connection has ended. If the peer has sent more
// commands, it is answered refusal instead, and the connection ends. The server does not drain a
// connection that has been handed over.
func (c *Conn) HandOver(refusal string, serve func(net.Conn)) {
	c.handOver, c.detaching = &handOver{refusal, serve}, true
}

func (c *Conn) serveHandOver() {
	if c.framer.Buffered() > 0 {
		c.Error(c.handOver.refusal)
		c.part()
		return
	}
	c.handedOver.Store(true)
	c.server.serving.Done()
	_ = c.nc.SetReadDeadline(time.Time{})
	c.handOver.serve(c.nc)
}

// end is the end of the connection.
func (c *Conn) end() {
	c.session.Closed()
	if !c.handedOver.Load() {
		c.server.serving.Done()
	}
}
