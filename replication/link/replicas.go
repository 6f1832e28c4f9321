package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// A servedReplica is a replica that is being served.
type servedReplica struct {
	SyncRequest
	gone  chan struct{} // closed when nothing can be read any more
	place atomic.Int64  // up to where the stream was sent to it
	// offered is up to where it may have the stream: what is being sent can be acknowledged
	// before Write has returned.
	offered atomic.Int64
	acked   atomic.Int64 // up to where it has the stream
	heard   atomic.Int64 // when it was heard of, ms since the Unix epoch
	online  atomic.Bool  // the full sync is done, or there was none
}

// end closes the connection in the background: over TLS there is a last word to say, for which
// a replica that reads nothing has five seconds.
func (r *servedReplica) end() { go func() { _ = r.Conn.Close() }() }

func (r *servedReplica) name() string { return net.JoinHostPort(r.IP, fmt.Sprint(r.Port)) }

// listen reads what the replica acknowledges.
func (r *servedReplica) listen(p *Primary) {
	defer close(r.gone)
	defer func() { _ = r.Conn.Close() }()
	for offset := int64(0); binary.Read(r.Conn, binary.LittleEndian, &offset) == nil; {
		r.heard.Store(time.Now().UnixMilli())
		if offset > r.offered.Load() {
			return // nothing was sent that goes so far
		}
		if offset > r.acked.Load() {
			r.acked.Store(offset)
		}
		p.mu.Lock()
		p.signal()
		p.mu.Unlock()
	}
}

// Count is how many replicas are being served.
func (p *Primary) Count() int { return len(p.all()) }

func (p *Primary) all() []*servedReplica {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// add is false when no more replicas are served.
func (p *Primary) add(r *servedReplica) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.list = append(p.list, r)
	}
	return !p.closed
}

func (p *Primary) remove(r *servedReplica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = slices.DeleteFunc(p.list, func(served *servedReplica) bool { return served == r })
	p.signal()
}

// signal wakes those that wait for replicas. mu is held.
func (p *Primary) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Close ends all links and serves no more. It returns when no Wait is under way, so the
// context must have ended.
func (p *Primary) Close() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.list {
		r.end()
	}
	p.mu.Unlock()
	p.waits.Wait()
}

// DropAll ends all links. The replicas connect again, and learn what this server is then.
func (p *Primary) DropAll() {
	for _, r := range p.all() {
		r.end()
	}
}

// Good is how many replicas have been heard of within a span.
func (p *Primary) Good(within time.Duration) (n int) {
	since := time.Now().Add(-within).UnixMilli()
	for _, r := range p.all() {
		if r.online.Load() && r.heard.Load() >= since {
			n++
		}
	}
	return n
}

// Each visits the replicas: where each listens, and up to where it has acknowledged the stream.
func (p *Primary) Each(visit func(ip string, port int, offset int64)) {
	for _, r := range p.all() {
		visit(r.IP, r.Port, r.acked.Load())
	}
}

// acknowledged is how many replicas have the stream up to an offset, and a channel that tells
// when to look again.
func (p *Primary) acknowledged(offset int64) (n int, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.list {
		if r.online.Load() && r.acked.Load() >= offset {
			n++
		}
	}
	return n, p.changed
}

// await waits until so many replicas have the stream up to an offset, or until it is over or ended.
// It returns how many have.
func (p *Primary) await(offset int64, count func() int, over <-chan time.Time, ended <-chan struct{}) int {
	for {
		n, changed := p.acknowledged(offset)
		if n >= count() {
			return n
		}
		select {
		case <-changed:
			continue
		case <-over:
		case <-ended:
		}
		n, _ = p.acknowledged(offset)
		return n
	}
}

// Await waits until all replicas have all changes so far, or a span is over.
func (p *Primary) Await(most time.Duration) {
	p.await(p.Feed.Drained(), p.Count, time.After(most), nil)
}

// Wait calls done with how many replicas have all changes that were made before: when there
// are so many, or after the timeout, which is none if it is 0, or when it is abandoned.
func (p *Primary) Wait(count int, timeout time.Duration, done func(acknowledged int)) (abandon func()) {
	wanted, abandon := context.WithCancel(p.ended)
	p.waits.Go(func() {
		defer abandon()
		var over <-chan time.Time
		if timeout > 0 {
			over = time.After(timeout)
		}
		done(p.await(p.Feed.Drained(), func() int { return count }, over, wanted.Done()))
	})
	return abandon
}

// CutOff ends links with replicas that were not heard of within the timeout, or have lost
// their place.
func (p *Primary) CutOff() {
	timeout := p.Tuning().Timeout
	since := time.Now().Add(-timeout).UnixMilli()
	for _, r := range p.all() {
		switch {
		case !p.Feed.Holds(r.place.Load()):
			p.Logger.Warn("replica cut off: it takes changes more slowly than they come, and the backlog has gone past it",
				"replica", r.name(), "remedy", "raise repl-backlog-size")
		case r.heard.Load() < since:
			p.Logger.Warn("replica cut off: nothing was heard of it", "replica", r.name(), "for", timeout)
		default:
			continue
		}
		r.end()
	}
}

// Info tells what INFO shows of each replica.
func (p *Primary) Info(add func(name string, value any)) {
	for i, r := range p.all() {
		state := "send_bulk"
		if r.online.Load() {
			state = "online"
		}
		lag := max(time.Now().UnixMilli()-r.heard.Load(), 0) / 1000 // s
		add(fmt.Sprint("slave", i), fmt.Sprintf("ip=%s,port=%d,state=%s,offset=%d,lag=%d", r.IP, r.Port, state, r.acked.Load(), lag))
	}
}

// InfoSyncs tells how replicas were answered.
func (p *Primary) InfoSyncs(add func(name string, value any)) {
	add("sync_full", p.full.Load())
	add("sync_partial_ok", p.partial.Load())
	add("sync_partial_err", p.refused.Load())
}
