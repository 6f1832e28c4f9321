package server

import (
	"time"

	"github.com/rlserver/rlserver/server/wire"
)

// fastArgumentsMax is how many arguments a command with the flag "fast" can have and be so.
const fastArgumentsMax = 1000

// fastMicrosMax is longer than any command with the flag "fast" takes. Such commands are timed only
// when the slow log asks for times below it: to read the clock twice costs a good part of a check.
const fastMicrosMax = 1000

// dispatch runs one command and writes its reply. It is the only way to a handler.
func (s *Server) dispatch(c *session, args [][]byte) wire.Outcome {
	cmd, refusal := s.table.find(args, c.lastCommand), s.refusal.Load()
	switch {
	case cmd == nil:
		return c.reject(nil, errUnknownCommand(args))
	case !cmd.fits(len(args)):
		return c.reject(cmd, errArity(cmd.fullName()))
	case !cmd.needsNoAuth && !c.mayAsk():
		return c.reject(cmd, errNoAuth)
	case cmd.writes && refusal != nil:
		return c.reject(cmd, *refusal)
	case s.backend != nil && cmd.needsStore:
		return c.fail(errNotHere(cmd, s.config().Backend))
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
	if threshold := s.config().SlowlogThreshold; threshold < 0 || cmd.isFast && threshold >= fastMicrosMax {
		cmd.run(r)
		return wire.Done
	}
	started := time.Now()
	cmd.run(r)
	s.slowlog.note(c, args, time.Since(started))
	return wire.Done
}

// fitsLoop says whether a command with n arguments may run in an event loop.
func (c *command) fitsLoop(of *session, n int) bool {
	if of.heavy && c.asksLimiter {
		return false
	}
	return c.isBrief && n <= fastArgumentsMax || c.briefWhen != nil && c.briefWhen(of)
}

// restrict handles a command of a session that is in a transaction, or subscribed in RESP2. It
// returns whether the command has been queued or refused. The order of the cases is Redis's.
func (c *session) restrict(cmd *command, args [][]byte) (done bool) {
	tx := c.transaction
	switch {
	case cmd.subs != nil && len(args) > 1:
		c.reject(cmd, errUnknownSubcommand(cmd.name, args[1]))
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
		c.queued.Store(int32(len(tx.commands)))
		c.reply.Simple("QUEUED")
	}
	return true
}

// updateRestricted finds out whether commands go straight to their handlers. It is called whenever
// that may have changed.
func (c *session) updateRestricted() {
	c.restricted = c.transaction != nil || !c.executing && !c.resp3() && c.subscriptions() > 0
}

// reject replies an error to a command that is not going to run. The transaction that it was to be
// in is not going to run either.
func (c *session) reject(cmd *command, text string) wire.Outcome {
	switch {
	case cmd != nil && cmd.endsTransaction:
		c.endTransaction()
		text = errExecRejected(text)
	case c.transaction != nil:
		c.transaction.broken = true
	}
	return c.fail(text)
}

// fail replies an error.
func (c *session) fail(text string) wire.Outcome {
	c.server.stats.errors.Add(1)
	c.reply.Error(text)
	return wire.Done
}
