package wire

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How a socket leaves its event loop: it parts, it ends, or it moves to a goroutine of its own; and
// how other goroutines reach it.

// part sends the last replies, and then the end of the stream.
func (so *socket) part() {
	so.parting, so.held = true, false
	switch {
	case so.unsent.bytes > 0:
		so.want(unix.EPOLLOUT)
	case !so.shut:
		so.shut = true
		if unix.Shutdown(so.fd, unix.SHUT_WR) != nil {
			so.end()
			return
		}
		so.leave(lingerMax)
		so.want(unix.EPOLLIN)
	}
}

// discard drops input. The peer's end of the stream is the connection's end.
func (so *socket) discard() {
	if n, errno := rawRead(so.fd, so.loop.in); n <= 0 && errno != unix.EAGAIN && errno != unix.EINTR {
		so.end()
	}
}

// leave lets the socket stay for this time only.
func (so *socket) leave(after time.Duration) {
	so.leaves = time.Now().Add(after)
	so.loop.leaving = append(so.loop.leaving, so)
}

// end ends the connection at once, or, if it is away, when it is back.
func (so *socket) end() {
	if so.fd < 0 || so.away.Load() {
		return
	}
	so.loop.server.unsent.Add(-so.unsent.bytes)
	so.unsent = backlog{}
	so.noteUnsent()
	so.stall.since.Store(0)
	so.stopWaiting()
	delete(so.loop.sockets, int32(so.fd))
	_ = unix.Close(so.fd) // epoll drops it then: there is no other descriptor
	so.fd = -1
	so.loop.count.Add(-1)
	so.conn.end()
}

// move gives the connection a goroutine of its own.
func (so *socket) move() {
	file := os.NewFile(uintptr(so.fd), "")
	delete(so.loop.sockets, int32(so.fd))
	var nc net.Conn
	err := so.loop.server.reserve.lend(func() (err error) { nc, err = net.FileConn(file); return err }) // with a descriptor of its own
	so.loop.count.Add(-1)
	_ = so.loop.watch(unix.EPOLL_CTL_DEL, so.fd, 0)
	so.fd = -1
	_ = file.Close()
	so.loop.server.reserve.hold()
	if err != nil {
		so.loop.server.logger.Warn("connection lost", "error", err, "addr", so.conn.addr)
		so.conn.end()
		return
	}
	st := newStream(so.loop.server, nc)
	so.conn.nc, so.conn.carrier, so.conn.inLoop = nc, st, false
	so.moved.Store(st)
	go so.conn.serveStream(st)
}

// kill, drain and dropIfStuck are called by other goroutines.

func (so *socket) kill() {
	so.inLoop(so.end, (*stream).kill)
}

func (so *socket) drain() {
	so.inLoop(func() { so.leave(drainGrace); so.giveUp() }, (*stream).drain)
}

// inLoop calls here in the loop, or moved if the socket has left the loop.
func (so *socket) inLoop(here func(), moved func(*stream)) {
	if st := so.moved.Load(); st != nil {
		moved(st)
		return
	}
	so.loop.post(func() {
		if st := so.moved.Load(); st != nil {
			moved(st)
		} else {
			here()
		}
	})
}

// dropIfStuck looks at what the system has sent, as stream.dropIfStuck does.
func (so *socket) dropIfStuck(after time.Duration, dropped func()) (busy bool) {
	if st := so.moved.Load(); st != nil {
		return st.dropIfStuck(after, dropped)
	}
	if so.stall.since.Load() == 0 {
		return so.away.Load() || so.pending.Load()
	}
	so.inLoop(func() {
		if so.fd >= 0 && !so.away.Load() && so.unsent.bytes > 0 && so.stall.tooLong(queuedIn(so.fd), so.loop.server.elapsed(), after) {
			dropped()
			so.end()
		}
	}, func(*stream) {})
	return true
}
