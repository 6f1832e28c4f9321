package server

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// slowlog has the newest commands that took longer than a threshold. Only such a command takes its
// lock.
type slowlog struct {
	mu      sync.Mutex
	lastID  int64
	entries []slowEntry // oldest first
}

type slowEntry struct {
	id     int64
	at     int64 // s since the Unix epoch
	micros int64
	args   []string
	addr   string
	name   string
}

// The bounds on the arguments in an entry, as in Redis.
const (
	slowArgsMax     = 32
	slowArgBytesMax = 128
)

// note adds a command that took this long, if that is longer than the threshold.
func (l *slowlog) note(c *session, cmd *command, args [][]byte, took time.Duration) {
	cfg := c.server.config()
	if cfg.SlowlogThreshold < 0 || took.Microseconds() < cfg.SlowlogThreshold || cfg.SlowlogMaxLen == 0 || cmd.isPrivate {
		return
	}
	entry := slowEntry{at: c.now / 1_000_000, micros: took.Microseconds(), args: trimArgs(args), addr: c.addr, name: text(&c.name)}
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.id = l.lastID
	l.lastID++
	l.entries = append(l.entries, entry)
	if over := len(l.entries) - cfg.SlowlogMaxLen; over > 0 {
		l.entries = slices.Clone(l.entries[over:])
	}
}

// trimArgs copies the arguments, cut to the bounds above.
func trimArgs(args [][]byte) []string {
	var list []string
	for i, arg := range args {
		if i == slowArgsMax-1 && len(args) > slowArgsMax {
			return append(list, fmt.Sprintf("... (%d more arguments)", len(args)-i))
		}
		if over := len(arg) - slowArgBytesMax; over > 0 {
			list = append(list, fmt.Sprintf("%s... (%d more bytes)", arg[:slowArgBytesMax], over))
		} else {
			list = append(list, string(arg))
		}
	}
	return list
}

// newest copies up to n entries, the newest first; −1 is all.
func (l *slowlog) newest(n int) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > len(l.entries) {
		n = len(l.entries)
	}
	list := slices.Clone(l.entries[len(l.entries)-n:])
	slices.Reverse(list)
	return list
}

func cmdSlowlogGet(r *request) {
	count := int64(10)
	if len(r.args) > 3 {
		r.fail(errSlowlogGet)
		return
	}
	if len(r.args) == 3 {
		var ok bool
		if count, ok = wholeNumber(r.args[2]); !ok || count < -1 {
			r.fail(errSlowCount)
			return
		}
	}
	list := []any{}
	for _, e := range r.server.slowlog.newest(int(count)) {
		list = append(list, []any{e.id, e.at, e.micros, e.args, e.addr, e.name})
	}
	r.reply.Value(list)
}

func cmdSlowlogLen(r *request) { r.reply.Int(len(r.server.slowlog.newest(-1))) }

func cmdSlowlogReset(r *request) {
	l := &r.server.slowlog
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
	r.reply.OK()
}
