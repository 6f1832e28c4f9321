package replication

import (
	"time"

	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/replication/stream"
)

// linkOptions are the node's, for links to its replicas and to its primary.
func (n *Node) linkOptions() link.Options {
	return link.Options{RunID: n.RunID, Feed: n.feed, Advance: n.Advance, Logger: n.Logger, Dial: n.Dial, Announced: n.Announced, Listening: n.listening,
		Tuning: func() link.Tuning { return n.tuning.Load().Tuning }}
}

// Follow makes the node a replica, or with an empty host a primary. The new role is visible
// when it returns; the connection comes up in the background.
func (n *Node) Follow(host string, port int) error {
	n.role.Lock()
	defer n.role.Unlock()
	old, continued := n.link.Load(), false
	switch {
	case n.ended.Err() != nil:
		return stream.ErrClosing
	case old != nil:
		continued = old.End()
	case host == "":
		return nil
	}
	n.replicas.DropAll() // what they were told of this node is no longer so
	n.feed.Lock()
	defer n.feed.Unlock()
	if host == "" {
		n.becomePrimary(continued)
		return nil
	}
	// The last changes of a primary may be in no replica's history. So a server that was one
	// asks for everything, and not to continue.
	n.becomeReplica(host, port, continued)
	return nil
}

// becomeReplica follows a primary. role is held, and the feed is locked.
func (n *Node) becomeReplica(host string, port int, continued bool) {
	at := n.feed.Place()
	l := link.Follow(n.ended, n.linkOptions(), host, port, continued)
	n.link.Store(l)
	n.judge() // nothing is written from here on, but what is under way
	n.feed.Untrack()
	n.feed.Serve()
	n.RoleChanged(true)
	n.Logger.Info("this server is a replica", "primary", l.Addr(), "history", at.ID, "offset", at.Offset, "continues", continued)
}

// becomePrimary takes over. role is held, and the feed is locked.
func (n *Node) becomePrimary(continued bool) {
	before := n.feed.Place()
	n.feed.Fork(continued)
	n.feed.Track(true)
	n.link.Store(nil)
	n.RoleChanged(false)
	n.judge()
	if !continued {
		before.ID = ""
	}
	n.Logger.Info("this server is a primary", "history", n.feed.Place().ID, "offset", before.Offset, "continues_history", before.ID)
}

// Wait calls done with how many replicas have all changes that were made before: when there
// are so many, or after the timeout, which is none if it is 0, or when it is abandoned.
func (n *Node) Wait(count int, timeout time.Duration, done func(acknowledged int)) (abandon func()) {
	return n.replicas.Wait(count, timeout, done)
}

// ServeReplica serves a replica until it is gone, and closes its connection.
func (n *Node) ServeReplica(request link.SyncRequest) { n.replicas.Serve(request) }
