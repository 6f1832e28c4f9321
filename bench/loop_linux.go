package bench

import (
	"errors"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A loop moves the bytes of a worker's connections with one goroutine, which waits for all of their
// sockets at once, and reads and writes with system calls that do not wait. It takes half the
// processor time of a goroutine for each connection.
type loop struct {
	*worker
	epoll  int
	events []unix.EpollEvent
	byFD   map[int32]*conn
	idle   []*conn // a ring: those that have no batch
	first  int     // of idle
	count  int     // in idle
}

const loopEvents = 256 // that one wait returns at most

// takeOver makes the connection a file descriptor for a loop, if it can be one.
func (c *conn) takeOver(nc net.Conn) error {
	filer, ok := nc.(interface{ File() (*os.File, error) })
	if !ok { // TLS
		c.net = nc
		return nil
	}
	file, err := filer.File() // a copy of the descriptor, which the runtime does not wait for
	if err != nil {
		return err
	}
	c.fd, err = unix.Dup(int(file.Fd()))
	_, _ = file.Close(), nc.Close()
	if err != nil {
		return os.NewSyscallError("dup", err)
	}
	return unix.SetNonblock(c.fd, true)
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
	} else if c.fd > 0 {
		_ = unix.Close(c.fd)
	}
}

// run runs a turn.
func (w *worker) run() error {
	if w.conns[0].net != nil {
		return w.pump()
	}
	l := &loop{worker: w, events: make([]unix.EpollEvent, loopEvents), byFD: map[int32]*conn{}, idle: make([]*conn, len(w.conns))}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer func() { _ = unix.Close(l.epoll) }()
	for _, c := range w.conns {
		l.byFD[int32(c.fd)] = c
		if err := l.watch(unix.EPOLL_CTL_ADD, c, unix.EPOLLIN); err != nil {
			return err
		}
		l.rest(c)
	}
	if w.turn.every > 0 {
		// The system lets a thread sleep 50 µs longer than it asked, which would count as latency.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	return l.turn()
}

func (l *loop) watch(operation int, c *conn, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, operation, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)}))
}

// rest puts a connection that has all its replies behind the others.
func (l *loop) rest(c *conn) {
	l.idle[(l.first+l.count)%len(l.idle)] = c
	l.count++
}

func (l *loop) turn() error {
	checked := time.Duration(0)
	for {
		for l.count > 0 && l.begin(l.idle[l.first]) {
			c := l.idle[l.first]
			l.first = (l.first + 1) % len(l.idle)
			l.count--
			if err := l.write(c); err != nil {
				return err
			}
		}
		if l.count == len(l.idle) && l.isOver(l.worker.turn.now()) {
			return nil
		}
		n, err := l.wait()
		if err != nil {
			return err
		}
		for _, event := range l.events[:n] {
			if err := l.react(l.byFD[event.Fd], event.Events); err != nil {
				return err
			}
		}
		if now := l.worker.turn.now(); now-checked > checkPeriod {
			checked = now
			for _, c := range l.conns {
				if c.isLate(now) {
					return errSilent
				}
			}
		}
	}
}

// wait waits until a socket can be read, the next request is due, or there is something to check.
func (l *loop) wait() (int, error) {
	now := l.worker.turn.now()
	if l.count > 0 && l.worker.turn.every > 0 && !l.isOver(now) {
		// epoll_wait counts in milliseconds, ppoll in nanoseconds.
		left := min(max(l.due()-now, 0), checkPeriod)
		until := unix.NsecToTimespec(int64(left))
		if _, err := unix.Ppoll([]unix.PollFd{{Fd: int32(l.epoll), Events: unix.POLLIN}}, &until, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return 0, os.NewSyscallError("ppoll", err)
		}
		return l.poll(0)
	}
	return l.poll(int(checkPeriod / time.Millisecond))
}

func (l *loop) poll(millis int) (int, error) {
	n, err := unix.EpollWait(l.epoll, l.events, millis)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, os.NewSyscallError("epoll_wait", err)
	}
	return max(n, 0), nil
}

// write writes what the socket takes of a batch. The loop waits until it takes the rest.
func (l *loop) write(c *conn) error {
	n, errno := raw(unix.SYS_WRITE, c.fd, c.pending())
	if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		return os.NewSyscallError("write", errno)
	}
	wasPartial := c.sent > 0
	c.sent += max(n, 0)
	switch isPartial := c.sent < c.end; {
	case isPartial:
		return l.watch(unix.EPOLL_CTL_MOD, c, unix.EPOLLIN|unix.EPOLLOUT)
	case wasPartial:
		return l.watch(unix.EPOLL_CTL_MOD, c, unix.EPOLLIN)
	}
	return nil
}

func (l *loop) react(c *conn, events uint32) error {
	if events&unix.EPOLLOUT != 0 && c.sent < c.end {
		if err := l.write(c); err != nil {
			return err
		}
	}
	if events&^uint32(unix.EPOLLOUT) == 0 {
		return nil
	}
	n, errno := raw(unix.SYS_READ, c.fd, c.room())
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR:
		return nil
	case errno != 0:
		return os.NewSyscallError("read", errno)
	case n == 0:
		return errClosed
	}
	wasWaiting := c.isWaiting()
	if err := c.received(n, l.worker.turn.now()); err != nil {
		return err
	}
	if wasWaiting && !c.isWaiting() {
		l.rest(c)
	}
	return nil
}

// raw is a system call on a socket. It never waits, so the scheduler need not be told of it.
func raw(call uintptr, fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}
