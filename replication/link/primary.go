package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// The primary's side of a link; a replica has it as well, for replicas of its own.
//
// A replica sends RL.SYNC version history offset. If it lacks nothing but what the backlog
// holds it is answered +CONTINUE history offset, else +FULLSYNC history offset. From then on
// frames go to it, and the offsets up to which it has them come back, eight bytes each,
// little-endian.
//
// A full sync is a dump of the store in snapshot frames, with frames of the stream between
// them, and an end. A dump lasts a while, and a state that is told in the stream meanwhile
// may be older than the dump's of the same key: whatever has changed since is told in the
// stream. It must not be younger than what the dump tells after it, so the stream is sent
// between two steps of the dump only.

// A SyncRequest is the connection of a replica that has sent RL.SYNC Version ID Offset. IP and
// Port are where the replica says it listens.
type SyncRequest struct {
	Conn    net.Conn
	IP      string
	Port    int
	Version int
	ID      string
	Offset  int64
}

// A Primary serves replicas.
type Primary struct {
	Options
	ended context.Context
	// upstream is the link to this server's own primary; nil on a primary.
	upstream func() *Replica
	waits    sync.WaitGroup

	mu      sync.Mutex
	list    []*servedReplica
	changed chan struct{} // closed, and replaced, when one has acknowledged more, or gone
	closed  bool

	// How many syncs were answered FULLSYNC and CONTINUE, and how many that wished to continue
	// were not.
	full, partial, refused atomic.Int64
}

// NewPrimary serves replicas until the context ends. upstream is the link to this server's own
// primary, nil if it has none.
func NewPrimary(ended context.Context, o Options, upstream func() *Replica) *Primary {
	return &Primary{Options: o, ended: ended, upstream: upstream, changed: make(chan struct{})}
}

// Serve serves a replica until it is gone, and closes its connection.
func (p *Primary) Serve(request SyncRequest) {
	r := &servedReplica{SyncRequest: request, gone: make(chan struct{})}
	r.heard.Store(time.Now().UnixMilli())
	defer func() { _ = r.Conn.Close() }()
	if problem := p.syncProblem(&request); problem != "" {
		_ = p.send(r, []byte("-"+problem+"\r\n"))
		return
	}
	at, full := p.join(r)
	if !p.add(r) {
		return
	}
	defer p.remove(r)
	go r.listen(p)
	word := "CONTINUE"
	if full {
		word = "FULLSYNC"
	}
	p.Logger.Info("replica connected", "replica", r.name(), "sync", word, "history", at.ID, "offset", at.Offset, "asked_history", r.ID, "asked_offset", r.Offset)
	err := p.send(r, fmt.Appendf(nil, "+%s %s %d\r\n", word, at.ID, at.Offset))
	if err == nil && full {
		err = p.sendDump(r, at)
	}
	if err == nil {
		r.online.Store(true)
		err = p.sendStream(r, at.ID)
	}
	p.Logger.Info("replica disconnected", "replica", r.name(), "reason", err)
}

// syncProblem is why a replica cannot be served; empty if it can.
func (p *Primary) syncProblem(r *SyncRequest) string {
	if r.Version != SyncVersion {
		return fmt.Sprintf("ERR RL.SYNC version %d is not spoken here: accepted is %d; run the same version of rlserver on both sides", r.Version, SyncVersion)
	}
	if up := p.upstream(); up != nil && !up.IsUp() {
		return "NOMASTERLINK Can't SYNC while not connected with my master"
	}
	return ""
}

// join finds the place in the stream from which a replica is served.
func (p *Primary) join(r *servedReplica) (at stream.Position, full bool) {
	p.Feed.Lock()
	defer p.Feed.Unlock()
	if p.upstream() == nil {
		p.Feed.Track(false)
	}
	at, full = p.Feed.Join(r.ID, r.Offset)
	if full {
		p.full.Add(1)
		if r.Offset >= 0 {
			p.refused.Add(1)
		}
	} else {
		p.partial.Add(1)
		r.acked.Store(r.Offset)
	}
	r.place.Store(at.Offset)
	r.offered.Store(at.Offset)
	return at, full
}

// send sends bytes, within the timeout.
func (p *Primary) send(r *servedReplica, b []byte) error {
	_ = r.Conn.SetWriteDeadline(time.Now().Add(p.Tuning().Timeout)) // Write fails if this does
	_, err := r.Conn.Write(b)
	return err
}

// The bounds on a step of a dump that is sent to a replica. The stream waits for the step, so
// it has as few keys as large logs need.
const (
	stepKeysMin  = 16
	stepKeysMax  = 1000
	stepBytesMax = 512 << 10
)

// sendDump sends the state of the store, and the stream as far as it comes meanwhile.
func (p *Primary) sendDump(r *servedReplica, at stream.Position) error {
	started := time.Now()
	keys, bytes := stepKeysMin, 0 // of a step
	out := stream.NewPacker(stream.FrameSnapshot, at.Offset, p.Feed.Now, func(frames []byte, _ int64) error {
		bytes += len(frames)
		return p.send(r, frames)
	})
	// The stream is sent between two steps of the dump, behind all that was read so far. Within
	// a step states can be older than when it began: of keys that have moved, or were flushed.
	err := p.Feed.DumpSteps(out, keys, func() (int, error) {
		err := out.Flush()
		if err == nil {
			_, err = p.sendSome(r, at.ID)
		}
		if keys = min(2*keys, stepKeysMax); bytes > stepBytesMax {
			keys = max(keys/4, stepKeysMin)
		}
		bytes = 0
		return keys, err
	})
	if err == nil {
		err = out.End()
	}
	if err == nil {
		p.Logger.Info("full sync sent", "replica", r.name(), "records", out.Records, "took", time.Since(started).Round(time.Millisecond))
	}
	return err
}

// sendStream sends the stream until the replica is gone, or the history is another.
func (p *Primary) sendStream(r *servedReplica, id string) error {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for {
		grown, err := p.sendSome(r, id)
		if err != nil {
			return err
		}
		select {
		case <-grown:
		case <-ping.C:
			if err := p.send(r, stream.AppendFrame(nil, stream.FramePing, r.place.Load(), p.Feed.Now(), nil)); err != nil {
				return err
			}
		case <-r.gone:
			return io.EOF
		}
	}
}

// sendSome sends what there is of the stream behind the replica's place, and returns a channel
// that tells of more.
func (p *Primary) sendSome(r *servedReplica, id string) (grown <-chan struct{}, err error) {
	for {
		frames, end, grown, ok := p.Feed.Read(id, r.place.Load())
		switch {
		case !ok:
			return nil, errPlaceLost
		case len(frames) == 0:
			return grown, nil
		}
		r.offered.Store(end)
		if err := p.send(r, frames); err != nil {
			return nil, err
		}
		r.place.Store(end)
	}
}

// errPlaceLost is that a replica cannot be told what comes next.
var errPlaceLost = errors.New("replication: the backlog has gone past the replica, or the history has changed")
