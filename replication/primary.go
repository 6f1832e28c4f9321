package replication

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The primary's side of replication; a replica has it as well, for replicas of its own.
//
// A replica sends RL.SYNC version history offset. If it lacks nothing but what the backlog
// holds it is answered +CONTINUE history offset, else +FULLSYNC history offset; from then on
// frames go to it, and the offsets up to which it has them come back, eight bytes each,
// little-endian.
//
// A full sync is a dump of the store in snapshot frames, with frames of the stream between
// them, and an end. A dump takes its time, and a state that is told in the stream meanwhile
// may be older than the dump's of the same key: whatever has changed since is told in the
// stream. It must not be younger than what the dump tells later, so the stream is sent between
// two steps of the dump only.

// SyncVersion is the version of what is spoken between primary and replica.
const SyncVersion = 1

// pingInterval is how often a replica hears of a primary that has nothing to tell, and
// acknowledges that: well below a second, the least that min-replicas-max-lag can be.
const pingInterval = 300 * time.Millisecond

// A ReplicaLink is the connection of a replica that has sent RL.SYNC. IP and Port are where it
// says it listens.
type ReplicaLink struct {
	Conn    net.Conn
	IP      string
	Port    int
	Version int
	ID      string
	Offset  int64
}

// A replicaLink is a replica that is being served.
type replicaLink struct {
	ReplicaLink
	gone  chan struct{} // closed when nothing can be read any more
	place atomic.Int64  // up to where the stream was sent to it
	// offered is up to where it may have the stream: what is being sent can be acknowledged
	// before Write has returned.
	offered atomic.Int64
	acked   atomic.Int64 // up to where it has the stream
	heard   atomic.Int64 // when it was heard of, ms since the Unix epoch
	online  atomic.Bool  // it has what came before the stream
}

// replicas are those that are being served.
type replicas struct {
	mu      sync.Mutex
	list    []*replicaLink
	changed chan struct{} // closed, and replaced, when one has acknowledged more, or gone
	closed  bool

	full, partial, refused atomic.Int64 // syncs that were answered FULLSYNC and CONTINUE, and askings to continue that were not
}

func (r *replicas) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

func (r *replicas) all() []*replicaLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*replicaLink(nil), r.list...)
}

// add is false when no more are taken.
func (r *replicas) add(l *replicaLink) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.list = append(r.list, l)
	}
	return !r.closed
}

func (r *replicas) remove(l *replicaLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.list {
		if r.list[i] == l {
			r.list = append(r.list[:i:i], r.list[i+1:]...)
			break
		}
	}
	r.signal()
}

// signal tells who waits. mu is held.
func (r *replicas) signal() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// close ends all links, and takes no more.
func (r *replicas) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, l := range r.list {
		l.end()
	}
}

// dropAll ends all links. The replicas come back and are answered by what is so then.
func (r *replicas) dropAll() {
	for _, l := range r.all() {
		l.end()
	}
}

// good is how many have been heard of within a span.
func (r *replicas) good(within time.Duration) (n int) {
	since := time.Now().Add(-within).UnixMilli()
	for _, l := range r.all() {
		if l.online.Load() && l.heard.Load() >= since {
			n++
		}
	}
	return n
}

// acknowledged is how many have the stream up to an offset, and a channel that tells when to
// look again.
func (r *replicas) acknowledged(offset int64) (n int, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.list {
		if l.online.Load() && l.acked.Load() >= offset {
			n++
		}
	}
	return n, r.changed
}

// await waits until all replicas have the stream up to an offset, or a span is over.
func (r *replicas) await(offset int64, most time.Duration) {
	over := time.After(most)
	for {
		n, changed := r.acknowledged(offset)
		if n >= r.len() {
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		}
	}
}

// cutOff ends links with replicas that have not been heard of, or have lost their place.
func (r *replicas) cutOff(f *feed, timeout time.Duration) {
	since := time.Now().Add(-timeout).UnixMilli()
	for _, l := range r.all() {
		f.mu.Lock()
		lost := !f.backlog.holds(l.place.Load())
		f.mu.Unlock()
		switch {
		case lost:
			f.logger.Warn("replica cut off: it takes changes more slowly than they come, and the backlog has gone past it",
				"replica", l.name(), "remedy", "raise repl-backlog-size")
		case l.heard.Load() < since:
			f.logger.Warn("replica cut off: nothing was heard of it", "replica", l.name(), "for", timeout)
		default:
			continue
		}
		l.end()
	}
}

// end closes the connection, and does not wait for that: over TLS there is a last word to say,
// for which a replica that reads nothing has five seconds.
func (l *replicaLink) end() { go func() { _ = l.Conn.Close() }() }

func (l *replicaLink) name() string { return net.JoinHostPort(l.IP, fmt.Sprint(l.Port)) }

// ServeReplica serves a replica until it is gone, and closes its connection.
func (n *Node) ServeReplica(link ReplicaLink) {
	l := &replicaLink{ReplicaLink: link, gone: make(chan struct{})}
	l.heard.Store(time.Now().UnixMilli())
	defer func() { _ = l.Conn.Close() }()
	if problem := n.syncProblem(&link); problem != "" {
		_ = n.send(l, []byte("-"+problem+"\r\n"))
		return
	}
	at, full := n.admit(l)
	if !n.replicas.add(l) {
		return
	}
	defer n.replicas.remove(l)
	go l.listen(&n.replicas)
	word := "CONTINUE"
	if full {
		word = "FULLSYNC"
	}
	n.Logger.Info("replica connected", "replica", l.name(), "sync", word, "history", at.id, "offset", at.offset, "asked_history", link.ID, "asked_offset", link.Offset)
	err := n.send(l, fmt.Appendf(nil, "+%s %s %d\r\n", word, at.id, at.offset))
	if err == nil && full {
		err = n.sendDump(l, at)
	}
	if err == nil {
		l.online.Store(true)
		err = n.sendStream(l, at.id)
	}
	n.Logger.Info("replica disconnected", "replica", l.name(), "reason", err)
}

// syncProblem is why a replica cannot be served; empty if it can.
func (n *Node) syncProblem(link *ReplicaLink) string {
	if link.Version != SyncVersion {
		return fmt.Sprintf("ERR RL.SYNC version %d is not spoken here: accepted is %d; run the same version of rlserver on both sides", link.Version, SyncVersion)
	}
	if p := n.link.Load(); p != nil && p.state() != linkConnected {
		return "NOMASTERLINK Can't SYNC while not connected with my master"
	}
	return ""
}

// admit finds the place in the stream from which a replica is served.
func (n *Node) admit(l *replicaLink) (at position, full bool) {
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.link.Load() == nil {
		f.track(false)
	}
	f.serve()
	f.drain()
	at = f.at
	full = !f.continues(l.ID, l.Offset)
	if full {
		n.replicas.full.Add(1)
		if l.Offset >= 0 {
			n.replicas.refused.Add(1)
		}
	} else {
		n.replicas.partial.Add(1)
		at.offset = l.Offset
		l.acked.Store(l.Offset)
	}
	l.place.Store(at.offset)
	l.offered.Store(at.offset)
	return at, full
}

// send sends bytes, within the timeout.
func (n *Node) send(l *replicaLink, b []byte) error {
	_ = l.Conn.SetWriteDeadline(time.Now().Add(n.tuning.Load().Timeout)) // Write fails if this does
	_, err := l.Conn.Write(b)
	return err
}

// sendDump sends the state of the store, and the stream as far as it comes meanwhile.
func (n *Node) sendDump(l *replicaLink, at position) error {
	started := time.Now()
	keys, bytes := dumpKeysMin, 0 // of a step
	p := newPacker(frameSnapshot, at.offset, func(frames []byte, _ int64) error {
		bytes += len(frames)
		return n.send(l, frames)
	})
	// The stream is sent between two steps of the dump, behind all that was read so far. Within
	// a step states can be older than when it began: of keys that have moved, or were flushed.
	// The steps are as small as large logs need, for the stream waits for them.
	err := n.dumpSteps(p.add, keys, func() (int, error) {
		err := p.flush()
		if err == nil {
			_, err = n.sendSome(l, at.id)
		}
		if keys = min(2*keys, dumpKeys); bytes > emitBytes {
			keys = max(keys/4, dumpKeysMin)
		}
		bytes = 0
		return keys, err
	})
	if err == nil {
		err = p.end()
	}
	if err == nil {
		n.Logger.Info("full sync sent", "replica", l.name(), "keys", p.records, "took", time.Since(started).Round(time.Millisecond))
	}
	return err
}

// sendStream sends the stream until the replica is gone, or the stream is another.
func (n *Node) sendStream(l *replicaLink, id string) error {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for {
		grown, err := n.sendSome(l, id)
		if err != nil {
			return err
		}
		select {
		case <-grown:
		case <-ping.C:
			if err := n.send(l, appendFrame(nil, framePing, l.place.Load(), nil)); err != nil {
				return err
			}
		case <-l.gone:
			return io.EOF
		}
	}
}

// sendSome sends what there is of the stream behind the replica's place, and returns a channel
// that tells of more.
func (n *Node) sendSome(l *replicaLink, id string) (grown <-chan struct{}, err error) {
	f := n.feed
	for {
		f.mu.Lock()
		frames, end, ok := f.backlog.from(l.place.Load())
		ok = ok && f.at.id == id
		grown = f.grown
		f.mu.Unlock()
		switch {
		case !ok:
			return nil, errPlaceLost
		case len(frames) == 0:
			return grown, nil
		}
		l.offered.Store(end)
		if err := n.send(l, frames); err != nil {
			return nil, err
		}
		l.place.Store(end)
	}
}

// errPlaceLost is that a replica cannot be told what comes next.
var errPlaceLost = fmt.Errorf("replication: the backlog has gone past the replica, or the history has changed")

// listen takes in what a replica acknowledges.
func (l *replicaLink) listen(r *replicas) {
	defer close(l.gone)
	defer func() { _ = l.Conn.Close() }()
	var word [8]byte
	for {
		if _, err := io.ReadFull(l.Conn, word[:]); err != nil {
			return
		}
		l.heard.Store(time.Now().UnixMilli())
		offset := int64(binary.LittleEndian.Uint64(word[:]))
		if offset > l.offered.Load() {
			return // it cannot have what it was not sent
		}
		if offset > l.acked.Load() {
			l.acked.Store(offset)
		}
		r.mu.Lock()
		r.signal()
		r.mu.Unlock()
	}
}

// Wait calls done with how many replicas have all changes that were made before: when there
// are so many, or after the timeout, which is none if it is 0, or when it is abandoned.
func (n *Node) Wait(count int, timeout time.Duration, done func(acknowledged int)) (abandon func()) {
	wanted, abandon := context.WithCancel(n.ended)
	n.loops.Go(func() {
		defer abandon()
		offset := n.feed.settle()
		var over <-chan time.Time
		if timeout > 0 {
			over = time.After(timeout)
		}
		for {
			acknowledged, changed := n.replicas.acknowledged(offset)
			if acknowledged < count {
				select {
				case <-changed:
					continue
				case <-over:
				case <-wanted.Done():
				}
				acknowledged, _ = n.replicas.acknowledged(offset)
			}
			done(acknowledged)
			return
		}
	})
	return abandon
}
