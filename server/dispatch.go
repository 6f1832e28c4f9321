package server

import (
	"time"

	"github.com/rlserver/rlserver/server/wire"
)

// fastArgumentsMax is how many arguments a command with the flag "fast" can have and be so.
const fastArgumentsMax = 1000

// fastMicrosMax is longer than any command with the flag "fast" takes. Only when the slow log asks
// for times below it, all such commands are timed. A slow log that is off, −1, counts as above it.
const fastMicrosMax = 1000

// dispatch runs one command and writes its reply. It is the only way to a handler.
func (s *Server) dispatch(c *session, args [][]byte) wire.Outcome {
	cmd := s.table.find(args, c.lastCommand)
	switch {
	case cmd == nil:
		return c.reject(nil, s.table.errUnknown(args))
	case !cmd.fits(args):
		problem := errArity(cmd.fullName())
		if cmd.unnamed > 0 && c.mayAsk() {
			problem = s.orPolicy(problem, args)
		}
		return c.reject(cmd, problem)
	case !cmd.needsNoAuth && !c.mayAsk():
		return c.reject(cmd, errNoAuth)
	}
	if g := s.gates.gate.Load(); g != nil {
		if outcome, stopped := g.stop(c, cmd, args); stopped {
			return outcome
		}
	}
	switch {
	case s.backend != nil && cmd.needsStore:
		return c.reject(cmd, errNotHere(cmd, s.config().Backend))
	case c.restricted && c.restrict(cmd, args):
		return wire.Done
	case c.questions.waiting() && (!cmd.asksLimiter || len(c.questions.batch.Questions) >= questionsMax || len(args) > fastArgumentsMax):
		return wire.NotYet
	case c.conn.InLoop() && !c.executing && !cmd.fitsLoop(c, len(args)):
		return wire.TooLong
	case cmd.deferred && c.conn.Wait() != wire.NoWait:
		return wire.NotYet
	}
	c.count(cmd)
	if s.monitors.any() && !cmd.isPrivate {
		s.monitors.feed(c, args)
	}
	r := &c.request
	r.args, r.command = args, cmd
	if cmd.isFast && c.untimed < timedEvery && uint64(s.config().SlowlogThreshold) >= fastMicrosMax {
		c.untimed++
		cmd.run(r)
		return wire.Done
	}
	s.runTimed(cmd, r)
	return wire.Done
}

// runTimed runs a command and takes note of the time that it takes.
func (s *Server) runTimed(cmd *command, r *request) {
	c, args := r.session, r.args
	if cmd.isFast {
		c.untimed = 1
	}
	started := time.Now()
	cmd.run(r)
	took := time.Since(started)
	c.EndBatch() // so that the run itself is counted
	cmd.stats.Load().time(took)
	s.slowlog.note(c, cmd, args, took)
}

// fitsLoop says whether a command with n arguments may run in an event loop.
func (c *command) fitsLoop(of *session, n int) bool {
	if of.heavy && c.asksLimiter {
		return false
	}
	return c.isBrief && n <= fastArgumentsMax || c.briefWhen != nil && c.briefWhen(of)
}

// restrict handles a command of a session that is in a transaction, subscribed in RESP2, or tracks. It
// returns whether the command has been queued or refused. The order of the cases is Redis's.
func (c *session) restrict(cmd *command, args [][]byte) (done bool) {
	tx := c.transaction
	if c.tracking != nil {
		c.beginTracked(cmd, args)
	}
	switch {
	case tx != nil && cmd.refusedInMulti:
		c.reject(cmd, errNotInMulti)
	case !c.resp3() && c.subscriptions() > 0 && !cmd.whileSubscribed:
		c.reject(cmd, errWhileSubscribed(cmd))
	case tx == nil || cmd.runsInMulti:
		return false
	default:
		if problem := tx.add(cmd, args); problem != "" {
			c.reject(cmd, problem)
			break
		}
		c.last.Store(cmd)
		c.queued.Store(int32(len(tx.commands)))
		c.queuedBytes.Store(int64(tx.bytes))
		c.reply.Simple("QUEUED")
	}
	return true
}

// updateRestricted finds out whether commands go straight to their handlers. It is called whenever
// that may have changed.
func (c *session) updateRestricted() {
	c.restricted = c.transaction != nil || !c.executing && (c.tracking != nil || !c.resp3() && c.subscriptions() > 0)
}

// reject replies an error to a command that is not going to run. The transaction that it was to be
// in is not going to run either.
func (c *session) reject(cmd *command, text string) wire.Outcome {
	if cmd != nil {
		cmd.stats.Load().rejected.Add(1)
	}
	switch {
	case cmd != nil && cmd.endsTransaction:
		c.endTransaction()
		text = errExecRejected(text)
	case c.transaction != nil:
		c.transaction.broken = true
	}
	return c.fail(text)
}

// fail replies the error of a command that has run.
func (r *request) fail(text string) {
	r.command.stats.Load().failed.Add(1)
	r.session.fail(text)
}

// fail replies an error.
func (c *session) fail(text string) wire.Outcome {
	c.server.stats.errors.add(text)
	c.reply.Error(text)
	return wire.Done
}
