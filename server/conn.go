package server

import (
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
)

// conn is a redcon.Conn over a net.Conn: the framer reads, replies gather in out until a
// batch is done and leave in one write. It belongs to one goroutine; only writingSince is
// read by others.
type conn struct {
	nc       net.Conn
	addr     string
	framer   framer
	out      []byte
	context  any
	closed   bool // no further command is to be read
	detached bool
	// writingSince is when the write that is under way began (ns of the monotonic clock
	// since the server's start), or 0. A connection whose peer does not read is found by
	// it, without the price of a deadline on every write.
	writingSince atomic.Int64
	started      time.Time
}

// outBytesKept bounds the reply buffer that a connection keeps between batches, and
// outBytesFlush how much gathers before it is written within a batch.
const (
	outBytesKept  = 64 << 10
	outBytesFlush = 256 << 10
)

func newConn(nc net.Conn) *conn {
	return &conn{nc: nc, addr: nc.RemoteAddr().String(), started: time.Now()}
}

// flush writes the replies that have gathered.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	c.writingSince.Store(max(int64(time.Since(c.started)), 1))
	_, err := c.nc.Write(c.out)
	c.writingSince.Store(0)
	c.out = c.out[:0]
	if cap(c.out) > outBytesKept {
		c.out = nil
	}
	return err
}

// stuckFor is how long the write that is under way has been waiting for the peer.
func (c *conn) stuckFor() time.Duration {
	since := c.writingSince.Load()
	if since == 0 {
		return 0
	}
	return time.Since(c.started) - time.Duration(since)
}

// Close sends what has gathered and closes.
func (c *conn) Close() error {
	c.closed = true
	_ = c.flush() // the peer may be gone; closing is what matters
	return c.nc.Close()
}

func (c *conn) RemoteAddr() string       { return c.addr }
func (c *conn) Context() any             { return c.context }
func (c *conn) SetContext(v any)         { c.context = v }
func (c *conn) SetReadBuffer(int)        {}
func (c *conn) NetConn() net.Conn        { return c.nc }
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

// Detach takes the connection out of the server's loop. Whoever detaches owns it, and must
// close it.
func (c *conn) Detach() redcon.DetachedConn {
	c.detached = true
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
