package wire

import "golang.org/x/sys/unix"

// A socket whose replies are deferred (deferred.go). Nothing is read until their wait is over.

// pend puts the replies that have gathered aside. At the end of the turn the owner is asked for
// everything that began to wait in it. more says whether the connection goes on afterwards.
func (so *socket) pend(more bool) {
	so.conn.suspend()
	so.more = more
	so.pending.Store(true)
	so.loop.server.elsewhere.Add(1)
	so.loop.waiting = append(so.loop.waiting, so)
	if so.conn.wait == LongWait && so.loop.server.draining.Load() {
		so.loop.post(so.giveUp)
	}
}

// await begins the work that replies of this turn wait for.
func (l *loop) await() {
	if len(l.waiting) == 0 {
		return
	}
	sessions := make([]Session, 0, len(l.waiting))
	for _, so := range l.waiting {
		if so.fd >= 0 {
			sessions = append(sessions, so.conn.session)
		}
	}
	clear(l.waiting)
	l.waiting = l.waiting[:0]
	if len(sessions) > 0 {
		l.server.owner.Await(sessions)
	}
}

// ready is called by another goroutine when the wait of some connections is over. All are of this
// loop.
func (so *socket) ready(conns []*Conn) {
	if st := so.moved.Load(); st != nil {
		st.ready(conns)
		return
	}
	so.loop.post(func() {
		for _, c := range conns {
			c.handle.(*socket).goOn()
		}
	})
}

// stopWaiting ends the state pending, if the socket is in it.
func (so *socket) stopWaiting() {
	if so.pending.CompareAndSwap(true, false) {
		so.loop.server.elsewhere.Add(-1)
	}
}

// goOn writes the deferred replies, and serves the connection further.
func (so *socket) goOn() {
	so.stopWaiting()
	if so.fd >= 0 {
		so.resumable = true
		so.answer()
	}
}

// giveUp ends a long wait, if the owner can answer without it.
func (so *socket) giveUp() {
	so.loop.await() // which may have to begin yet
	if so.pending.Load() && so.conn.wait == LongWait && so.conn.session.GiveUp() {
		so.goOn()
	}
}

// watchPeer has the loop woken when the peer reads replies that were flushed before, and, during a
// long wait, when it leaves. For a short wait that would cost more than it is worth.
func (so *socket) watchPeer() {
	if so.unsent.bytes > 0 || so.conn.wait == LongWait {
		so.rearm()
	}
}

// interrupted is called for a socket that became ready while its replies are deferred: the peer has
// sent more commands, which wait, or has left.
func (so *socket) interrupted(events uint32) {
	if events&(unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
		so.end()
		return
	}
	so.want(so.events.Load() &^ unix.EPOLLIN)
}
