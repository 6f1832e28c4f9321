package server

import (
	"net"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
)

// The interfaces that the server consumes: a limiter that decides, or a backend that decides in its place,
// a replicator that keeps the limiter's changes, and a keeper of policies.

// A Limiter decides, and keeps the keys. engine.Store is one. now is in microseconds since the Unix
// epoch. Keys may stand in a buffer that is reused after the call; a limiter that keeps one copies it.
type Limiter interface {
	Ask(o engine.Op, key string, a engine.Algorithm, l *engine.Limit, cost, now int64, d *engine.Decision) error
	// AskNamed is AskCall with one part, whose name it makes of the key, where that is quick; else it has
	// changed nothing and returns false.
	AskNamed(o engine.Op, key string, p *engine.Part, cost, now int64, d *engine.Decision) bool
	AskCall(c *engine.Call, now int64) error
	Reset(key string, now int64) bool

	Lookup(key string, now int64) (engine.KeyInfo, bool)
	Scan(cursor uint64, count int, now int64, visit func(engine.KeyInfo)) uint64
	Sweep(count int, now int64) int
	Flush()
	Len() int64
	Stats() engine.Stats
	SetMaxMemory(bytes int64)
}

// A prefetcher is a limiter that can be told of keys that are asked for soon.
type prefetcher interface {
	Prefetch(key string)
	// PrefetchNamed is Prefetch for the state whose name is a key and a suffix, where that is quick.
	PrefetchNamed(key string, suffix *engine.Suffix)
}

// A Backend decides in the limiter's place. Many servers can ask it, and it takes its time to answer.
// Commands that were read together are asked together, and a connection reads no more until they are
// answered, so that its replies are in order.
type Backend interface {
	// Known answers the last of a connection's questions at once if its answer is known. Those
	// before it wait for Ask. It is told of every question, in the order of the commands. The key
	// may stand in a buffer that is reused.
	Known(questions []engine.Question) bool
	// Ask has batches answered, and returns at once.
	Ask(batches ...*engine.Batch)
	// Info adds the fields that INFO shows of it.
	Info(add func(name string, value any))
}

// A Replicator keeps changes outside of this process: on disk, and on replicas.
type Replicator interface {
	// Holds says whether answers to writes must wait for Commit. It is called for every batch.
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
	// It returns at once, with a function that calls done sooner, for when no reply is needed.
	Wait(replicas int, timeout time.Duration, done func(acknowledged int)) (abandon func())
	// ServeReplica serves a connection that has sent RL.SYNC, until it ends, and closes it.
	ServeReplica(link ReplicaLink)
	// Save writes a snapshot and returns when it is on disk; BackgroundSave and Rewrite begin to
	// write a snapshot or a new append-only file. They fail if that is under way already.
	Save() error
	BackgroundSave() error
	Rewrite() error
	// LastSave is when the last snapshot was on disk, or else when the replicator began, in seconds
	// since the Unix epoch.
	LastSave() int64
	// Info adds the fields that INFO shows in the sections "persistence", "replication" and
	// "stats".
	Info(section string, add func(name string, value any))
}

// A PolicyKeeper keeps the set of policies outside of this process, where there is such a place: the
// change stream, or the Redis of a backend.
type PolicyKeeper interface {
	// Keep computes a change against the set in force, keeps it and puts it in force. done is called
	// once, by any goroutine, with the error of change or of what keeps it; then nothing has changed.
	// With a replicator it does not wait for the disk: see Commit.
	Keep(change func() ([]policy.Entry, error), done func(error))
}

// A Role is that of a primary or a replica.
type Role struct {
	Replica bool
	// Of a replica: its primary, and the link to it as ROLE names it: "connect", "connecting",
	// "sync" (stateSync) or "connected" (stateConnected).
	Host  string
	Port  int
	State string
	// Above are the run ids of the servers that it follows, the nearest first, as far as known.
	Above []string
	// Offset is how far the stream of changes has come.
	Offset   int64
	Replicas []ReplicaInfo
}

// The states of a link that the server looks at.
const (
	stateSync      = "sync"
	stateConnected = "connected"
)

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
