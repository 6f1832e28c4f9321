package wire

import "time"

// serveBatch runs the commands that have been read, and leaves the replies in Buf, to be sent in one
// write. It returns false when no more commands are to be read: the replies are the last. A command
// that may take too long is left in the framer, and slow is set; so it is at the end of a turn aside.
// When replies have to wait, commands may be left until then.
func (c *Conn) serveBatch() (more bool) {
	s := c.session
	s.BeginBatch()
serving:
	for !c.closed && !c.detaching && !c.carrier.full(c) {
		for key := c.framer.Ahead(); key != nil; key = c.framer.Ahead() {
			s.Expect(key)
		}
		args, found, err := c.framer.Next()
		if err != nil {
			c.protocolError(err)
			break
		}
		if !found {
			break
		}
		c.replyStart = len(c.Buf)
		switch s.Run(args) {
		case TooLong:
			c.framer.Unread()
			c.slow = true
			break serving
		case NotYet:
			c.framer.Unread()
			break serving
		case Done:
		}
		if c.wait == LongWait || len(c.Buf) >= outBytesFlush && c.wait != NoWait {
			break
		}
		c.FlushIfLong()
		if c.turnEnd != nil && c.wait == NoWait && time.Now().After(*c.turnEnd) {
			c.slow = true
			break
		}
	}
	s.EndBatch()
	return !c.closed
}

// unsentMax is how many bytes of replies may wait for a peer before no more are made for it.
func (c *Conn) unsentMax() int64 {
	if !c.framer.Trusted || c.server.unsent.Load() > unsentBytesMax {
		return outBytesFlush
	}
	return c.server.outputLimit.Load()
}

// protocolError ends a connection that has broken the protocol. Commands before the error have been
// answered; the error is the last answer.
func (c *Conn) protocolError(err error) {
	c.closed = true
	if reply := c.session.ProtocolError(err); reply != "" {
		c.Error(reply)
	}
}

// rescue is deferred around commands: a panic ends this connection and no other.
func (c *Conn) rescue() {
	problem := recover()
	if problem == nil {
		return
	}
	c.closed = true
	c.session.Panicked(problem)
	if c.wait == NoWait {
		_ = c.Flush()
	}
}
