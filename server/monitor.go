package server

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rlserver/rlserver/server/resp"
)

// monitors are the sessions that see every command. A check reads only a counter when there are
// none.
type monitors struct {
	count atomic.Int32
	mu    sync.Mutex
	all   map[*session]struct{}
}

func (m *monitors) any() bool { return m.count.Load() > 0 }

// add makes a session a monitor.
func (m *monitors) add(c *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[c] = struct{}{}
	m.count.Store(int32(len(m.all)))
	c.monitor.Store(true)
}

// remove ends a session's monitoring, if it was a monitor.
func (m *monitors) remove(c *session) {
	if !c.monitor.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, c)
	m.count.Store(int32(len(m.all)))
	c.monitor.Store(false)
}

// feed shows a command to every monitor.
func (m *monitors) feed(c *session, args [][]byte) {
	line := monitorLine(c, args)
	m.mu.Lock()
	defer m.mu.Unlock()
	for monitor := range m.all {
		monitor.push(line, "monitor")
	}
}

// monitorLine is Redis's form: the instant, database and address, the words in quotes.
func monitorLine(c *session, args [][]byte) string {
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
		escape := strings.IndexByte(resp.Escaped, c)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case escape >= 0:
			b = append(b, '\\', resp.EscapeLetters[escape])
		case c < ' ' || c > '~':
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// cmdMonitor makes the connection a monitor. It is detached from its event loop, because from now on
// lines go out whenever there are some, not only in answer to commands.
func cmdMonitor(r *request) {
	if r.executing {
		r.fail(errMonitorInExec)
		return
	}
	r.reply.OK()
	r.conn.Detach()
	r.server.monitors.add(r.session)
}
