package link

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// The states of a link as ROLE names them, in the order in which it comes up.
const (
	stateConnect    = "connect" // waiting to connect
	stateConnecting = "connecting"
	stateSync       = "sync"
	stateConnected  = "connected"
)

// reconnectPause is the wait between two tries to connect.
const reconnectPause = time.Second

// dialTimeoutMax bounds how long connecting may last.
const dialTimeoutMax = 5 * time.Second

// A Replica is the replica's side of a link. It connects, asks to go on where this server is in
// a history or else for everything, and applies what comes. While everything comes it is loaded
// beside the store, and the old state stays until the new one is complete.
type Replica struct {
	Options
	Host string
	Port int

	// continued says that the store's state is that of the feed's position. The link's own
	// goroutine has it while it runs.
	continued bool
	ctx       context.Context
	cancel    context.CancelFunc
	done      chan struct{}

	state     atomic.Value // a string
	heard     atomic.Int64 // when the primary was heard of, ms since the Unix epoch
	down      atomic.Int64 // since when the link is down, likewise
	complaint atomic.Value // a string: the error that was logged last, while the link is down
	above     atomic.Pointer[[]string]
}

// Follow keeps a link to a primary up until End, or until the context ends. continued says that
// the store's state is that of the feed's position.
func Follow(ended context.Context, o Options, host string, port int, continued bool) *Replica {
	l := &Replica{Options: o, Host: host, Port: port, continued: continued, done: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(ended)
	l.state.Store(stateConnect)
	l.complaint.Store("")
	l.down.Store(time.Now().UnixMilli())
	go l.run()
	return l
}

// End ends the link, and waits until it touches nothing any more. It says whether the store's
// state is that of the feed's position.
func (l *Replica) End() (continued bool) {
	l.cancel()
	<-l.done
	return l.continued
}

// State tells how far the link is, as ROLE names that.
func (l *Replica) State() string { return l.state.Load().(string) }

// IsUp says whether the link is up and the full sync, if there was one, is done.
func (l *Replica) IsUp() bool { return l.State() == stateConnected }

// Addr is the primary's address.
func (l *Replica) Addr() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// Info tells what INFO shows of the link, by Redis's names.
func (l *Replica) Info(add func(name string, value any)) {
	up, now, offset := l.IsUp(), time.Now().UnixMilli(), l.Feed.Offset()
	status, sinceHeard, syncing := "down", int64(-1), 0
	if up {
		status, sinceHeard = "up", max(now-l.heard.Load(), 0)/1000
	}
	if l.State() == stateSync {
		syncing = 1
	}
	add("master_host", l.Host)
	add("master_port", l.Port)
	add("master_link_status", status)
	add("master_last_io_seconds_ago", sinceHeard)
	add("master_sync_in_progress", syncing)
	add("slave_read_repl_offset", offset)
	add("slave_repl_offset", offset)
	if !up {
		add("master_link_down_since_seconds", max(now-l.down.Load(), 0)/1000)
		if text := l.complaint.Load(); text != "" {
			add("master_link_error", text)
		}
	}
}

// run keeps the link up, once the server can say where it listens.
func (l *Replica) run() {
	defer close(l.done)
	select {
	case <-l.ctx.Done():
		return
	case <-l.Listening:
	}
	for {
		err := l.follow()
		l.state.Store(stateConnect)
		if l.ctx.Err() != nil {
			return
		}
		if text := err.Error(); l.complaint.Swap(text) != text {
			l.Logger.Warn("no link to the primary", "primary", l.Addr(), "error", err, "retry_in", reconnectPause)
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(reconnectPause):
		}
	}
}

// follow connects, and applies what comes until the link is down.
func (l *Replica) follow() error {
	l.state.Store(stateConnecting)
	ctx, cancel := context.WithTimeout(l.ctx, min(l.Tuning().Timeout, dialTimeoutMax))
	defer cancel()
	conn, err := l.Dial(ctx, l.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(l.ctx, func() { _ = conn.Close() })()
	p := &primaryConn{Conn: conn, link: l}
	p.in = bufio.NewReaderSize(p, handshakeLineMax)
	at, full, err := l.greet(p)
	if err != nil {
		return err
	}
	defer func() { l.down.Store(time.Now().UnixMilli()) }()
	frames := stream.NewFrameReader(p.in)
	if full {
		l.state.Store(stateSync)
		l.Logger.Info("full sync from the primary", "primary", l.Addr(), "history", at.ID, "offset", at.Offset)
		if at.Offset, err = l.loadAll(p, frames, at); err != nil {
			return err
		}
	} else {
		l.Feed.Rename(at.ID)
	}
	l.state.Store(stateConnected)
	l.complaint.Store("")
	l.Logger.Info("link to the primary is up", "primary", l.Addr(), "history", at.ID, "full_sync", full)
	return l.apply(p, frames, at.Offset)
}

// loadAll loads the primary's state beside the store's, and puts it in place when it is
// complete. It returns the offset of that state.
func (l *Replica) loadAll(p *primaryConn, frames *stream.FrameReader, at stream.Position) (offset int64, err error) {
	started := time.Now()
	loading := l.Feed.Load()
	loaded := uint64(0) // records of the snapshot
	for {
		f, err := frames.Next()
		if err != nil {
			return 0, err
		}
		l.Advance(f.Reading)
		switch f.Kind {
		case stream.FrameSnapshot, stream.FrameChanges:
			if f.Kind == stream.FrameChanges && f.Offset != at.Offset {
				return 0, fmt.Errorf("%w: frames at %d, expected at %d", stream.ErrGap, f.Offset, at.Offset)
			}
			before := loading.Records
			if err := stream.ReadRecords(f.Payload, loading); err != nil {
				return 0, err
			}
			if f.Kind == stream.FrameSnapshot {
				loaded += loading.Records - before
			}
			at.Offset = max(at.Offset, f.End())
		case stream.FrameEnd:
			if len(f.Payload) != 8 || binary.LittleEndian.Uint64(f.Payload) != loaded {
				return 0, fmt.Errorf("%w: a snapshot that lacks keys", stream.ErrFrame)
			}
			l.continued = false // until the feed knows
			if err := l.Feed.Install(loading, at); err != nil {
				return 0, err
			}
			l.continued = true
			l.Logger.Info("full sync done", "primary", l.Addr(), "records", loaded, "took", time.Since(started).Round(time.Millisecond))
			return at.Offset, p.acknowledge(at.Offset)
		case stream.FramePing:
		}
		if time.Since(p.acks) > pingInterval { // it is still here, and has nothing yet
			if err := p.acknowledge(0); err != nil {
				return 0, err
			}
		}
	}
}

// apply applies the stream from an offset on.
func (l *Replica) apply(p *primaryConn, frames *stream.FrameReader, offset int64) error {
	for {
		f, err := frames.Next()
		if err != nil {
			return err
		}
		l.Advance(f.Reading)
		switch {
		case f.Kind == stream.FramePing:
		case f.Kind != stream.FrameChanges || f.Offset != offset:
			l.continued = false
			return fmt.Errorf("%w: %v at %d, expected changes at %d", stream.ErrGap, f.Kind, f.Offset, offset)
		default:
			l.continued = false // while only a part is applied
			if err := l.Feed.Apply(f); err != nil {
				return err
			}
			l.continued = true
			offset = f.End()
		}
		if !frames.Buffered() {
			if err := p.acknowledge(offset); err != nil {
				return err
			}
		}
	}
}
