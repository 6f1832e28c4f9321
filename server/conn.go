package server

import (
	"io"
	"net"
	"slices"
	"time"

	"github.com/tidwall/redcon"
)

// conn is a redcon.Conn: the framer reads, replies gather in out until a batch is done and
// leave in one write. It belongs to one goroutine, its own or that of its event loop.
type conn struct {
	// carrier moves the bytes. It changes when the connection is detached from an event
	// loop; handle, by which other goroutines reach the connection, never does.
	carrier carrier
	handle  handle
	nc      net.Conn
	addr    string
	framer  framer
	out     []byte
	// answered is how much of out are answers to the commands before the present one.
	answered int
	asked    *asked // of a remote; nil where none decides
	pending  pending
	context  any
	closed   bool // no further command is to be read
	slow     bool // the next command may take long
	// detaching is whether the connection is about to leave the way of question and answer.
	detaching bool
}

// A carrier moves a connection's bytes.
type carrier interface {
	// flush writes the replies that have gathered. What the peer does not take at once
	// may stay in out; an error is the connection's end.
	flush(c *conn) error
	// full says whether so many replies wait for the peer that no more should be made.
	full(c *conn) bool
}

// A handle is what other goroutines may do to a connection.
type handle interface {
	// kill ends the connection at once.
	kill()
	// drain ends it when it has answered what comes within drainGrace.
	drain()
	// dropIfStuck ends the connection, and calls dropped, if replies wait for the peer and it
	// has taken none for longer than so. It finds out between two calls. It returns whether
	// the connection has something to do, if only to wait for the peer.
	dropIfStuck(after time.Duration, dropped func()) (busy bool)
}

// The bounds on replies.
const (
	outBytesKept  = 64 << 10  // of buffer that is kept between batches
	outBytesFlush = 256 << 10 // that gather before they are written within a batch
	// unsentBytesMax of all event loops' connections may wait for their peers before each is
	// held to outBytesFlush. The bound of one is a setting, output-buffer-limit.
	unsentBytesMax = 64 << 20
)

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	c.answered = 0 // of what is in out from now on
	return c.carrier.flush(c)
}

// Close makes the replies that have gathered the connection's last.
func (c *conn) Close() error {
	c.closed = true
	return nil
}

// NetConn is good for its addresses only: the bytes of an event loop's connections do not
// pass through it.
func (c *conn) NetConn() net.Conn { return c.nc }

func (c *conn) RemoteAddr() string       { return c.addr }
func (c *conn) Context() any             { return c.context }
func (c *conn) SetContext(v any)         { c.context = v }
func (c *conn) SetReadBuffer(int)        {}
func (c *conn) WriteError(msg string)    { c.out = redcon.AppendError(c.out, msg) }
func (c *conn) WriteString(str string)   { c.out = redcon.AppendString(c.out, str) }
func (c *conn) WriteBulk(bulk []byte)    { c.out = redcon.AppendBulk(c.out, bulk) }
func (c *conn) WriteBulkString(b string) { c.out = redcon.AppendBulkString(c.out, b) }
func (c *conn) WriteInt(num int)         { c.out = redcon.AppendInt(c.out, int64(num)) }
func (c *conn) WriteInt64(num int64)     { c.out = redcon.AppendInt(c.out, num) }
func (c *conn) WriteUint64(num uint64)   { c.out = redcon.AppendUint(c.out, num) }
func (c *conn) WriteArray(count int)     { c.out = redcon.AppendArray(c.out, count) }
func (c *conn) WriteNull()               { c.out = redcon.AppendNull(c.out) }
func (c *conn) WriteRaw(data []byte)     { c.out = append(c.out, data...) }
func (c *conn) WriteAny(v any)           { c.out = redcon.AppendAny(c.out, v) }

// WriteBulkFrom writes n bytes of r as one bulk string.
func (c *conn) WriteBulkFrom(n int64, r io.Reader) {
	bulk := make([]byte, n)
	if _, err := io.ReadFull(r, bulk); err != nil {
		c.WriteError("ERR " + err.Error())
		return
	}
	c.WriteBulk(bulk)
}

// ReadPipeline takes the commands that have been read already and not handed out.
func (c *conn) ReadPipeline() []redcon.Command {
	var commands []redcon.Command
	for {
		args, whole, err := c.framer.next()
		if !whole || err != nil {
			return commands // a protocol error shows itself again when it is its turn
		}
		commands = append(commands, copyCommand(args))
	}
}

// PeekPipeline looks at them and leaves them.
func (c *conn) PeekPipeline() []redcon.Command {
	ahead := c.framer
	ahead.buf, ahead.spans, ahead.args = slices.Clone(ahead.buf), slices.Clone(ahead.spans), nil
	return (&conn{framer: ahead}).ReadPipeline()
}

func copyCommand(args [][]byte) redcon.Command {
	command := redcon.Command{Args: make([][]byte, len(args))}
	command.Raw = redcon.AppendArray(nil, len(args))
	for i, arg := range args {
		command.Raw = redcon.AppendBulk(command.Raw, arg)
		command.Args[i] = slices.Clone(arg)
	}
	return command
}

// Detach takes the connection off the way of question and answer: it is served by
// serveDetached from when the batch is done.
func (c *conn) Detach() redcon.DetachedConn {
	c.detaching = true
	return detachedConn{c}
}

type detachedConn struct{ *conn }

func (d detachedConn) Flush() error { return d.flush() }

// ReadCommand waits for the next command.
func (d detachedConn) ReadCommand() (redcon.Command, error) {
	for {
		args, whole, err := d.framer.next()
		if err != nil {
			return redcon.Command{}, err
		}
		if whole {
			return copyCommand(args), nil
		}
		if err := d.framer.fill(d.nc); err != nil {
			return redcon.Command{}, err
		}
	}
}
