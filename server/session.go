package server

import (
	"errors"
	"runtime/debug"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/server/resp"
	"github.com/rlserver/rlserver/server/wire"
)

// A session is what the server knows of one connection: its identity, its state,
// and the batch that is being answered. Its fields belong to the connection's goroutine; only the
// atomic fields of the identity are read by others.
type session struct {
	identity
	batch
	conn   *wire.Conn
	reply  *resp.Writer // the connection's
	server *Server

	authenticated bool
	executing     bool // EXEC
	// restricted: commands do not go straight to their handlers, but through restrict, because there
	// is a transaction, a subscription in RESP2, or tracking.
	restricted bool
	// attended: something follows each command, in attend.
	attended    bool
	silence     silence
	transaction *transaction // since MULTI
	tracking    *tracking    // nil: off
	// topics are the session's subscriptions. It changes them under the lock of pubsub.
	topics [topicKinds]map[string]struct{}
	// announced is the address that a replica has announced to listen on.
	announced config.Address
	request   request
}

// A batch is what is in flight: commands that were read together, and replies that wait.
type batch struct {
	now int64 // the instant at which the batch was read (µs)
	// holds is whether replies to changes must wait for the disk, as it was when the batch was read.
	// mustWait is whether the present command's reply must wait.
	holds, mustWait bool
	// heavy is whether a question has just taken long: the next ones step aside from the event loop.
	heavy   bool
	untimed uint16 // commands with the flag "fast" since the last one that was timed
	// lastCommand and runs count commands until they are added to the server's statistics: a counter that
	// every connection shares must not be touched for every command.
	lastCommand *command
	runs        uint64
	deferred    deferred
	questions   *questions // nil without a backend
}

// A request is one command as its handler sees it. It is reused for the next one.
type request struct {
	*session
	args    [][]byte
	command *command
	// question and decision stand here and not on a stack, from which a limiter's pointers to them
	// would send them to the heap.
	question question
	// parsed: question was made from the command that came last, or from one that it repeats.
	parsed   bool
	decision engine.Decision
	// call is a question about policies. It is good for one command, and its memory is used again.
	call *call
}

// An owner is the server as package wire sees it.
type owner struct{ *Server }

// Open makes the session of a connection, or says why the server does not serve it.
func (o owner) Open(conn *wire.Conn) (wire.Session, string) {
	o.stats.connections.Add(1)
	cfg := o.config()
	refusal := errMaxClients
	if cfg.ProtectedMode && cfg.RequirePass == "" && !conn.IsLocal() {
		refusal = errProtected
	} else if c := newSession(o.Server, conn, conn.RemoteAddr(), conn.LocalAddr()); o.sessions.add(c, cfg.MaxClients) {
		c.untimed = uint16(c.id % timedEvery) // or the first command of a connection would be timed too often
		return c, ""
	}
	o.stats.rejected.Add(1)
	return nil, refusal
}

// Full counts a connection that there is no descriptor for.
func (o owner) Full() string {
	o.stats.connections.Add(1)
	o.stats.rejected.Add(1)
	return errMaxClients
}

// Conns lists the connections of all sessions.
func (o owner) Conns() (list []*wire.Conn) {
	for _, c := range o.sessions.all() {
		list = append(list, c.conn)
	}
	return list
}

func newSession(s *Server, conn *wire.Conn, addr, laddr string) *session {
	now := s.Now()
	c := &session{
		conn:          conn,
		reply:         &conn.Writer,
		server:        s,
		authenticated: s.config().RequirePass == "",
		identity:      identity{created: now, addr: addr, laddr: laddr},
		batch:         batch{now: now},
	}
	c.request.session = c
	if s.backend != nil {
		c.questions = &questions{}
	}
	c.queued.Store(notQueueing)
	c.redirect.Store(-1)
	c.active.Store(now)
	return c
}

// mayAsk says whether the client may send commands: it has authenticated, or no password is needed
// now.
func (c *session) mayAsk() bool { return c.authenticated || c.server.config().RequirePass == "" }

func (c *session) resp3() bool { return c.reply.Protocol() == resp.RESP3 }

// arg is argument i as a string.
func (r *request) arg(i int) string { return string(r.args[i]) }

// BeginBatch reads the clock, once for all commands that were read together.
func (c *session) BeginBatch() {
	c.now = c.server.Now()
	c.active.Store(c.now)
	c.heavy = c.heavy && c.conn.InLoop() // a batch that has stepped aside shows whether it still is so
	c.holds = c.server.holds()
	c.conn.Trust(c.mayAsk())
}

// Expect has the limiter fetch a key that is asked for soon, most likely by the question that came last.
func (c *session) Expect(key []byte) {
	if p := c.server.prefetch; p == nil {
		return
	} else if r := &c.request; r.parsed && r.question.plan != nil {
		for i := range r.question.plan.Limits {
			p.PrefetchNamed(resp.View(key), &r.question.plan.Limits[i].Ending)
		}
	} else {
		p.Prefetch(resp.View(key))
	}
}

// Run runs a command.
func (c *session) Run(args [][]byte) wire.Outcome {
	c.request.parsed = c.request.parsed && c.conn.Repeats()
	outcome := c.outcomeOf(args)
	c.conn.Trust(c.mayAsk())
	return outcome
}

// EndBatch adds the commands run since the last time to the statistics.
func (c *session) EndBatch() {
	if c.runs > 0 {
		c.server.stats.commands.Add(c.runs)
		c.lastCommand.stats.Load().calls.Add(c.runs)
		c.runs = 0
	}
}

// count counts one run of a command.
func (c *session) count(cmd *command) {
	if c.lastCommand != cmd {
		c.change(cmd)
	}
	c.runs++
}

// change begins to count runs of another command. One that was never timed is timed now.
func (c *session) change(to *command) {
	c.EndBatch()
	c.lastCommand = to
	c.last.Store(to)
	if !to.stats.Load().isTimed() {
		c.untimed = timedEvery
	}
}

// ProtocolError takes note of a client that has broken the protocol. A client that speaks HTTP gets
// no answer.
func (c *session) ProtocolError(err error) (reply string) {
	c.server.stats.protocolErrors.Add(1)
	if errors.Is(err, resp.ErrCrossProtocol) {
		c.server.logger.Warn("connection closed: "+err.Error(), "addr", c.addr)
		return ""
	}
	c.server.logger.Debug("protocol error", "error", err, "addr", c.addr)
	text := "ERR " + err.Error()
	c.server.stats.errors.add(text)
	return text
}

// Panicked takes note of a handler's panic, and replaces its reply, which may be half written.
func (c *session) Panicked(problem any) {
	c.server.stats.panics.Add(1)
	c.server.logger.Error("panic in a command", "panic", problem, "addr", c.addr, "stack", string(debug.Stack()))
	c.mustWait = false
	c.cutReplies(c.conn.ReplyStart())
	if c.request.command == nil {
		c.fail(errPanic)
	} else {
		c.request.fail(errPanic)
	}
}

// Closed removes the session of a connection that has ended.
func (c *session) Closed() {
	c.EndBatch()
	c.deferred.abandon()
	c.setTracking(nil)
	c.server.monitors.remove(c)
	c.server.pubsub.unsubscribeAll(c)
	c.server.sessions.remove(c)
}

// push sends a message that is no reply, and says whether it may arrive. receiver names the session
// in the log, if it has to be cut off.
func (c *session) push(message, receiver string) bool {
	err := c.conn.Push(message)
	if errors.Is(err, wire.ErrCutOff) {
		go func() { // to close a connection with TLS can take time
			c.server.stats.cutOff.Add(1)
			c.server.logger.Warn(receiver+" cut off: it does not read fast enough", "addr", c.addr, "bytes_waiting", wire.PushBytesMax)
			c.conn.Kill()
		}()
	}
	return err == nil
}
