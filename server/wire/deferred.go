package wire

// Replies may have to wait: until the changes that they tell of are on disk, for the answers of a
// backend, or for work that takes its time (WAIT, SAVE). Meanwhile no reply is sent and no further
// command runs, so that replies stay in order.

// A Wait says for how long the replies of a connection wait, if they do.
type Wait uint8

// The waits.
const (
	NoWait Wait = iota
	// ShortWait ends by itself soon, so the connection is not watched meanwhile. Commands that have
	// been read run before it begins.
	ShortWait
	// LongWait may last. It begins at once, and ends when the peer leaves.
	LongWait
)

// Defer has the replies in Buf wait, or says that they need not. A session calls it while a command
// runs.
func (c *Conn) Defer(w Wait) { c.wait = w }

// Wait says whether replies in Buf have to wait.
func (c *Conn) Wait() Wait { return c.wait }

// Ready says that the wait of some connections is over. They belong to one call of Owner.Await. Any
// goroutine may call it, once for each connection and call.
func Ready(conns ...*Conn) { conns[0].handle.ready(conns) }

// earlyBytesKept is how much buffer a connection keeps for the next replies that wait.
const earlyBytesKept = 4 << 10

// suspend puts the replies aside until their wait is over.
func (c *Conn) suspend() {
	c.early = append(c.early[:0], c.Buf...)
	c.Buf = c.Buf[:0]
}

// resume has the session write the replies, when their wait is over.
func (c *Conn) resume() {
	c.wait = NoWait
	c.session.Resume(c.early)
	c.dropEarly()
}

// abandonWait ends a wait because the peer has left. It may still read the replies before.
func (c *Conn) abandonWait() {
	c.wait, c.closed = NoWait, true
	c.Raw(c.early)
	c.dropEarly()
}

func (c *Conn) dropEarly() {
	if c.early = c.early[:0]; cap(c.early) > earlyBytesKept {
		c.early = nil
	}
}
