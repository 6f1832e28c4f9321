package server

import "golang.org/x/sys/unix"

// A socket whose questions a remote answers. Until the answers have come nothing is read.

// ask has the loop ask what has been gathered, with what other connections ask in this turn.
// more says whether the connection goes on after the answers.
func (so *socket) ask(more bool) {
	a := so.conn.asked
	a.suspend()
	so.more = more
	so.asking.Store(true)
	if a.batch.Done == nil {
		a.batch.Done = func() { so.loop.post(so.answered) }
	}
	so.loop.batches = append(so.loop.batches, &a.batch)
}

// answered goes on with a connection whose answers have come.
func (so *socket) answered() {
	so.asking.Store(false)
	if so.fd < 0 {
		return
	}
	so.conn.asked.came = true
	so.answer()
}

// interrupted sees to a socket that became ready while its answers are waited for: the peer
// has sent more, which can wait, or is gone.
func (so *socket) interrupted(events uint32) {
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		so.end()
		return
	}
	so.want(so.events &^ unix.EPOLLIN)
}

// askRemote asks what the connections have gathered in this turn.
func (l *loop) askRemote() {
	if len(l.batches) == 0 {
		return
	}
	l.server.remote.Ask(l.batches...)
	clear(l.batches)
	l.batches = l.batches[:0]
}
