package server

import "time"

// dispatch runs one command and writes its reply. It is the only way to a handler. It
// returns false, with nothing done, if the command may take too long for where it is.
func (s *Server) dispatch(c *client, args [][]byte) bool {
	cmd := s.table.find(args, c.running)
	switch {
	case cmd == nil:
		s.refuse(c, errUnknownCommand(args))
		return true
	case !cmd.fits(len(args)):
		s.refuse(c, errArity(cmd.fullName()))
		return true
	case !cmd.needsNoAuth && !c.mayAsk():
		s.refuse(c, errNoAuth)
		return true
	case c.hurried && (!cmd.isBrief || len(args) > fastArgumentsMax):
		return false
	}
	c.count(cmd)
	if s.monitors.any() && !cmd.isPrivate {
		s.monitors.feed(c, args)
	}
	r := &c.request
	r.args, r.command = args, cmd
	if threshold := s.config().SlowlogThreshold; threshold < 0 || cmd.isFast && threshold >= fastMicrosMax {
		cmd.run(r)
		return true
	}
	started := time.Now()
	cmd.run(r)
	s.slowlog.note(c, args, time.Since(started))
	return true
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
