package server

import (
	"cmp"
	"slices"
	"sync"
)

// clients is the registry of connections. Connecting and leaving take its lock, and so do
// the commands that look at all connections; checks never do.
type clients struct {
	mu     sync.Mutex
	lastID int64
	byID   map[int64]*client
}

// add registers a client, unless there are limit already.
func (r *clients) add(limit int, make func(id int64) *client) *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byID) >= limit {
		return nil
	}
	if r.byID == nil {
		r.byID = map[int64]*client{}
	}
	r.lastID++
	c := make(r.lastID)
	r.byID[c.id] = c
	return c
}

func (r *clients) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, c.id)
}

func (r *clients) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID)
}

// blocked counts the clients whose replies are being found elsewhere.
func (r *clients) blocked() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.byID {
		if c.blocked.Load() {
			n++
		}
	}
	return n
}

// all lists the clients by age, the oldest first.
func (r *clients) all() []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*client, 0, len(r.byID))
	for _, c := range r.byID {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *client) int { return cmp.Compare(a.id, b.id) })
	return list
}
