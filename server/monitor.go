package server

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
)

// monitors are the connections that see every command. A check only looks at a counter to
// know that there are none.
type monitors struct {
	count atomic.Int32
	mu    sync.Mutex
	lines map[*client]chan string
}

// monitorLinesMax is how many lines may wait for a monitor that reads slowly. One more, and
// it is cut off: nobody's check waits for a monitor.
const monitorLinesMax = 1 << 14

func (m *monitors) any() bool { return m.count.Load() > 0 }

// add makes a client a monitor and returns the channel with its lines.
func (m *monitors) add(c *client) <-chan string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lines == nil {
		m.lines = map[*client]chan string{}
	}
	lines := make(chan string, monitorLinesMax)
	m.lines[c] = lines
	m.count.Store(int32(len(m.lines)))
	c.monitor.Store(true)
	return lines
}

// remove ends a client's monitoring, if it was one; its channel is closed.
func (m *monitors) remove(c *client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(c)
}

func (m *monitors) drop(c *client) {
	lines, found := m.lines[c]
	if !found {
		return
	}
	delete(m.lines, c)
	m.count.Store(int32(len(m.lines)))
	c.monitor.Store(false)
	close(lines)
}

// feed shows a command to every monitor.
func (m *monitors) feed(c *client, args [][]byte) {
	line := monitorLine(c, args)
	m.mu.Lock()
	defer m.mu.Unlock()
	for monitor, lines := range m.lines {
		select {
		case lines <- line:
		default:
			c.server.logger.Warn("monitor cut off: it does not read fast enough", "addr", monitor.addr)
			m.drop(monitor)
			monitor.kill()
		}
	}
}

// monitorLine is Redis's form: the instant, database and address, the words in quotes.
func monitorLine(c *client, args [][]byte) string {
	b := fmt.Appendf(nil, "+%d.%06d [0 %s]", c.now/1_000_000, c.now%1_000_000, c.addr)
	for _, arg := range args {
		b = append(b, ' ')
		b = appendQuoted(b, arg)
	}
	return string(append(b, '\r', '\n'))
}

// appendQuoted quotes as redis-cli does, so that a line can be pasted back into it.
func appendQuoted(b, word []byte) []byte {
	b = append(b, '"')
	for _, c := range word {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\a':
			b = append(b, '\\', 'a')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c < ' ' || c > '~':
			b = append(b, '\\', 'x')
			if c < 16 {
				b = append(b, '0')
			}
			b = strconv.AppendUint(b, uint64(c), 16)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// cmdMonitor makes the connection a monitor. It is detached from the server's loop, because
// from now on lines go out whenever there are some, not only in answer to commands.
func cmdMonitor(r *request) {
	r.writeOK()
	if r.monitor.Load() {
		return
	}
	if r.detached == nil {
		r.detached = r.conn.Detach()
	}
	r.lines = r.server.monitors.add(r.client)
	r.newLines = r.lines
}

// serveDetached serves a connection that is, or was, a monitor: one goroutine reads
// commands, another writes lines.
func (s *Server) serveDetached(c *client, conn *conn) {
	if c.link != nil {
		s.serveReplica(c, conn)
		return
	}
	var writing sync.Mutex // whoever holds it may write to the connection
	defer s.monitors.remove(c)
	for !conn.closed {
		if c.newLines != nil { // the reply to MONITOR has gone out
			go c.writeLines(&writing, c.newLines)
			c.newLines = nil
		}
		cmd, err := c.detached.ReadCommand()
		writing.Lock()
		if err != nil {
			s.takeLeave(c, conn, err)
			writing.Unlock()
			return
		}
		c.beginBatch()
		conn.answered = len(conn.out)
		s.dispatch(c, cmd.Args)
		c.flushRuns()
		s.awaitAll(c, conn)
		err = c.detached.Flush()
		writing.Unlock()
		if err != nil {
			return
		}
	}
}

// writeLines writes lines until their channel is closed, as many at once as are there.
func (c *client) writeLines(writing *sync.Mutex, lines <-chan string) {
	unsent := 0 // bytes
	for line := range lines {
		writing.Lock()
		if c.lines != lines { // RESET was answered before this line's turn came
			writing.Unlock()
			return
		}
		c.detached.WriteRaw([]byte(line))
		var err error
		if unsent += len(line); len(lines) == 0 || unsent >= outBytesFlush {
			err = c.detached.Flush()
			unsent = 0
		}
		writing.Unlock()
		if err != nil {
			c.kill()
		}
	}
}
