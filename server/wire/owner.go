package wire

// An Owner uses a Server, and knows what its commands mean.
type Owner interface {
	// Open makes the session of a connection that was accepted. With a nil session the connection is
	// closed, and refusal is the error that the peer gets. Open may be called by several goroutines.
	Open(c *Conn) (s Session, refusal string)
	// Full is the error that a peer gets when the process has no file descriptor left for its
	// connection, in place of Open.
	Full() (refusal string)
	// Await begins the work that the replies of some sessions wait for: one session, or all those
	// that defer replies in one turn of an event loop. It returns at once and does not keep the
	// slice. When the work for a connection is done, Ready is called for it.
	Await(waiting []Session)
	// Conns lists the connections that are open.
	Conns() []*Conn
}

// A Session is the owner's side of one connection. Its methods are called by the connection's
// carrier, never by two goroutines at once.
type Session interface {
	// BeginBatch comes before the commands that were read together, and EndBatch after them.
	BeginBatch()
	EndBatch()
	// Expect tells the second word of a command that comes soon, most likely a key, so that its
	// memory can be fetched meanwhile.
	Expect(key []byte)
	// Run runs a command and writes its reply to the connection, unless the outcome says that
	// nothing was done. args point into the connection's buffer.
	Run(args [][]byte) Outcome
	// Resume writes the deferred replies, when what they wait for is there. early are the replies
	// as they were when they had to wait.
	Resume(early []byte)
	// GiveUp ends a LongWait because the server ends. If it returns true, Resume can be called, and
	// Ready is not. Otherwise the wait goes on.
	GiveUp() bool
	// ProtocolError takes note that the peer has broken the protocol. The reply is the connection's
	// last; an empty one is not sent.
	ProtocolError(err error) (reply string)
	// Panicked is called while a command panics. It replaces the reply that was begun.
	Panicked(problem any)
	// Closed is called once, when the connection has ended.
	Closed()
}

// An Outcome says what has become of a command.
type Outcome uint8

// The outcomes.
const (
	Done    Outcome = iota
	TooLong         // nothing was done: it may take too long for an event loop
	NotYet          // nothing was done: the replies before it must have been sent
)
