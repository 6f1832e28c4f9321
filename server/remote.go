package server

import (
	"strings"

	"github.com/rlserver/rlserver/engine"
)

// A Remote decides elsewhere, in a place that many servers can ask and that takes its time to
// answer. Commands that have come together leave together, and a connection reads no more
// until they are answered, so that its replies are in order.
type Remote interface {
	// Known answers a question at once if that needs no asking. It is told of every question
	// before that is asked, in the order in which a connection asks. The key may stand in a
	// buffer that is reused.
	Known(q *engine.Question) bool
	// Ask has batches answered, and returns at once.
	Ask(batches ...*engine.Batch)
	// Info tells what INFO shows of it.
	Info(add func(name string, value any))
}

// DecideElsewhere has a remote decide in place of the limiter, which is left to what the
// remote uses it for. tune is told of the configuration, now and whenever it has changed. It
// comes before Serve.
func (s *Server) DecideElsewhere(remote Remote, tune func(*Config)) {
	s.remote, s.prefetch = remote, nil
	s.tune = func(cfg *Config) error { tune(cfg); return nil }
	_ = s.changeConfig(func(*Config) bool { return true })
}

// askedMax is how many questions of a connection are under way at a time. One command may
// bring more.
const askedMax = 1000

// asked are the questions of one connection that a remote is to answer, and where in the
// connection's replies their answers belong. A nil asked is for ever empty.
type asked struct {
	conn    *conn
	batch   engine.Batch
	replies []awaited
}

// awaited is the reply to one command.
type awaited struct {
	at        int // before this byte of the early replies
	questions int // that it answers
	reset     bool
}

// waiting says whether there are questions that have not been answered to the client.
func (a *asked) waiting() bool { return a != nil && len(a.replies) > 0 }

func (a *asked) isFull() bool { return len(a.batch.Questions) >= askedMax }

// add adds a question, and says whether its answer is known.
func (a *asked) add(remote Remote, q engine.Question) (known bool) {
	a.batch.Questions = append(a.batch.Questions, q)
	last := len(a.batch.Questions) - 1
	if remote.Known(&a.batch.Questions[last]) {
		return true
	}
	a.batch.Questions[last].Key = strings.Clone(q.Key)
	return false
}

// await has a reply that answers the last n questions wait for them.
func (a *asked) await(n int, reset bool) {
	a.replies = append(a.replies, awaited{len(a.conn.out), n, reset})
}

// answer writes all replies in order.
func (a *asked) answer(c *client) {
	early := a.conn.pending.early
	at, next := 0, 0
	for _, w := range a.replies {
		c.conn.WriteRaw(early[at:w.at])
		c.writeAnswer(a.batch.Questions[next:next+w.questions], w.reset)
		at, next = w.at, next+w.questions
	}
	c.conn.WriteRaw(early[at:])
	a.clear()
}

// askedKept is how much room for questions and replies is kept for the next ones.
const askedKept = 64

func (a *asked) clear() {
	clear(a.batch.Questions)
	a.batch.Questions, a.replies = a.batch.Questions[:0], a.replies[:0]
	if cap(a.batch.Questions) > askedKept {
		a.batch.Questions, a.replies = nil, nil
	}
}

// writeAnswer writes the reply that some questions answer together.
func (c *client) writeAnswer(questions []engine.Question, reset bool) {
	existed := 0
	for i := range questions {
		q := &questions[i]
		switch {
		case q.Err != nil:
			c.server.refuse(c, errDecision(q.Err))
			return
		case !reset:
			c.writeDecision(&q.Decision)
		case q.Existed:
			existed++
		}
	}
	if reset {
		c.conn.WriteInt(existed)
	}
}

// askElsewhere asks the request's question of the remote.
func (r *request) askElsewhere(o engine.Op) {
	q := &r.question
	if err := q.algorithm.CheckLimit(&q.limit, r.server.config().MaxLogLimit); err != nil {
		r.fail(errDecision(err))
		return
	}
	if !r.asked.add(r.server.remote, engine.Question{Key: q.key, Op: o, Algorithm: q.algorithm, Limit: q.limit, Cost: q.cost}) {
		r.asked.await(1, false)
		return
	}
	last := len(r.asked.batch.Questions) - 1
	r.writeAnswer(r.asked.batch.Questions[last:], false)
	r.asked.batch.Questions = r.asked.batch.Questions[:last]
}

// resetElsewhere has the remote forget keys.
func (r *request) resetElsewhere(keys [][]byte) {
	for _, key := range keys {
		r.asked.add(r.server.remote, engine.Question{Key: unsafeString(key), Reset: true})
	}
	r.asked.await(len(keys), true)
}

// awaitAnswers asks what a connection with a goroutine of its own has gathered, and waits.
func (s *Server) awaitAnswers(conn *conn) {
	done := make(chan struct{})
	conn.asked.batch.Done = func() { close(done) }
	s.remote.Ask(&conn.asked.batch)
	<-done
}
