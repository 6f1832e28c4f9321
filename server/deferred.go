package server

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/resp"
	"github.com/rlserver/rlserver/server/wire"
)

// A reply is deferred until the change that it tells of is on disk, until a backend has answered, or,
// at the end of a batch, until a long command is done (WAIT, SAVE). Package wire keeps the replies
// in order meanwhile.

// deferred is what replies of a session wait for, other than a backend. There are changes or a long
// reply, never both.
type deferred struct {
	changes []change // the replies in the connection's buffer that tell of a change
	err     error    // why the changes are not on disk, once that is known
	long    *longReply
}

// A change is the reply to a command that has changed a key, as a part of the connection's buffer.
type change struct {
	command    *command
	start, end int
}

// A longReply is the reply to a command whose work is done by other goroutines.
type longReply struct {
	// find starts the work, and returns a function that abandons it, or nil. The work calls done
	// once, from any goroutine, with a function that writes the reply.
	find func(done func(reply func(*session))) (abandon func())
	// giveUp replies in its place when the server ends before. Without it the server waits.
	giveUp func(*session)

	abandon func()
	silent  bool // the reply is dropped
	// isFound decides between done and giveUp. reply is set by the one that comes first.
	isFound atomic.Bool
	reply   func(*session)
}

// replyLong has the command's reply written when l has found it.
func (r *request) replyLong(l *longReply) {
	l.silent = r.silenced()
	r.deferred.long, r.mustWait = l, true
	r.blocked.Store(true)
}

// changed says that the command has changed a key. Its reply waits for the disk if replies to
// changes do.
func (r *request) changed() { r.mustWait = r.mustWait || r.holds }

// deferReply has the reply of the command that has just run wait, which begins at a place in the
// connection's buffer.
func (c *session) deferReply(from int) {
	c.mustWait = false
	if c.deferred.long != nil {
		c.conn.Defer(wire.LongWait)
		return
	}
	c.deferred.changes = append(c.deferred.changes, change{c.request.command, from, len(c.reply.Buf)})
	c.conn.Defer(wire.ShortWait)
}

// cutReplies drops the replies from a place in the connection's buffer on, and all questions.
func (c *session) cutReplies(from int) {
	c.reply.Buf = c.reply.Buf[:min(from, len(c.reply.Buf))]
	c.questions.clear()
	d := &c.deferred
	d.long = nil
	for len(d.changes) > 0 && d.changes[len(d.changes)-1].end > len(c.reply.Buf) {
		d.changes = d.changes[:len(d.changes)-1]
	}
	if len(d.changes) > 0 {
		c.conn.Defer(wire.ShortWait)
	} else {
		c.conn.Defer(wire.NoWait)
	}
}

// Await starts the work that replies of some sessions wait for. Sessions that wait for the disk
// share one commit.
func (o owner) Await(waiting []wire.Session) {
	var batches []*engine.Batch
	var committed []*session
	for _, w := range waiting {
		switch c := w.(*session); {
		case c.questions.waiting():
			if c.questions.batch.Done == nil {
				c.questions.batch.Done = func() { wire.Ready(c.conn) }
			}
			batches = append(batches, &c.questions.batch)
		case c.deferred.long != nil:
			c.deferred.long.begin(c)
		default:
			committed = append(committed, c)
		}
	}
	if len(batches) > 0 {
		o.backend.Ask(batches...)
	}
	if len(committed) > 0 {
		o.replicator.Commit(func(err error) { o.committed(committed, err) })
	}
}

// commitAlarmPeriod is how often at most the log tells of changes that are not on disk.
const commitAlarmPeriod = time.Second

// committed tells sessions how their commit has ended.
func (s *Server) committed(sessions []*session, err error) {
	if err != nil {
		now, last := s.Now(), s.commitAlarm.Load()
		if now-last >= commitAlarmPeriod.Microseconds() && s.commitAlarm.CompareAndSwap(last, now) {
			s.logger.Error("changes are not on disk; they are answered with errors", "error", err)
		}
	}
	conns := make([]*wire.Conn, len(sessions))
	for i, c := range sessions {
		c.deferred.err, conns[i] = err, c.conn
	}
	wire.Ready(conns...)
}

func (l *longReply) begin(c *session) {
	l.abandon = l.find(func(reply func(*session)) {
		if l.isFound.CompareAndSwap(false, true) {
			l.reply = reply
			wire.Ready(c.conn)
		}
	})
}

// GiveUp replies to a long command that is not done, because the server ends.
func (c *session) GiveUp() bool {
	l := c.deferred.long
	if l == nil || l.giveUp == nil || !l.isFound.CompareAndSwap(false, true) {
		return false
	}
	l.reply = l.giveUp
	return true
}

// abandon ends the work for a long reply that is not needed any more.
func (d *deferred) abandon() {
	if d.long != nil && d.long.abandon != nil {
		d.long.abandon()
	}
	d.long = nil
}

// Resume writes the deferred replies.
func (c *session) Resume(early []byte) {
	switch l := c.deferred.long; {
	case c.questions.waiting():
		c.writeAnswers(early)
	case l != nil:
		c.reply.Raw(early)
		from := len(c.reply.Buf)
		if l.reply(c); l.silent {
			c.dropReply(from)
		}
		c.deferred.abandon()
		c.blocked.Store(false)
	default:
		c.writeChanges(early)
	}
}

// changesKept is how much room for changes a session keeps for the next replies that wait.
const changesKept = 64

// writeChanges writes the replies as they are, or, if the changes are not on disk, an error for each
// that tells of a change.
func (c *session) writeChanges(early []byte) {
	d, at := &c.deferred, 0
	if d.err != nil {
		for _, reply := range d.changes {
			c.reply.Raw(early[at:reply.start])
			c.failLate(reply.command, errNotOnDisk(d.err))
			at = reply.end
		}
	}
	c.reply.Raw(early[at:])
	if d.changes, d.err = d.changes[:0], nil; cap(d.changes) > changesKept {
		d.changes = nil
	}
}

// questionsMax is how many questions of a connection are under way at a time. One command may bring
// more.
const questionsMax = 1000

// questions are those that a session has for a backend, and the places of their answers among the
// session's replies. A nil questions is always empty.
type questions struct {
	batch   engine.Batch
	replies []awaited
}

// awaited is the reply to one command.
type awaited struct {
	command   *command
	at        int // its place among the early replies
	questions int // that it answers
	reset     bool
	silent    bool     // it is dropped
	keys      []string // that a client that tracks has read with it
	call      *call    // that the question asks, if any
}

// waiting says whether there are questions without an answer.
func (q *questions) waiting() bool { return q != nil && len(q.replies) > 0 }

// add adds a question, and says whether its answer is known.
func (q *questions) add(backend Backend, one engine.Question) (known bool) {
	q.batch.Questions = append(q.batch.Questions, one)
	last := &q.batch.Questions[len(q.batch.Questions)-1]
	if backend.Known(q.batch.Questions) {
		return true
	}
	last.Key = strings.Clone(one.Key)
	return false
}

// questionsKept is how much room for questions and replies is kept for the next ones.
const questionsKept = 64

func (q *questions) clear() {
	if q == nil {
		return
	}
	clear(q.batch.Questions)
	q.batch.Questions, q.replies = q.batch.Questions[:0], q.replies[:0]
	if cap(q.batch.Questions) > questionsKept {
		q.batch.Questions, q.replies = nil, nil
	}
}

// await has a reply wait that answers the last n questions.
func (c *session) await(n int, reset bool, asked *call) {
	c.questions.replies = append(c.questions.replies, awaited{c.request.command, len(c.reply.Buf), n, reset, c.silenced(), c.takeTracked(), asked})
	c.conn.Defer(wire.ShortWait)
}

// failLate replies the error of a command that is not the present one.
func (c *session) failLate(cmd *command, text string) {
	cmd.stats.Load().failed.Add(1)
	c.fail(text)
}

// writeAnswers writes all replies in order.
func (c *session) writeAnswers(early []byte) {
	at, next := 0, 0
	for _, w := range c.questions.replies {
		c.reply.Raw(early[at:w.at])
		from := len(c.reply.Buf)
		c.writeAnswer(w.command, c.questions.batch.Questions[next:next+w.questions], w.reset)
		if w.call != nil && c.questions.batch.Questions[next].Err == nil {
			c.countShadows(w.call)
		}
		if w.silent {
			c.dropReply(from)
		}
		c.invalidate(w.keys)
		at, next = w.at, next+w.questions
	}
	c.reply.Raw(early[at:])
	c.questions.clear()
}

// writeAnswer writes the reply to a command, which some questions answer together.
func (c *session) writeAnswer(to *command, questions []engine.Question, reset bool) {
	existed := 0
	for i := range questions {
		q := &questions[i]
		switch {
		case q.Err != nil:
			c.failLate(to, errDecision(q.Err))
			return
		case q.Call != nil:
			c.writeDecision(&q.Call.Decision)
		case !reset:
			c.writeDecision(&q.Decision)
		case q.Existed:
			existed++
		}
	}
	if reset {
		c.reply.Int(existed)
	}
}

// askBackend asks the request's question of the backend.
func (r *request) askBackend() {
	q := &r.question
	if err := q.algorithm.CheckLimit(&q.limit, r.server.config().MaxLogLimit); err != nil {
		r.fail(errDecision(err))
		return
	}
	r.putQuestion(engine.Question{Key: q.key, Op: q.op, Algorithm: q.algorithm, Limit: q.limit, Cost: q.cost})
}

// putQuestion asks the backend a question without a call.
func (r *request) putQuestion(q engine.Question) {
	if !r.questions.add(r.server.backend, q) {
		r.await(1, false, nil)
		return
	}
	last := len(r.questions.batch.Questions) - 1
	r.writeAnswer(r.command, r.questions.batch.Questions[last:], false)
	r.questions.batch.Questions = r.questions.batch.Questions[:last]
}

// askBackendCall asks a call of the backend. One limit that neither replaces another nor is a shadow is
// a question like those without a policy, and can be known.
func (r *request) askBackendCall(c *call) {
	c.prepare(r.now)
	for i := range c.pairs {
		c.pairs[i].key = "" // stands in the connection's buffer
	}
	if c.settled {
		r.writeDecision(&c.Decision)
		return
	}
	if p := &c.Parts[0]; len(c.Parts) == 1 && !p.Shadow && len(p.Formers) == 0 {
		r.putQuestion(engine.Question{Key: p.State, Op: c.Op, Algorithm: p.Algorithm, Limit: p.Limit, Cost: c.Cost})
		return
	}
	for i := range c.Parts {
		c.Parts[i].Key = ""       // stands there too
		c.Parts[i].Replaced = nil // a change reaches the servers of a backend one after the other anyhow
	}
	r.questions.batch.Questions = append(r.questions.batch.Questions, engine.Question{Call: &c.Call})
	r.await(1, false, c)
}

// resetInBackend has the backend reset keys.
func (r *request) resetInBackend(keys [][]byte) {
	for _, key := range keys {
		r.questions.add(r.server.backend, engine.Question{Key: resp.View(key), Reset: true})
	}
	r.await(len(keys), true, nil)
}
