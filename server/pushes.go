package server

import "sync"

// Pushes are what goes out to a connection without having been asked for: the lines of
// MONITOR and the messages of channels. Such a connection is detached from its event loop.
// A goroutine of its own reads and answers commands as ever, and another, which is there
// only while there is something to do, writes pushes. Whoever has a push leaves it in the
// queue and goes on: nobody ever waits for the peer but these two.
type pushes struct {
	client *client
	conn   *conn
	// writing is held by whoever writes to the connection: by the reader from a batch's
	// first command until its answers have gone out, so that pushes never stand within.
	writing sync.Mutex

	mu    sync.Mutex // the innermost lock; nothing is waited for under it
	queue []string   // oldest first
	bytes int        // that the queue takes
	state pushState
}

type pushState uint8

const (
	pushesHeld    pushState = iota // the connection is not out of its event loop yet
	pushesIdle                     // nothing waits, and nobody writes
	pushesWriting                  // writePushes is under way
	pushesEnded                    // nothing goes out any more
)

const (
	// pushBytesMax may wait for one connection. With more it is cut off. It is Redis's soft
	// limit for subscribers.
	pushBytesMax = 8 << 20
	// pushOverhead is what one push takes in the queue besides its text, in bytes. The text
	// itself may be shared with other connections.
	pushOverhead = 32
)

// detach takes the connection off the way of question and answer, if it is still on it.
func (r *request) detach() {
	if r.pushes == nil {
		r.pushes = &pushes{client: r.client, conn: r.wire}
		r.conn.Detach()
	}
}

// put leaves a push in the queue, and says whether it may arrive. what names the receiver
// for the log, if it has to be cut off.
func (p *pushes) put(push, what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.state == pushesEnded:
		return false
	case p.bytes+len(push)+pushOverhead > pushBytesMax:
		p.state, p.queue, p.bytes = pushesEnded, nil, 0
		go p.cutOff(what) // to close a connection of TLS can take time
		return false
	}
	p.queue = append(p.queue, push)
	p.bytes += len(push) + pushOverhead
	if p.state == pushesIdle {
		p.state = pushesWriting
		go p.write()
	}
	return true
}

func (p *pushes) cutOff(what string) {
	s := p.client.server
	s.stats.cutOff.Add(1)
	s.logger.Warn(what+" cut off: it does not read fast enough", "addr", p.client.addr, "bytes_waiting", pushBytesMax)
	p.client.kill()
}

// take takes the oldest pushes from the queue, about as much as is written at once. Only
// write, which is there once at most, lets it be known that nobody writes any more.
func (p *pushes) take(isWriter bool) (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, bytes := 0, 0
	for n < len(p.queue) && bytes < outBytesFlush {
		bytes += len(p.queue[n])
		n++
	}
	list, p.queue = p.queue[:n:n], p.queue[n:]
	p.bytes -= bytes + n*pushOverhead
	if len(p.queue) == 0 {
		p.queue = nil
		if isWriter && n == 0 && p.state == pushesWriting {
			p.state = pushesIdle
		}
	}
	return list
}

// write writes pushes until there are none.
func (p *pushes) write() {
	for p.writeSome() {
	}
}

func (p *pushes) writeSome() (more bool) {
	p.writing.Lock()
	defer p.writing.Unlock()
	list := p.take(true)
	for _, push := range list {
		p.conn.out = append(p.conn.out, push...)
	}
	if p.conn.flush() != nil {
		p.end()
		p.client.kill()
		return false
	}
	return len(list) > 0
}

// flushInto puts all that waits in front of the reply that is to be written now. It is for
// commands after which no push of a kind may come any more.
func (p *pushes) flushInto(c *client) {
	if p == nil {
		return
	}
	for list := p.take(false); len(list) > 0; list = p.take(false) {
		for _, push := range list {
			c.wire.out = append(c.wire.out, push...)
		}
	}
}

// begin lets pushes go out.
func (p *pushes) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == pushesHeld {
		p.state = pushesWriting
		go p.write()
	}
}

// end drops what waits, and whatever may come.
func (p *pushes) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.queue, p.bytes = pushesEnded, nil, 0
}

// serveDetached serves a connection that has been detached until it ends.
func (s *Server) serveDetached(c *client, conn *conn) {
	if c.link != nil {
		s.serveReplica(c, conn)
		return
	}
	p := c.pushes
	defer p.end()
	conn.detaching = false
	p.begin()
	for s.serveBetweenPushes(c, conn) {
		if err := conn.framer.fill(conn.nc); err != nil {
			p.writing.Lock()
			s.takeLeave(c, conn, err)
			p.writing.Unlock()
			return
		}
	}
}

// serveBetweenPushes answers the commands that have come so far. It returns false when no
// more are to be read; the last replies have gone out then.
func (s *Server) serveBetweenPushes(c *client, conn *conn) (more bool) {
	c.pushes.writing.Lock()
	defer c.pushes.writing.Unlock()
	defer func() {
		if !more {
			s.awaitAll(c, conn) // what a panic has left
			c.pushes.end()
			s.part(conn)
		}
	}()
	defer s.rescue(c, conn)
	return s.serveRead(c, conn)
}

// whileWaiting lets pushes go out while a connection waits for something else.
func (c *client) whileWaiting(wait func()) {
	if p := c.pushes; p != nil && !c.wire.detaching {
		p.writing.Unlock()
		defer p.writing.Lock()
	}
	wait()
}
