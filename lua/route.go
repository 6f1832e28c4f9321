package lua

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/hashslot"
)

// singleRouter is for one Redis, or the primary that Sentinels name.
type singleRouter struct{ *node }

func (r singleRouter) route(string) *node { return r.node }
func (r singleRouter) at(string) *node    { return nil }
func (r singleRouter) refresh()           {}
func (r singleRouter) serves(*node) bool  { return true }
func (r singleRouter) nodes() []*node     { return []*node{r.node} }
func (r singleRouter) close() {
	r.node.close()
	_ = r.client.Close()
}

// clusterRouter is for the primaries of a Redis Cluster. Which slots each has is looked up at
// the start and whenever an answer shows that it has changed.
type clusterRouter struct {
	limiter *Limiter
	slots   atomic.Pointer[[hashslot.Count]*node]
	wanted  chan struct{} // a look is wanted

	mu     sync.Mutex
	byAddr map[string]*node
}

// The pauses between two looks at the slots: the least, and the most.
const (
	lookPauseMin = 100 * time.Millisecond
	lookPauseMax = 30 * time.Second
	// lookFirst is how long the start waits for the first one.
	lookFirst = 2 * time.Second
)

func newClusterRouter(l *Limiter) *clusterRouter {
	r := &clusterRouter{limiter: l, wanted: make(chan struct{}, 1), byAddr: map[string]*node{}}
	r.slots.Store(new([hashslot.Count]*node))
	return r
}

func (r *clusterRouter) start() {
	looked := make(chan struct{})
	r.limiter.running.Go(func() {
		r.look()
		close(looked)
		r.lookOn()
	})
	select {
	case <-looked:
	case <-time.After(lookFirst):
	}
}

func (r *clusterRouter) route(name string) *node { return r.slots.Load()[r.limiter.slotOf(name)] }

func (r *clusterRouter) refresh() {
	select {
	case r.wanted <- struct{}{}:
	default: // one is wanted already
	}
}

func (r *clusterRouter) serves(n *node) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byAddr[n.addr] == n
}

func (r *clusterRouter) nodes() []*node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*node
	for _, n := range r.byAddr {
		list = append(list, n)
	}
	return list
}

// at is the node at an address, which may not have a slot yet.
func (r *clusterRouter) at(addr string) *node {
	if addr == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limiter.life.Err() != nil {
		return r.byAddr[addr]
	}
	n := r.byAddr[addr]
	if n == nil {
		n = newNode(r.limiter, addr)
		r.byAddr[addr] = n
		n.start()
	}
	return n
}

func (r *clusterRouter) close() {
	for _, n := range r.nodes() {
		n.close()
		_ = n.client.Close()
	}
}

// lookOn looks whenever it is wanted.
func (r *clusterRouter) lookOn() {
	for {
		select {
		case <-r.limiter.life.Done():
			return
		case <-time.After(lookPauseMin):
		}
		select {
		case <-r.limiter.life.Done():
			return
		case <-r.wanted:
		case <-time.After(lookPauseMax):
		}
		r.look()
	}
}

// look asks the nodes, known ones first and then those of the options, until one tells.
func (r *clusterRouter) look() {
	l := r.limiter
	for _, n := range r.nodes() {
		if n.outage.Load() == nil && r.lookAt(n.addr, n.client) {
			return
		}
	}
	for _, addr := range l.options.Addrs {
		client := l.options.client(addr)
		found := r.lookAt(addr, client)
		_ = client.Close()
		if found {
			return
		}
	}
	l.options.Logger.Debug("no node of the cluster tells where keys are")
}

func (r *clusterRouter) lookAt(addr string, client *redis.Client) bool {
	ctx, cancel := context.WithTimeout(r.limiter.life, probeTimeout)
	defer cancel()
	ranges, err := client.ClusterSlots(ctx).Result() //nolint:staticcheck // its successor, CLUSTER SHARDS, is unknown before Redis 7
	if err != nil || len(ranges) == 0 {
		return false
	}
	host, _, _ := net.SplitHostPort(addr)
	slots, named := new([hashslot.Count]*node), map[string]bool{}
	for _, one := range ranges {
		if len(one.Nodes) == 0 || one.Start < 0 || one.End >= hashslot.Count {
			continue
		}
		at := one.Nodes[0].Addr // the primary
		if h, port, err := net.SplitHostPort(at); err == nil && h == "" {
			at = net.JoinHostPort(host, port) // it does not know its own address
		}
		named[at] = true
		n := r.at(at)
		for slot := one.Start; slot <= one.End; slot++ {
			slots[slot] = n
		}
	}
	r.slots.Store(slots)
	r.retire(named)
	return true
}

// retire closes nodes that no slot is on any more.
func (r *clusterRouter) retire(named map[string]bool) {
	var gone []*node
	r.mu.Lock()
	for addr, n := range r.byAddr {
		if !named[addr] && !slices.Contains(r.slots.Load()[:], n) {
			gone = append(gone, n)
			delete(r.byAddr, addr)
		}
	}
	r.mu.Unlock()
	for _, n := range gone {
		n.close()
		// Its pipelines end within the callers' deadlines.
		time.AfterFunc(probeTimeout+r.limiter.tuning.Load().Timeout, func() { _ = n.client.Close() })
	}
}
