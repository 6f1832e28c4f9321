package server

import "time"

// A verdict is what has become of a command.
type verdict uint8

const (
	dispatched verdict = iota
	tooLong            // nothing was done: it may take too long for where it is
	notYet             // nothing was done: commands before it wait for a remote
)

// dispatch runs one command and writes its reply. It is the only way to a handler.
func (s *Server) dispatch(c *client, args [][]byte) verdict {
	cmd := s.table.find(args, c.running)
	switch {
	case cmd == nil:
		s.reject(c, nil, errUnknownCommand(args))
		return dispatched
	case !cmd.fits(len(args)):
		s.reject(c, cmd, errArity(cmd.fullName()))
		return dispatched
	case !cmd.needsNoAuth && !c.mayAsk():
		s.reject(c, cmd, errNoAuth)
		return dispatched
	case cmd.writes && s.refusesWrite(c, cmd):
		return dispatched
	case s.remote != nil && cmd.needsStore:
		s.refuse(c, errNotHere(cmd, s.config().Backend))
		return dispatched
	case c.restricted && s.restrict(c, cmd, args):
		return dispatched
	case c.asked.waiting() && (!cmd.asksLimiter || c.asked.isFull() || len(args) > fastArgumentsMax):
		return notYet
	case c.hurried && (!cmd.isBrief || len(args) > fastArgumentsMax) && !cmd.isBriefNow(c):
		return tooLong
	case cmd.deferred && c.wire.waiting():
		return notYet
	}
	c.count(cmd)
	if s.monitors.any() && !cmd.isPrivate {
		s.monitors.feed(c, args)
	}
	r := &c.request
	r.args, r.command = args, cmd
	if threshold := s.config().SlowlogThreshold; threshold < 0 || cmd.isFast && threshold >= fastMicrosMax {
		cmd.run(r)
		return dispatched
	}
	started := time.Now()
	cmd.run(r)
	s.slowlog.note(c, args, time.Since(started))
	return dispatched
}

// fastArgumentsMax is how many arguments a command with the flag "fast" can have and be so.
const fastArgumentsMax = 1000

// fastMicrosMax is longer than any command with the flag "fast" takes. Such commands are
// timed only when the slow log asks for times below it: reading the clock twice would be
// a good part of what a check costs.
const fastMicrosMax = 1000

// refuse replies an error that dispatch found.
func (s *Server) refuse(c *client, text string) {
	s.stats.errors.Add(1)
	c.conn.WriteError(text)
}

// fail replies an error that a handler found.
func (r *request) fail(text string) { r.server.refuse(r.client, text) }

// refusesWrite refuses a command that writes, while such are refused.
func (s *Server) refusesWrite(c *client, cmd *command) bool {
	text := s.refusal.Load()
	if text == nil {
		return false
	}
	s.reject(c, cmd, *text)
	return true
}
