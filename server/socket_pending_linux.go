package server

import "golang.org/x/sys/unix"

// A socket whose replies wait (pending.go). Until what they wait for has come nothing is read.

// pend keeps the replies that have gathered, and has the loop see to what they wait for, with
// what other connections wait for in this turn. more says whether the connection goes on then.
func (so *socket) pend(more bool) {
	c := so.conn
	c.suspend()
	so.more = more
	so.pending.Store(true)
	switch l := c.pending.later; {
	case c.asked.waiting():
		if c.asked.batch.Done == nil {
			c.asked.batch.Done = func() { so.loop.post(so.come) }
		}
		so.loop.batches = append(so.loop.batches, &c.asked.batch)
	case l != nil:
		l.find(func(reply func(*client)) {
			so.loop.post(func() { so.found(l, reply) })
		})
		if so.loop.server.draining.Load() {
			so.loop.post(so.giveUp)
		}
	default:
		so.loop.commits = append(so.loop.commits, so)
	}
}

// come goes on with a connection now that what its replies wait for has come.
func (so *socket) come() {
	so.pending.Store(false)
	if so.fd < 0 {
		return
	}
	so.conn.pending.came = true
	so.answer()
}

// found goes on with a connection whose reply was found, unless it has been given up.
func (so *socket) found(l *later, reply func(*client)) {
	if so.pending.Load() && so.conn.pending.later == l {
		so.conn.pending.reply = reply
		so.come()
	}
}

// giveUp has a reply that may take long not waited for.
func (so *socket) giveUp() {
	if l := so.conn.pending.later; so.pending.Load() && l != nil && l.giveUp != nil {
		so.found(l, l.giveUp)
	}
}

// watchPeer has the loop woken when the peer leaves, if its replies may take long. Else that
// would cost more than it is worth.
func (so *socket) watchPeer() {
	if so.conn.pending.later != nil {
		so.wait()
	}
}

// interrupted sees to a socket that became ready while its replies wait: the peer has sent
// more, which can wait, or is gone.
func (so *socket) interrupted(events uint32) {
	if events&(unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
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

// commit waits for the disk to have the changes that were made in this turn.
func (l *loop) commit() {
	if len(l.commits) == 0 {
		return
	}
	waiting := l.commits
	l.commits = nil
	l.server.replicator.Commit(func(err error) {
		l.server.committed(err)
		l.post(func() {
			for _, so := range waiting {
				so.conn.pending.err = err
				so.come()
			}
		})
	})
}
