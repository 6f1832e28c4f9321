package server

import (
	"strconv"

	"github.com/rlserver/rlserver/engine"
)

// Replies that redcon has no helper for: those that differ between RESP2 and RESP3. RESP2
// gets a map as the flat array of its pairs, a set as an array, and null as a null bulk.

func (c *client) resp3() bool { return c.protocol.Load() == 3 }

// header writes the head of an aggregate of n elements.
func (c *client) header(kind byte, n int) {
	b := strconv.AppendInt(append(c.scratch[:0], kind), int64(n), 10)
	c.conn.WriteRaw(append(b, '\r', '\n'))
}

// writeMap announces n pairs of key and value.
func (c *client) writeMap(n int) {
	if c.resp3() {
		c.header('%', n)
	} else {
		c.conn.WriteArray(2 * n)
	}
}

// writeSet announces n distinct elements.
func (c *client) writeSet(n int) {
	if c.resp3() {
		c.header('~', n)
	} else {
		c.conn.WriteArray(n)
	}
}

// writePush announces n elements of what a subscriber is told.
func (c *client) writePush(n int) {
	if c.resp3() {
		c.header('>', n)
	} else {
		c.conn.WriteArray(n)
	}
}

func (c *client) writeNull() {
	if c.resp3() {
		c.conn.WriteRaw([]byte("_\r\n"))
	} else {
		c.conn.WriteNull()
	}
}

// writeText writes text for people, such as INFO: verbatim in RESP3, so that redis-cli
// prints it as it is.
func (c *client) writeText(s string) {
	if c.resp3() {
		c.header('=', len(s)+4)
		c.conn.WriteRaw([]byte("txt:" + s + "\r\n"))
	} else {
		c.conn.WriteBulkString(s)
	}
}

func (c *client) writeStrings(list []string) {
	c.conn.WriteArray(len(list))
	for _, s := range list {
		c.conn.WriteBulkString(s)
	}
}

func (c *client) writeOK() { c.conn.WriteString("OK") }

// writeDecision writes the six integers, the same in RESP2 and RESP3.
func (c *client) writeDecision(d *engine.Decision) {
	allowed := int64(0)
	if d.Allowed {
		allowed = 1
	}
	retry := int64(-1)
	if d.RetryAfter != engine.Never {
		retry = ceilMillis(d.RetryAfter)
	}
	b := append(c.scratch[:0], "*6\r\n"...)
	for _, n := range [...]int64{allowed, d.Limit, d.Remaining, retry, ceilMillis(d.ResetAfter), ceilMillis(d.Delay)} {
		b = append(b, ':')
		b = strconv.AppendInt(b, n, 10)
		b = append(b, '\r', '\n')
	}
	c.conn.WriteRaw(b)
}
