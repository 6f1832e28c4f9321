package wire

import (
	"errors"
	"sync"
)

// Pushes are messages to a connection that are no replies: the lines of MONITOR and the messages of
// channels. Such a connection is detached from its event loop. A goroutine of its own reads and
// answers commands as ever. Another goroutine writes pushes, and exists only while there are some.
// A goroutine that has a push leaves it in the queue and goes on. Only these two ever wait for the
// peer.
type pushes struct {
	conn *Conn
	// writing is held by the goroutine that writes to the connection: by the reader from a batch's
	// first command until its answers have gone out, so that pushes never stand between them.
	writing sync.Mutex

	mu    sync.Mutex // the innermost lock; nothing is waited for under it
	queue []string   // oldest first
	bytes int        // that the queue takes
	state pushState
}

type pushState uint8

const (
	pushesHeld    pushState = iota // the connection has not left its event loop yet
	pushesIdle                     // the queue is empty, and no goroutine writes
	pushesWriting                  // write is under way
	pushesEnded                    // nothing goes out any more
)

const (
	// PushBytesMax may wait for one connection. With more it is cut off. This is Redis's soft limit
	// for subscribers.
	PushBytesMax = 8 << 20
	// pushOverhead is what one push takes in the queue besides its text, in bytes. The text itself
	// may be shared with other connections.
	pushOverhead = 32
)

// The reasons why a push does not reach a connection.
var (
	ErrPushesEnded = errors.New("wire: the connection gets no pushes any more")
	ErrCutOff      = errors.New("wire: the connection does not read its pushes")
)

// Detach takes the connection out of its event loop when the batch has been answered, so that it can
// get pushes.
func (c *Conn) Detach() {
	if c.pushes.Load() == nil {
		c.pushes.Store(&pushes{conn: c})
		c.detaching = true
	}
}

// Detached says whether Detach was called.
func (c *Conn) Detached() bool { return c.pushes.Load() != nil }

// Push sends a message, which is encoded already, to a detached connection. It never waits. When
// more than PushBytesMax would wait, the result is ErrCutOff, once, and the caller is to kill the
// connection. Any goroutine may call it.
func (c *Conn) Push(message string) error { return c.pushes.Load().put(message) }

// FlushPushes puts all pushes that wait in front of the reply that is to be written now. It is for
// commands after which no push of a kind may follow.
func (c *Conn) FlushPushes() {
	if p := c.pushes.Load(); p != nil {
		for list := p.oldest(false); len(list) > 0; list = p.oldest(false) {
			for _, push := range list {
				c.Buf = append(c.Buf, push...)
			}
		}
	}
}

func (p *pushes) put(push string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.state == pushesEnded:
		return ErrPushesEnded
	case p.bytes+len(push)+pushOverhead > PushBytesMax:
		p.state, p.queue, p.bytes = pushesEnded, nil, 0
		return ErrCutOff
	}
	p.queue = append(p.queue, push)
	p.bytes += len(push) + pushOverhead
	if p.state == pushesIdle {
		p.state = pushesWriting
		go p.write()
	}
	return nil
}

// oldest removes the oldest pushes from the queue, about as much as is written at once. Only write,
// of which there is one at most, makes the state idle.
func (p *pushes) oldest(isWriter bool) (list []string) {
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
	list := p.oldest(true)
	for _, push := range list {
		p.conn.Buf = append(p.conn.Buf, push...)
	}
	if p.conn.Flush() != nil {
		p.end()
		p.conn.Kill()
		return false
	}
	return len(list) > 0
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

// end drops the queue, and every push that follows.
func (p *pushes) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.queue, p.bytes = pushesEnded, nil, 0
}

// serveDetached serves a detached connection until it ends.
func (c *Conn) serveDetached(st *stream) {
	p := c.pushes.Load()
	defer p.end()
	c.detaching = false
	p.begin()
	for c.serveBetweenPushes(st) {
		if err := c.fill(); err != nil {
			p.writing.Lock()
			c.endOfInput(err)
			p.writing.Unlock()
			return
		}
	}
}

// serveBetweenPushes answers the commands that have been read. It returns false when no more are to
// be read; the last replies have gone out then.
func (c *Conn) serveBetweenPushes(st *stream) (more bool) {
	p := c.pushes.Load()
	p.writing.Lock()
	defer p.writing.Unlock()
	defer func() {
		if !more {
			c.awaitAll(st) // replies before a panic
			p.end()
			c.part()
		}
	}()
	defer c.rescue()
	return c.serveRead(st)
}

// betweenPushes lets pushes go out while the connection waits.
func (c *Conn) betweenPushes(wait func()) {
	if p := c.pushes.Load(); p != nil && !c.detaching {
		p.writing.Unlock()
		defer p.writing.Lock()
	}
	wait()
}
