package server

import "github.com/rlserver/rlserver/server/wire"

// What is done after each command of a session that has asked for it: to drop its reply, and to tell
// of the keys that it has read (tracking.go). Other sessions only look whether there is something to
// do.

// A silence drops replies. Pushes are no replies.
type silence struct {
	off  bool    // CLIENT REPLY OFF
	skip forNext // CLIENT REPLY SKIP
	// pushed is up to where the connection's buffer has pushes among the present reply.
	pushed uint32
}

// A forNext is said by one command of the one behind it.
type forNext uint8

// It is said of none, of the next command, or of the present one.
const (
	forNone forNext = iota
	saidOfNext
	saidOfThis
)

// passed is what is left of it when a command has run.
func (f forNext) passed() forNext {
	if f == saidOfNext {
		return saidOfThis
	}
	return forNone
}

// silenced says whether the reply of the present command is to be dropped.
func (c *session) silenced() bool { return c.silence.off || c.silence.skip == saidOfThis }

// attend is called when a command has run.
func (c *session) attend() {
	if c.silenced() {
		if c.deferred.long == nil { // a long reply is dropped when it comes
			c.mustWait = false
		}
		c.dropReply(c.conn.ReplyStart())
	}
	c.silence.skip = c.silence.skip.passed()
	if c.mustWait {
		c.deferReply(c.conn.ReplyStart())
	}
	if c.tracking != nil {
		c.endTracked()
	}
	c.silence.pushed = 0
	c.attended = c.silence != silence{} || c.tracking != nil
}

// dropReply drops the reply that begins at a place in the connection's buffer, but no pushes.
func (c *session) dropReply(from int) {
	c.reply.Buf = c.reply.Buf[:min(max(from, int(c.silence.pushed)), len(c.reply.Buf))]
}

// keepPushes has what is in the connection's buffer kept when the present reply is dropped.
func (c *session) keepPushes() { c.silence.pushed = uint32(len(c.reply.Buf)) }

// flushPushes puts the pushes that wait in front of the present reply.
func (c *session) flushPushes() {
	c.conn.FlushPushes()
	c.keepPushes()
}

// cmdClientReply has replies dropped: all from now on, or the next one. It replies only when it turns
// them on.
func cmdClientReply(r *request) {
	switch lower(r.args[2]) {
	case "on":
		r.silence.off, r.silence.skip = false, forNone
		r.reply.OK()
	case "off":
		r.silence.off = true
	case "skip":
		if !r.silence.off {
			r.silence.skip = saidOfNext
		}
	default:
		r.fail(errSyntax)
	}
	r.silence.pushed, r.attended = 0, true
}

// outcomeOf runs the command that has been read, and what follows it.
func (c *session) outcomeOf(args [][]byte) wire.Outcome {
	outcome := c.server.dispatch(c, args)
	switch {
	case c.attended && outcome == wire.Done:
		c.attend()
	case c.attended: // it is run anew, and so the client is told anew
		c.reply.Buf = c.reply.Buf[:min(c.conn.ReplyStart(), len(c.reply.Buf))]
	case c.mustWait:
		c.deferReply(c.conn.ReplyStart())
	}
	return outcome
}
