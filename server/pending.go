package server

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// Replies may have to wait for something that happens elsewhere: for a remote's answers
// (remote.go), until the changes that they tell of are on disk, or, at the end of a batch, for
// a reply that is found in its own time (WAIT, SAVE). Meanwhile nothing is sent to the
// connection and nothing more is read from it, so that its replies are in order.

// pending is what a connection's replies wait for, but for a remote's answers. At most one of
// changes and later is there.
type pending struct {
	// changes are the replies in conn.out that tell of a change.
	changes []span
	// err is why the changes are not on disk, once that is known.
	err   error
	later *later
	reply func(*client) // later's, once it is found
	// early are the replies that have gathered, while they wait.
	early []byte
	came  bool // what they wait for
}

// A later is the reply to a command that takes its time, and not this goroutine's.
type later struct {
	// find calls done once, from any goroutine, with what writes the reply.
	find func(done func(reply func(*client)))
	// giveUp replies in its place when the server ends before. Without it the server waits.
	giveUp func(*client)
}

// waiting says whether the replies that have gathered have to wait.
func (c *conn) waiting() bool {
	return c.asked.waiting() || len(c.pending.changes) > 0 || c.pending.later != nil
}

// replyLater has the command's reply found elsewhere.
func (r *request) replyLater(l *later) {
	r.pending.later, r.mustWait = l, true
	r.blocked.Store(true)
}

// changed says that the command has changed something, and that its reply waits for the disk
// if replies to changes do.
func (r *request) changed() { r.mustWait = r.mustWait || r.holds }

// hold has the reply of the command that has just run wait, which begins at a byte of
// conn.out. It returns whether that must be the last of the batch.
func (c *client) hold(conn *conn, from int) (last bool) {
	c.mustWait = false
	if conn.pending.later != nil {
		return true
	}
	conn.pending.changes = append(conn.pending.changes, span{from, len(conn.out)})
	return false
}

// cut drops the replies from a byte of conn.out on.
func (c *conn) cut(from int) {
	c.out = c.out[:min(from, len(c.out))]
	p := &c.pending
	p.later = nil
	for len(p.changes) > 0 && p.changes[len(p.changes)-1].end > len(c.out) {
		p.changes = p.changes[:len(p.changes)-1]
	}
}

// suspend keeps the replies that are there until what they wait for has come.
func (c *conn) suspend() {
	c.pending.early = append(c.pending.early[:0], c.out...)
	c.out = c.out[:0]
}

// answerPending writes the replies, now that what they waited for has come.
func (c *client) answerPending(conn *conn) {
	p := &conn.pending
	p.came = false
	switch {
	case conn.asked.waiting():
		conn.asked.answer(c)
	case p.later != nil:
		conn.WriteRaw(p.early)
		p.reply(c)
		p.later, p.reply = nil, nil
		c.abandonLater()
		c.blocked.Store(false)
	default:
		c.answerChanges(conn)
	}
	if p.early = p.early[:0]; cap(p.early) > earlyBytesKept {
		p.early = nil
	}
}

// abandonLater has a reply no more looked for that nobody waits for.
func (c *client) abandonLater() {
	if c.abandon != nil {
		c.abandon()
		c.abandon = nil
	}
}

// What a connection keeps for the next replies that wait.
const (
	earlyBytesKept = 4 << 10
	changesKept    = 64
)

// answerChanges writes the replies as they are, or, if the changes are not on disk, an error
// for each that tells of a change.
func (c *client) answerChanges(conn *conn) {
	p, at := &conn.pending, 0
	if p.err != nil {
		for _, reply := range p.changes {
			conn.WriteRaw(p.early[at:reply.start])
			c.server.refuse(c, errNotOnDisk(p.err))
			at = reply.end
		}
	}
	conn.WriteRaw(p.early[at:])
	if p.changes, p.err = p.changes[:0], nil; cap(p.changes) > changesKept {
		p.changes = nil
	}
}

// commitAlarmPeriod is how often at most the log tells of changes that are not on disk.
const commitAlarmPeriod = time.Second

// committed takes note of how a commit ended.
func (s *Server) committed(err error) {
	if err == nil {
		return
	}
	now, last := s.clock.micros(), s.commitAlarm.Load()
	if now-last >= commitAlarmPeriod.Microseconds() && s.commitAlarm.CompareAndSwap(last, now) {
		s.logger.Error("changes are not on disk; they are answered with errors", "error", err)
	}
}

// await waits, in a connection's own goroutine, for what its replies wait for, and writes
// them. Pushes may go out meanwhile.
func (s *Server) await(c *client, conn *conn) {
	conn.suspend()
	c.whileWaiting(func() { s.awaitCome(conn) })
	c.answerPending(conn)
}

// awaitCome waits until what replies wait for has come.
func (s *Server) awaitCome(conn *conn) {
	switch p := &conn.pending; {
	case conn.asked.waiting():
		s.awaitAnswers(conn)
	case p.later != nil:
		if p.reply = s.awaitReply(conn); p.reply == nil { // the peer is gone
			conn.closed = true
			p.reply = func(*client) {}
		}
	default:
		done := make(chan error, 1)
		s.replicator.Commit(func(err error) { done <- err })
		p.err = <-done
		s.committed(p.err)
	}
}

// awaitAll waits until no reply waits any more.
func (s *Server) awaitAll(c *client, conn *conn) {
	for conn.waiting() {
		s.await(c, conn)
	}
}

// awaitReply waits for a reply that is found elsewhere, and reads meanwhile, or a peer that has
// left would not be missed. It returns nil if there is nobody to reply to any more.
func (s *Server) awaitReply(conn *conn) (reply func(*client)) {
	var over atomic.Bool
	done := make(chan func(*client), 1)
	l := conn.pending.later
	l.find(func(reply func(*client)) {
		if over.CompareAndSwap(false, true) {
			_ = conn.nc.SetReadDeadline(time.Now()) // no more needs to be read; before reply, or it would end a read that is none of ours
			done <- reply
		}
	})
	for !over.Load() {
		err := conn.framer.fill(conn.nc)
		switch {
		case err == nil && conn.framer.w-conn.framer.r <= queryBytesMax:
		case errors.Is(err, os.ErrDeadlineExceeded) && l.giveUp == nil:
			reply = <-done // the server drains, or the reply is there
		case !over.CompareAndSwap(false, true): // the reply is there
		case errors.Is(err, os.ErrDeadlineExceeded):
			reply = l.giveUp
		default:
			return nil
		}
		if reply != nil {
			break
		}
	}
	if reply == nil {
		reply = <-done
	}
	_ = conn.nc.SetReadDeadline(time.Time{})
	if s.draining.Load() { // that was to have a deadline
		_ = conn.nc.SetReadDeadline(time.Now().Add(drainGrace))
	}
	return reply
}
