package wire

import (
	"math"
	"sync/atomic"
)

// What other goroutines can see of connections: the traffic of all, and the buffers of each.

// Traffic counts the bytes of all connections, and the system calls that moved them. Of TLS it
// counts the bytes inside. Connections that were handed over do not count.
type Traffic struct{ BytesIn, BytesOut, Reads, Writes atomic.Uint64 }

func (t *Traffic) read(bytes int) {
	t.BytesIn.Add(uint64(bytes))
	t.Reads.Add(1)
}

func (t *Traffic) wrote(bytes int) {
	t.BytesOut.Add(uint64(bytes))
	t.Writes.Add(1)
}

// Reset sets all to zero.
func (t *Traffic) Reset() {
	for _, counter := range []*atomic.Uint64{&t.BytesIn, &t.BytesOut, &t.Reads, &t.Writes} {
		counter.Store(0)
	}
}

// Buffers are the sizes of a connection's buffers, in bytes. A buffer that is lent to a connection
// while it is served counts only meanwhile.
type Buffers struct {
	Query, QueryFree int64 // input that has not been handed out, and room for more
	Reply            int64 // room for the replies of a batch
	Held             int64 // replies that are deferred, or that are being written by a goroutine
	Queued           int   // replies and pushes that the peer has not read, in so many pieces
	QueuedBytes      int64 // of Queued
	// Readable and Writable say for what the connection waits.
	Readable, Writable bool
}

// gauges are sizes of buffers that belong to the connection's goroutine, as they were at the end of
// its last batch.
type gauges struct{ query, queryFree, reply, early atomic.Uint32 }

// note sets the gauges. Most batches leave them as they are, and a store costs more than a load.
func (c *Conn) note() {
	set(&c.gauges.query, c.framer.Buffered())
	set(&c.gauges.queryFree, c.framer.Free())
	set(&c.gauges.reply, cap(c.Buf))
	set(&c.gauges.early, len(c.early))
}

// set sets a gauge, which has room for 4 GB less a byte.
func set(gauge *atomic.Uint32, value int) {
	if bytes := uint32(min(value, math.MaxUint32)); gauge.Load() != bytes {
		gauge.Store(bytes)
	}
}

// Buffers are the connection's buffers. Any goroutine may call it. For the connection's own, while a
// command runs, the command is part of the input.
func (c *Conn) Buffers(own bool) Buffers {
	var b Buffers
	if c.handle != nil { // it is in a test without a peer
		b = c.handle.buffers()
	}
	b.Held += int64(c.gauges.early.Load())
	if own {
		b.Query, b.QueryFree, b.Reply = int64(c.framer.Pending()), int64(c.framer.Free()), int64(cap(c.Buf))
	} else {
		b.Query, b.QueryFree = int64(c.gauges.query.Load()), int64(c.gauges.queryFree.Load())
		b.Reply = int64(c.gauges.reply.Load())
	}
	if p := c.pushes.Load(); p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		b.Queued += len(p.queue)
		b.QueuedBytes += int64(p.bytes)
	}
	return b
}
