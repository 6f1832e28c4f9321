package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// The replica's side of replication. A link connects, asks to go on where the node is in a
// history or else for everything, and applies what comes. While everything comes it is loaded
// aside, and the old state stays until the new one is whole.

// A linkState is what ROLE tells of a link to a primary.
type linkState int32

const (
	linkConnect linkState = iota // waiting to connect
	linkConnecting
	linkSync
	linkConnected
)

func (s linkState) String() string {
	return [...]string{"connect", "connecting", "sync", "connected"}[s]
}

// reconnectPause is the wait between two tries to connect.
const reconnectPause = time.Second

// handshakeLineMax bounds a line of a primary's answers, in bytes.
const handshakeLineMax = 1024

// A primaryLink is the link of a replica to its primary.
type primaryLink struct {
	node *Node
	host string
	port int
	// continued says that the store's state is that of the feed's position. The link's own
	// goroutine has it while it runs.
	continued bool
	ctx       context.Context
	cancel    context.CancelFunc
	done      chan struct{}

	status   atomic.Int32 // a linkState
	heard    atomic.Int64 // when the primary was heard of, ms since the Unix epoch
	down     atomic.Int64 // since when the link is down, likewise
	complain string       // what was last logged
}

func (l *primaryLink) state() linkState { return linkState(l.status.Load()) }

// becomeReplica follows a primary. role is held, and the feed's mu.
func (n *Node) becomeReplica(host string, port int, continued bool) {
	l := &primaryLink{node: n, host: host, port: port, continued: continued, done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(n.ended)
	l.down.Store(time.Now().UnixMilli())
	n.link.Store(l)
	n.judge() // nothing is written from here on, but what is under way
	if n.feed.tracking {
		n.feed.untrack()
	}
	n.feed.serve()
	n.RoleChanged(true)
	n.Logger.Info("this server is a replica", "primary", l.addr(), "history", n.feed.at.id, "offset", n.feed.at.offset, "continues", continued)
	n.loops.Go(l.run)
}

// becomePrimary takes over. role is held.
func (n *Node) becomePrimary(l *primaryLink) {
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fork()
	if !l.continued {
		f.past = position{}
	}
	f.track(true)
	n.link.Store(nil)
	n.RoleChanged(false)
	n.judge()
	n.Logger.Info("this server is a primary", "history", f.at.id, "offset", f.at.offset, "continues_history", f.past.id)
}

// Follow makes the node a replica, or with an empty host a primary. The new role is visible
// when it returns; the connection comes later.
func (n *Node) Follow(host string, port int) error {
	n.role.Lock()
	defer n.role.Unlock()
	old := n.link.Load()
	switch {
	case n.ended.Err() != nil:
		return errClosing
	case old != nil:
		old.end()
	case host == "":
		return nil
	}
	n.replicas.dropAll() // what they were told of this node is no longer so
	if host == "" {
		n.becomePrimary(old)
		return nil
	}
	n.feed.mu.Lock()
	defer n.feed.mu.Unlock()
	// What a primary has admitted last may be in no replica's history. So it does not ask to
	// continue one, but for everything.
	n.becomeReplica(host, port, old != nil && old.continued)
	return nil
}

// end ends the link, and waits until it touches nothing any more.
func (l *primaryLink) end() {
	l.cancel()
	<-l.done
}

func (l *primaryLink) addr() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }

// run keeps the link up, once the node can say where it listens.
func (l *primaryLink) run() {
	defer close(l.done)
	select {
	case <-l.ctx.Done():
		return
	case <-l.node.listening:
	}
	for {
		err := l.follow()
		l.status.Store(int32(linkConnect))
		if l.ctx.Err() != nil {
			return
		}
		l.complainOf(err)
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(reconnectPause):
		}
	}
}

// complainOf logs why there is no link, once for each reason.
func (l *primaryLink) complainOf(err error) {
	if text := err.Error(); text != l.complain {
		l.complain = text
		l.node.Logger.Warn("no link to the primary", "primary", l.addr(), "error", err, "retry_in", reconnectPause)
	}
}

// follow connects, and applies what comes until it does not.
func (l *primaryLink) follow() error {
	t := l.node.tuning.Load()
	l.status.Store(int32(linkConnecting))
	ctx, cancel := context.WithTimeout(l.ctx, min(t.Timeout, dialTimeoutMax))
	defer cancel()
	conn, err := l.node.Dial(ctx, l.addr())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(l.ctx, func() { _ = conn.Close() })()
	p := &primaryConn{Conn: conn, node: l.node}
	at, full, err := l.greet(p, t)
	if err != nil {
		return err
	}
	defer func() { l.down.Store(time.Now().UnixMilli()) }()
	frames := newFrameReader(p)
	if full {
		l.status.Store(int32(linkSync))
		l.node.Logger.Info("full sync from the primary", "primary", l.addr(), "history", at.id, "offset", at.offset)
		if err := l.loadAll(p, frames, at); err != nil {
			return err
		}
	} else {
		l.node.feed.rename(at.id)
	}
	l.status.Store(int32(linkConnected))
	l.complain = ""
	l.node.Logger.Info("link to the primary is up", "primary", l.addr(), "history", at.id, "full_sync", full)
	return l.apply(p, frames)
}

// dialTimeoutMax bounds how long a connection may take to come up.
const dialTimeoutMax = 5 * time.Second

// A primaryConn is a connection to a primary on which reading and writing do not wait for
// ever.
type primaryConn struct {
	net.Conn
	node *Node
	acks time.Time // when something was last acknowledged
}

func (p *primaryConn) Read(b []byte) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(p.node.tuning.Load().Timeout)) // Read fails if this does
	n, err := p.Conn.Read(b)
	if n > 0 {
		if l := p.node.link.Load(); l != nil {
			l.heard.Store(time.Now().UnixMilli())
		}
	}
	return n, err
}

func (p *primaryConn) Write(b []byte) (int, error) {
	_ = p.SetWriteDeadline(time.Now().Add(p.node.tuning.Load().Timeout))
	return p.Conn.Write(b)
}

// acknowledge tells the primary up to where this node has the stream.
func (p *primaryConn) acknowledge(offset int64) error {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(offset))
	p.acks = time.Now()
	_, err := p.Write(word[:])
	return err
}

// ask sends a command and returns the line that answers it.
func (p *primaryConn) ask(words ...string) (string, error) {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := p.Write(b); err != nil {
		return "", err
	}
	line := make([]byte, 0, 64)
	for !strings.HasSuffix(string(line), "\r\n") {
		if len(line) == handshakeLineMax {
			return "", errNoPrimary
		}
		// A byte at a time, so that nothing of what follows is read.
		var one [1]byte
		if _, err := io.ReadFull(p, one[:]); err != nil {
			return "", err
		}
		line = append(line, one[0])
	}
	answer := strings.TrimSpace(string(line))
	if strings.HasPrefix(answer, "+") {
		return answer[1:], nil
	}
	if strings.HasPrefix(answer, "-") {
		return "", fmt.Errorf("replication: the primary answers %s: %s", words[0], answer[1:])
	}
	return "", errNoPrimary
}

// errNoPrimary is that what answers is no primary of rlserver.
var errNoPrimary = errors.New("replication: what listens there does not answer as an rlserver does")

// greet introduces this node, and asks for the stream.
func (l *primaryLink) greet(p *primaryConn, t *Tuning) (at position, full bool, err error) {
	if t.Password != "" {
		words := []string{"AUTH", t.Password}
		if t.User != "" {
			words = []string{"AUTH", t.User, t.Password}
		}
		if _, err := p.ask(words...); err != nil {
			return at, false, err
		}
	}
	port := t.AnnouncePort
	if port == 0 {
		port = l.node.ListenPort()
	}
	introduction := []string{"REPLCONF", "listening-port", strconv.Itoa(port)}
	if t.AnnounceIP != "" {
		introduction = append(introduction, "ip-address", t.AnnounceIP)
	}
	if _, err := p.ask(introduction...); err != nil {
		return at, false, err
	}
	id, offset := "?", int64(-1)
	if l.continued {
		f := l.node.feed
		f.mu.Lock()
		id, offset = f.at.id, f.at.offset
		f.mu.Unlock()
	}
	answer, err := p.ask("RL.SYNC", strconv.Itoa(SyncVersion), id, strconv.FormatInt(offset, 10))
	if err != nil {
		return at, false, err
	}
	var word string
	if n, err := fmt.Sscanf(answer, "%s %s %d", &word, &at.id, &at.offset); err != nil || n != 3 || len(at.id) != idBytes || at.offset < 0 {
		return at, false, errNoPrimary
	}
	switch {
	case word == "FULLSYNC":
		return at, true, nil
	case word == "CONTINUE" && l.continued && at.offset == offset:
		return at, false, nil
	}
	return at, false, errNoPrimary
}

// loadAll loads the primary's state aside and puts it in place when it is whole.
func (l *primaryLink) loadAll(p *primaryConn, frames *frameReader, at position) error {
	n, started := l.node, time.Now()
	loader := n.Store.Load()
	loaded := uint64(0)
	for {
		f, err := frames.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case frameSnapshot, frameChanges:
			if f.kind == frameChanges && f.offset != at.offset {
				return fmt.Errorf("%w: frames at %d, expected at %d", errGap, f.offset, at.offset)
			}
			now := n.Now() - staleMicros
			err := readChanges(f.payload, func(c *engine.Change) error {
				if f.kind == frameSnapshot {
					loaded++
				}
				return loader.Apply(c, now)
			})
			if err != nil {
				return err
			}
			at.offset = max(at.offset, f.end())
		case frameEnd:
			if len(f.payload) != 8 || binary.LittleEndian.Uint64(f.payload) != loaded {
				return fmt.Errorf("%w: a snapshot that lacks keys", errFrame)
			}
			l.continued = false // until the feed knows
			n.generation.Add(1) // on both sides, or a dump could begin or end between the two
			loader.Done()
			n.generation.Add(1)
			n.feed.replace(at, n.dumpBase)
			l.continued = true
			n.Logger.Info("full sync done", "primary", l.addr(), "keys", loaded, "took", time.Since(started).Round(time.Millisecond))
			return p.acknowledge(at.offset)
		case framePing, frameKindEnd:
		}
		if time.Since(p.acks) > pingInterval { // it is still here, and has nothing yet
			if err := p.acknowledge(0); err != nil {
				return err
			}
		}
	}
}

// take applies a frame, and has it in this server's stream as well.
func (l *primaryLink) take(f frame, whole []byte) error {
	n := l.node
	n.applying.Lock()
	defer n.applying.Unlock()
	records, now := 0, n.Now()-staleMicros
	l.continued = false // while only a part is applied
	err := readChanges(f.payload, func(c *engine.Change) error {
		records++
		return n.Store.Apply(c, now)
	})
	if err != nil {
		return err
	}
	n.feed.accept(whole, f.end(), records)
	l.continued = true
	return nil
}

// apply applies the stream.
func (l *primaryLink) apply(p *primaryConn, frames *frameReader) error {
	n := l.node
	n.feed.mu.Lock()
	at := n.feed.at.offset
	n.feed.mu.Unlock()
	var whole []byte
	for {
		f, err := frames.next()
		if err != nil {
			return err
		}
		switch {
		case f.kind == framePing:
		case f.kind != frameChanges || f.offset != at:
			l.continued = false
			return fmt.Errorf("%w: %v at %d, expected changes at %d", errGap, f.kind, f.offset, at)
		default:
			whole = appendFrame(whole[:0], f.kind, f.offset, f.payload)
			if err := l.take(f, whole); err != nil {
				return err
			}
			at = f.end()
		}
		if !frames.buffered() {
			if err := p.acknowledge(at); err != nil {
				return err
			}
		}
	}
}
