package wire

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket carries a connection in an event loop. Its state says what it waits for:
//
//	reading   commands are read and answered
//	held      too many replies wait for the peer, or the connection is to leave the loop: nothing
//	          is read until the peer has read them
//	pending   replies are deferred (deferred.go): nothing is read until their wait is over
//	away      a goroutine runs a command that may take long, and the loop does not touch the socket
//	parting   no more is answered: the replies that have gathered go out, then the end of the
//	          stream; input is dropped for a moment (see Conn.part)
//
// In each of them there may be replies that the peer has not read yet.
type socket struct {
	loop   *loop
	conn   *Conn
	fd     int           // −1: not begun, or ended
	events atomic.Uint32 // for which epoll wakes the loop

	held     bool
	gathered bool // replies are to leave at the end of the loop's turn
	away     atomic.Bool
	// pending; more says whether further commands are to be read afterwards; resumable, that the
	// deferred replies can be written now.
	pending         atomic.Bool
	more, resumable bool
	// parting until leaves; shut says that the end of the stream has been sent.
	parting, shut bool
	leaves        time.Time

	// unsent are the replies that the peer has not read yet; unsentPieces and unsentBytes say how
	// much that is, for other goroutines.
	unsent                    backlog
	unsentPieces, unsentBytes atomic.Int64
	stall                     stall
	// moved carries the connection once it has left the loop.
	moved atomic.Pointer[stream]
}

// begin moves the connection's descriptor from Go's poller, which would be woken by every event for
// nothing, to the loop. It runs in the accepting goroutine.
func (so *socket) begin() {
	s := so.loop.server
	so.loop.count.Add(1)
	fd := -1
	err := s.reserve.lend(func() (err error) { fd, err = duplicate(so.conn.nc); return err })
	_ = so.conn.nc.Close()
	s.reserve.hold()
	if err != nil {
		s.logger.Warn("cannot serve a connection", "error", err, "addr", so.conn.addr)
		so.loop.count.Add(-1)
		so.conn.end()
		return
	}
	so.loop.post(func() { so.join(fd) }) // the loops end after accepting has ended
}

// duplicate returns a second descriptor of the connection's socket.
func duplicate(nc net.Conn) (fd int, err error) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	problem := raw.Control(func(theirs uintptr) {
		fd, err = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0)
	})
	if problem != nil {
		err = problem
	}
	return fd, os.NewSyscallError("dup", err)
}

func (so *socket) join(fd int) {
	if so.conn.Killed() {
		_ = unix.Close(fd)
		so.loop.count.Add(-1)
		so.conn.end()
		return
	}
	so.fd, so.conn.inLoop = fd, true
	so.events.Store(unix.EPOLLIN)
	so.loop.sockets[int32(fd)] = so
	if err := so.loop.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
		so.fail(err)
	}
}

// react does what the events of the socket allow.
func (so *socket) react(events uint32) {
	if so.unsent.bytes > 0 && events&^unix.EPOLLIN != 0 {
		so.resume()
	}
	switch {
	case so.fd < 0 || so.held || events&^unix.EPOLLOUT == 0:
	case so.pending.Load():
		so.interrupted(events)
	case so.shut:
		so.discard()
	case !so.parting:
		so.read()
	}
}

// read reads once and answers the commands.
func (so *socket) read() {
	f := &so.conn.framer
	n, errno := rawRead(so.fd, f.Room(so.loop.in))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		f.Park() // epoll will wake the loop again
	case errno != 0:
		so.loop.server.logger.Debug("connection lost", "error", errno, "addr", so.conn.addr)
		so.end()
	case n == 0 && so.unsent.bytes == 0:
		so.end()
	case n == 0:
		f.Park()
		so.part() // a peer that sends no more may still read
	default:
		f.Filled(n)
		so.loop.server.Traffic.read(n)
		so.answer()
	}
}

// answer serves the commands that have been read, and leaves the socket in the state that follows.
func (so *socket) answer() {
	c, l := so.conn, so.loop
	// Replies that have gathered do not wait for a batch that takes long.
	if so.gathered || c.framer.Buffered() > gatheredBytesMax {
		if l.sendGathered(); so.fd < 0 || so.parting {
			return
		}
	}
	c.Buf = l.out
	more := so.serve()
	c.framer.Park()
	waiting := c.wait != NoWait
	switch {
	case waiting:
		so.pend(more)
	case more && so.mayGather():
		l.gather(so)
	default:
		more = c.Flush() == nil && more
	}
	if l.out, c.Buf = c.Buf[:0], nil; cap(l.out) > 2*outBytesFlush {
		l.out = nil
	}
	c.note()
	switch {
	case waiting:
		so.watchPeer()
	case !more:
		so.part()
	case c.slow:
		so.stepAside()
	default:
		so.rearm()
	}
}

// serve writes the deferred replies, if there are some, and serves a batch, whose replies are left in
// Buf. A panic ends this connection only.
func (so *socket) serve() (more bool) {
	c := so.conn
	defer c.rescue()
	if so.resumable {
		so.resumable = false
		c.resume()
		if c.Flush() != nil || !so.more { // they leave now, or they would wait with the next ones
			return false
		}
	}
	return c.serveBatch()
}

// asideTurn is how long a batch that has stepped aside runs while others wait to.
const asideTurn = 10 * time.Millisecond

// stepAside has the rest of the batch served in a goroutine of its own, because its next command may
// take long. The socket belongs to that goroutine until back. Only some of them run at a time, or
// they would take the processors from the loops. They take turns, so that a connection that sends
// many such commands holds up others by a turn, or by one command that takes longer.
func (so *socket) stepAside() {
	if err := so.loop.watch(unix.EPOLL_CTL_DEL, so.fd, 0); err != nil {
		so.fail(err)
		return
	}
	so.away.Store(true)
	so.loop.server.elsewhere.Add(1)
	c, turns := so.conn, so.loop.server.loops.aside
	c.inLoop = false
	go func() {
		more := true
		for more && c.slow {
			turns <- struct{}{}
			end := time.Now().Add(asideTurn)
			c.slow, c.turnEnd = false, &end
			more = so.serve()
			if c.wait == NoWait {
				more = c.Flush() == nil && more
			}
			<-turns
		}
		c.slow, c.turnEnd = false, nil
		so.loop.post(func() { so.back(more) })
	}()
}

// back is the end of stepAside.
func (so *socket) back(more bool) {
	c := so.conn
	so.away.Store(false)
	so.loop.server.elsewhere.Add(-1)
	waiting := c.wait != NoWait
	if waiting {
		so.pend(more)
	}
	c.inLoop, c.Buf = true, nil
	c.note()
	so.events.Store(unix.EPOLLIN)
	err := so.loop.watch(unix.EPOLL_CTL_ADD, so.fd, unix.EPOLLIN)
	switch {
	case err != nil:
		so.fail(err)
	case c.Killed():
		so.end()
	case waiting:
		so.watchPeer()
	case more:
		so.rearm()
	default:
		so.part()
	}
}

func (so *socket) flush(c *Conn) error {
	out := c.Buf
	c.Buf = c.Buf[:0]
	return so.send(out)
}

// send writes the bytes that the peer's window takes, and keeps the rest.
func (so *socket) send(rest []byte) error {
	if so.unsent.bytes == 0 {
		var err error
		if rest, err = so.write(rest); err != nil || len(rest) == 0 {
			return err
		}
	}
	if so.unsent.bytes == 0 {
		so.stall.since.Store(so.loop.server.elapsed())
	}
	so.unsent.add(rest)
	so.noteUnsent()
	so.loop.server.unsent.Add(int64(len(rest)))
	return nil
}

// write writes what can be written at once, and returns the rest.
func (so *socket) write(out []byte) (rest []byte, err error) {
	for len(out) > 0 {
		n, errno := rawWrite(so.fd, out)
		switch {
		case errno == 0:
			so.loop.server.Traffic.wrote(n)
			out = out[n:]
		case errno == unix.EAGAIN:
			return out, nil
		case errno != unix.EINTR:
			return nil, errno
		}
	}
	return nil, nil
}

// sendKept writes as much of the kept replies as can be written at once.
func (so *socket) sendKept() error {
	before := so.unsent.bytes
	err := so.unsent.send(so.write)
	so.noteUnsent()
	so.loop.server.unsent.Add(so.unsent.bytes - before)
	if so.unsent.bytes == 0 {
		so.stall.since.Store(0)
	} else if so.unsent.bytes < before {
		so.stall.since.Store(so.loop.server.elapsed())
	}
	return err
}

func (so *socket) noteUnsent() {
	so.unsentPieces.Store(int64(len(so.unsent.pieces)))
	so.unsentBytes.Store(so.unsent.bytes)
}

func (so *socket) buffers() Buffers {
	if st := so.moved.Load(); st != nil {
		return st.buffers()
	}
	events := so.events.Load()
	return Buffers{
		Queued: int(so.unsentPieces.Load()), QueuedBytes: so.unsentBytes.Load(),
		Readable: events&unix.EPOLLIN != 0, Writable: events&unix.EPOLLOUT != 0,
	}
}

// full holds the connection if it is full: commands that have been read then wait as well.
func (so *socket) full(c *Conn) bool {
	if so.unsent.bytes > 0 && so.unsent.bytes > c.unsentMax() {
		so.held = true
	}
	return so.held
}

// resume writes kept replies, and then lets the connection go on if it was held.
func (so *socket) resume() {
	switch err := so.sendKept(); {
	case err != nil:
		so.end()
	case so.parting:
		so.part()
	case so.pending.Load():
		so.held = so.held && so.unsent.bytes > so.conn.unsentMax()/2
		so.rearm()
	case !so.held || so.conn.detaching:
		so.rearm()
	case so.unsent.bytes <= so.conn.unsentMax()/2:
		so.held = false
		so.answer()
	}
}

// rearm has epoll wake the loop for the event that the connection needs next.
func (so *socket) rearm() {
	c := so.conn
	if c.detaching && so.unsent.bytes == 0 && !so.pending.Load() {
		so.move()
		return
	}
	so.held = so.held || c.detaching
	var events uint32
	switch {
	case so.pending.Load() && c.wait == LongWait:
		events = unix.EPOLLRDHUP // the loop must notice when the peer leaves
	case !so.held && !so.pending.Load():
		events = unix.EPOLLIN
	}
	if so.unsent.bytes > 0 {
		events |= unix.EPOLLOUT
	}
	so.want(events)
}

func (so *socket) want(events uint32) {
	if events == so.events.Load() {
		return
	}
	so.events.Store(events)
	if err := so.loop.watch(unix.EPOLL_CTL_MOD, so.fd, events); err != nil {
		so.fail(err)
	}
}

// fail ends a connection that the loop cannot serve.
func (so *socket) fail(err error) {
	so.loop.server.logger.Warn("connection lost", "error", err, "addr", so.conn.addr)
	so.end()
}
