package server

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A socket carries a connection in an event loop. What it waits for follows from its state:
//
//	reading   commands are read and answered
//	held      too many replies wait for the peer, or the connection is to leave the loop:
//	          nothing is read until the peer has taken them
//	pending   replies wait for what happens elsewhere (pending.go): nothing is read until then
//	away      a goroutine of its own runs a command that may take long, and the loop does
//	          not touch it
//	parting   no more is answered: what has gathered goes out, then the end of the stream,
//	          then what still comes is read and dropped for a moment (see stream.part)
//
// In each of them replies may be left over that the peer has not taken yet.
type socket struct {
	loop   *loop
	conn   *conn
	client *client
	fd     int    // −1: not begun, or ended
	events uint32 // what epoll has been asked for

	held bool
	away atomic.Bool // stepped aside
	// pending, and whether the connection goes on afterwards.
	pending atomic.Bool
	more    bool
	// parting, and until when; shut says that the end of the stream has been sent.
	parting, shut bool
	leaves        time.Time

	// unsent are the replies that the peer has not taken yet, and unsentSince since when it
	// has taken none of them (µs of the server's clock), or 0.
	unsent      backlog
	unsentSince atomic.Int64
	queued      int // bytes that the system had not got rid of at the last dropIfStuck
	// moved carries the connection once it has been detached.
	moved atomic.Pointer[stream]
}

// begin takes the connection's descriptor from Go's poller, which would be woken for
// nothing with every event, and hands it to the loop. It runs in the accepting goroutine.
func (so *socket) begin(c *client) {
	so.client = c
	so.loop.count.Add(1)
	fd, err := takeDescriptor(so.conn.nc)
	for backoff := acceptBackoffMin; isShort(err) && !so.loop.server.draining.Load(); backoff = min(2*backoff, acceptBackoffMax) {
		so.loop.server.logger.Warn("cannot serve a connection yet", "error", err, "retry_in", backoff)
		time.Sleep(backoff)
		fd, err = takeDescriptor(so.conn.nc)
	}
	_ = so.conn.nc.Close()
	if err != nil {
		so.loop.server.logger.Warn("cannot serve a connection", "error", err, "addr", c.addr)
		so.loop.count.Add(-1)
		so.loop.server.forget(c)
		return
	}
	so.loop.post(func() { so.join(fd) }) // the loop ends after all who accept
}

// isShort says whether an error means that the process or the machine has no descriptor to
// spare at the moment.
func isShort(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// takeDescriptor returns a descriptor of the connection's socket besides the one it has.
func takeDescriptor(nc net.Conn) (fd int, err error) {
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
	if so.client.killed.Load() {
		_ = unix.Close(fd)
		so.loop.count.Add(-1)
		so.loop.server.forget(so.client)
		return
	}
	so.fd, so.events, so.client.hurried = fd, unix.EPOLLIN, true
	so.loop.sockets[int32(fd)] = so
	if err := so.loop.watch(unix.EPOLL_CTL_ADD, fd, so.events); err != nil {
		so.fail(err)
	}
}

// ready does what the socket has become ready for.
func (so *socket) ready(events uint32) {
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

// read reads once and answers what has come.
func (so *socket) read() {
	f := &so.conn.framer
	n, errno := rawRead(so.fd, f.room(so.loop.in))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		f.park() // epoll will say so again
	case errno != 0:
		so.loop.server.logger.Debug("connection lost", "error", errno, "addr", so.conn.addr)
		so.end()
	case n == 0 && so.unsent.bytes == 0:
		so.end()
	case n == 0:
		f.park()
		so.part() // who has sent all may still be reading
	default:
		f.filled(n)
		so.answer()
	}
}

// answer serves the commands that have come, and leaves the socket in the state that follows.
func (so *socket) answer() {
	c, l := so.conn, so.loop
	c.out = l.out
	more := so.serve()
	c.framer.park()
	waiting := c.waiting()
	if waiting {
		so.pend(more)
	}
	if l.out, c.out = c.out[:0], nil; cap(l.out) > 2*outBytesFlush {
		l.out = nil
	}
	switch {
	case waiting:
		so.watchPeer()
	case !more:
		so.part()
	case c.slow:
		so.stepAside()
	default:
		so.wait()
	}
}

// serve is serveBatch, behind replies that have waited, with a panic kept to this connection.
// Nothing is left in out, unless that has to wait.
func (so *socket) serve() (more bool) {
	defer func() {
		if !so.conn.waiting() {
			more = so.conn.flush() == nil && more
		}
	}()
	defer so.loop.server.rescue(so.client, so.conn)
	if so.conn.pending.came {
		so.client.answerPending(so.conn)
		if so.conn.flush() != nil || !so.more { // they would have to wait for the next ones
			return false
		}
	}
	return so.loop.server.serveBatch(so.client, so.conn)
}

// stepAside has the rest of the batch served in a goroutine of its own, because its next
// command may take long. The socket is that goroutine's until it is back. Only some of them
// run at a time, or the loop would have to wait its turn behind all.
func (so *socket) stepAside() {
	if err := so.loop.watch(unix.EPOLL_CTL_DEL, so.fd, 0); err != nil {
		so.fail(err)
		return
	}
	so.away.Store(true)
	so.client.hurried, so.conn.slow = false, false
	go func() {
		so.loop.server.loops.aside <- struct{}{}
		more := so.serve()
		<-so.loop.server.loops.aside
		so.loop.post(func() { so.back(more) })
	}()
}

// back is the end of stepAside.
func (so *socket) back(more bool) {
	so.away.Store(false)
	waiting := so.conn.waiting()
	if waiting {
		so.pend(more)
	}
	so.client.hurried, so.conn.out = true, nil
	so.events = unix.EPOLLIN
	err := so.loop.watch(unix.EPOLL_CTL_ADD, so.fd, so.events)
	switch {
	case err != nil:
		so.fail(err)
	case so.client.killed.Load():
		so.end()
	case waiting:
		so.watchPeer()
	case more:
		so.wait()
	default:
		so.part()
	}
}

// flush writes what the peer takes, and keeps the rest.
func (so *socket) flush(c *conn) error {
	rest := c.out
	c.out = c.out[:0]
	if so.unsent.bytes == 0 {
		var err error
		if rest, err = so.write(rest); err != nil || len(rest) == 0 {
			return err
		}
	}
	so.keep(rest)
	return nil
}

// write writes what the peer takes, and returns the rest.
func (so *socket) write(out []byte) (rest []byte, err error) {
	for len(out) > 0 {
		n, errno := rawWrite(so.fd, out)
		switch {
		case errno == 0:
			out = out[n:]
		case errno == unix.EAGAIN:
			return out, nil
		case errno != unix.EINTR:
			return nil, errno
		}
	}
	return nil, nil
}

// keep keeps replies until the peer takes them.
func (so *socket) keep(out []byte) {
	if so.unsent.bytes == 0 {
		so.unsentSince.Store(so.loop.server.clock.micros())
	}
	so.unsent.add(out)
	so.loop.server.unsent.Add(int64(len(out)))
}

// sendKept writes of what was kept as much as the peer takes.
func (so *socket) sendKept() error {
	before := so.unsent.bytes
	err := so.unsent.send(so.write)
	so.loop.server.unsent.Add(so.unsent.bytes - before)
	if so.unsent.bytes == 0 {
		so.unsentSince.Store(0)
	} else if so.unsent.bytes < before {
		so.unsentSince.Store(so.loop.server.clock.micros())
	}
	return err
}

// full holds the connection when it is: commands that have been read then wait as well.
func (so *socket) full(c *conn) bool {
	if so.unsent.bytes > 0 && so.unsent.bytes > so.loop.server.unsentMax(c) {
		so.held = true
	}
	return so.held
}

// resume writes what was kept, and goes on with what had to wait for that.
func (so *socket) resume() {
	switch err := so.sendKept(); {
	case err != nil:
		so.end()
	case so.parting:
		so.part()
	case so.pending.Load():
		so.held = so.held && so.unsent.bytes > so.loop.server.unsentMax(so.conn)/2
		so.wait()
	case !so.held || so.conn.detaching:
		so.wait()
	case so.unsent.bytes <= so.loop.server.unsentMax(so.conn)/2:
		so.held = false
		so.answer()
	}
}

// wait has the loop woken for what the connection needs next.
func (so *socket) wait() {
	c := so.conn
	if c.detaching && so.unsent.bytes == 0 && !so.pending.Load() {
		so.move()
		return
	}
	so.held = so.held || c.detaching
	var events uint32
	switch {
	case so.pending.Load() && c.pending.later != nil:
		events = unix.EPOLLRDHUP // it may take long: who is gone must be missed
	case !so.held && !so.pending.Load():
		events = unix.EPOLLIN
	}
	if so.unsent.bytes > 0 {
		events |= unix.EPOLLOUT
	}
	so.want(events)
}

func (so *socket) want(events uint32) {
	if events == so.events {
		return
	}
	so.events = events
	if err := so.loop.watch(unix.EPOLL_CTL_MOD, so.fd, events); err != nil {
		so.fail(err)
	}
}

// fail ends a connection that the loop cannot serve.
func (so *socket) fail(err error) {
	so.loop.server.logger.Warn("connection lost", "error", err, "addr", so.conn.addr)
	so.end()
}
