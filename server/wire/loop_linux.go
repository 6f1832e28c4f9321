package wire

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An event loop serves many connections in one goroutine: it waits for all of their sockets at once,
// and reads, answers and writes with system calls that do not wait. With a goroutine for each
// connection, every batch costs a switch of goroutines, which is as much as a batch of one command.
//
// Only the loop's goroutine touches its sockets. Other goroutines post tasks.
type loop struct {
	server *Server
	epoll  int
	wakeup int // an eventfd: written to when there are tasks
	// sockets by file descriptor, which epoll's events contain.
	sockets map[int32]*socket
	// keepsProcessor: the loop may keep its processor while it waits.
	keepsProcessor bool
	count          atomic.Int64 // of sockets, for the choice of a loop
	// in and out are lent to the connection that is being served, so that an idle connection holds
	// neither.
	in, out   []byte
	events    []unix.EpollEvent
	gathering gathering
	waiting   []*socket // whose replies have begun to wait in this turn
	leaving   []*socket // that stay only until an instant
	expired   time.Time // when leaving was last looked through

	mu    sync.Mutex
	tasks []func()
	ended bool // no task is accepted any more
}

const (
	loopReadBytes = 64 << 10
	loopEvents    = 256 // that one wait returns at most
)

// loops are a server's event loops.
type loops struct {
	list    []*loop
	running sync.WaitGroup
	aside   chan struct{} // one for each batch that may run aside
}

// loopsInProcess counts the loops of all servers. One processor at least is left to goroutines.
var loopsInProcess atomic.Int64

// start starts n loops, of which there may be none.
func (ls *loops) start(s *Server, n int) error {
	processors := runtime.GOMAXPROCS(0)
	ls.aside = make(chan struct{}, max(processors/2, 1))
	canInterrupt := !strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1")
	for range n {
		l, err := newLoop(s)
		if err != nil {
			ls.stop()
			return err
		}
		ls.list = append(ls.list, l)
		l.keepsProcessor = loopsInProcess.Add(1) < int64(processors) && canInterrupt
		ls.running.Go(l.run)
	}
	return nil
}

func (ls *loops) len() int { return len(ls.list) }

// stop ends the loops. Their connections have ended before.
func (ls *loops) stop() {
	for _, l := range ls.list {
		l.post(func() {
			l.mu.Lock()
			l.ended = true
			l.mu.Unlock()
		})
	}
	ls.running.Wait()
	loopsInProcess.Add(-int64(len(ls.list)))
	ls.list = nil
}

// carry has the loop with the fewest connections carry one more. It returns nil if there is no loop,
// or a loop cannot carry the connection.
func (ls *loops) carry(c *Conn) (begin func()) {
	if len(ls.list) == 0 {
		return nil
	}
	switch c.nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	l := ls.list[0]
	for _, other := range ls.list[1:] {
		if other.count.Load() < l.count.Load() {
			l = other
		}
	}
	so := &socket{loop: l, conn: c, fd: -1}
	c.carrier, c.handle = so, so
	return so.begin
}

func newLoop(s *Server) (*loop, error) {
	l := &loop{
		server: s, sockets: map[int32]*socket{},
		in: make([]byte, loopReadBytes), events: make([]unix.EpollEvent, loopEvents),
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if l.wakeup, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		_ = unix.Close(l.epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err = l.watch(unix.EPOLL_CTL_ADD, l.wakeup, unix.EPOLLIN); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) close() {
	_ = unix.Close(l.wakeup)
	_ = unix.Close(l.epoll)
}

// watch sets the events of a file descriptor for which the loop is woken.
func (l *loop) watch(operation, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, operation, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// post has the loop's goroutine run a task. A loop that has ended has no sockets any more, and runs
// none.
func (l *loop) post(task func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.tasks = append(l.tasks, task)
	if len(l.tasks) == 1 {
		one := [8]byte{0: 1}
		_, _ = unix.Write(l.wakeup, one[:]) // the counter cannot overflow
	}
}

// run runs until stop is called.
func (l *loop) run() {
	defer l.close()
	for {
		posted := false
		for _, event := range l.events[:l.wait()] {
			if int(event.Fd) == l.wakeup {
				posted = true
			} else if so := l.sockets[event.Fd]; so != nil {
				so.react(event.Events)
			}
		}
		l.sendGathered()
		if posted {
			if l.runTasks() {
				return
			}
			l.sendGathered()
		}
		l.expire()
		l.await()
	}
}

// wait waits for events and returns how many there are. It asks first with a system call of which the
// scheduler is not told, because under load most waits are short: to give the processor back and to
// take it again for each costs more than all other work of a small batch. While only the loops have
// work, this call waits. The scheduler interrupts it after ten milliseconds, and the garbage collector
// when it has to stop this goroutine. Then, and while goroutines may need the processor, the loop
// waits as a goroutine should.
func (l *loop) wait() int {
	first, millis := 0, -1 // −1: for ever
	if len(l.leaving) > 0 {
		millis = int(leavingTick / time.Millisecond)
	} else if l.keepsProcessor && l.server.elsewhere.Load() == 0 {
		first = -1
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(first), 0, 0)
	if n > 0 && errno == 0 {
		return int(n)
	}
	waited, err := unix.EpollWait(l.epoll, l.events, millis)
	if err != nil && err != unix.EINTR {
		// A correct loop gets no error of epoll_wait but EINTR.
		panic(fmt.Sprint("wire: epoll_wait: ", err))
	}
	return max(waited, 0)
}

// runTasks runs the tasks that were posted, and says whether one of them has ended the loop.
func (l *loop) runTasks() (ended bool) {
	var count [8]byte
	l.mu.Lock()
	_, _ = unix.Read(l.wakeup, count[:])
	tasks := l.tasks
	l.tasks = nil
	l.mu.Unlock()
	for _, task := range tasks {
		task()
	}
	return l.ended
}

// leavingTick is how often the loop looks for sockets that are to leave now, while there are sockets
// that are to leave.
const leavingTick = 20 * time.Millisecond

// expire ends the sockets that are to leave by now. It looks at most once a tick.
func (l *loop) expire() {
	if len(l.leaving) == 0 {
		return
	}
	now := time.Now()
	if now.Sub(l.expired) < leavingTick {
		return
	}
	l.expired = now
	leaving := l.leaving
	l.leaving = nil
	for _, so := range leaving {
		switch {
		case so.fd < 0:
		case so.away.Load() || so.pending.Load() || now.Before(so.leaves):
			l.leaving = append(l.leaving, so)
		case so.shut:
			so.end()
		case !so.parting:
			so.part()
		}
	}
}

// queuedIn is how many bytes of a socket wait to be sent or acknowledged.
func queuedIn(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// The system calls on sockets never wait, so the scheduler need not be told of them.

func rawRead(fd int, to []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&to[0])), uintptr(len(to)))
	return int(n), errno
}

func rawWrite(fd int, from []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&from[0])), uintptr(len(from)))
	return int(n), errno
}
