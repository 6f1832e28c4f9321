package server

import (
	"net"
	"time"
)

// A Replicator keeps changes beyond this process: on disk, and on replicas.
type Replicator interface {
	// Holds says whether answers to writes must wait for Commit. It is asked for every batch.
	Holds() bool
	// Commit calls done once, from any goroutine, when every change made before the call is on
	// disk; with an error if it cannot be. It returns at once.
	Commit(done func(error))
	// Follow makes this server a replica of another, or with an empty host a primary. It
	// returns at once, and the new role is visible at once. The configuration is locked
	// meanwhile; what it says of the primary follows by itself.
	Follow(host string, port int) error
	Role() Role
	// Wait calls done once, from any goroutine, with how many replicas have acknowledged every
	// change made before the call: when there are so many, or after the timeout. 0 is for ever.
	// It returns at once, with what calls done sooner because nobody listens any more.
	Wait(replicas int, timeout time.Duration, done func(acknowledged int)) (abandon func())
	// ServeReplica serves a connection that has sent RL.SYNC, until it ends, and closes it.
	ServeReplica(link ReplicaLink)
	// Save writes a snapshot and returns when it is on disk; BackgroundSave and Rewrite begin to
	// write a snapshot or a new append-only file. They fail if that is under way already.
	Save() error
	BackgroundSave() error
	Rewrite() error
	// LastSave is when the last snapshot was on disk, in seconds since the Unix epoch.
	LastSave() int64
	// Info tells what INFO shows in the sections "persistence" and "replication".
	Info(section string, add func(name string, value any))
}

// A Role is what a server is to others.
type Role struct {
	Replica bool
	// Of a replica: its primary, and the link to it as ROLE names it: "connect", "connecting",
	// "sync" or "connected".
	Host  string
	Port  int
	State string
	// Offset is how far the stream of changes has come.
	Offset   int64
	Replicas []ReplicaInfo
}

// A ReplicaInfo is one replica, by the address that it listens on.
type ReplicaInfo struct {
	IP     string
	Port   int
	Offset int64 // that it has acknowledged
}

// A ReplicaLink is the connection of a replica that has sent RL.SYNC Version ID Offset. IP and
// Port are what it has announced to listen on. Nothing has been answered yet.
type ReplicaLink struct {
	Conn    net.Conn
	IP      string
	Port    int
	Version int
	ID      string
	Offset  int64
}

// Replicate has a replicator keep the changes that the limiter makes. It comes before Serve, and
// instead of DecideElsewhere: a backend keeps its changes itself. An error means that the settings
// cannot take effect.
func (s *Server) Replicate(r Replicator) error {
	s.replicator = r
	return s.config().Apply()
}

// Now is the clock that decisions use, in microseconds since the Unix epoch.
func (s *Server) Now() int64 { return s.clock.micros() }

// RefuseWrites has commands that write refused with this error, until it is called with an
// empty one. It never waits.
func (s *Server) RefuseWrites(text string) {
	if text == "" {
		s.refusal.Store(nil)
	} else {
		s.refusal.Store(&text)
	}
}

// RoleChanged tells the server that it has become a replica, or a primary. A replica keeps
// all that its primary keeps, whatever maxmemory says. It never waits for the replicator.
func (s *Server) RoleChanged(replica bool) {
	s.isReplica.Store(replica)
	s.boundMemory()
}

// holds says whether answers to changes must wait for the disk.
func (s *Server) holds() bool { return s.replicator != nil && s.replicator.Holds() }

// boundMemory tells the limiter how much it may keep.
func (s *Server) boundMemory() {
	s.bounding.Lock()
	defer s.bounding.Unlock()
	if s.isReplica.Load() {
		s.limiter.SetMaxMemory(0)
	} else {
		s.limiter.SetMaxMemory(s.config().MaxMemory)
	}
}
