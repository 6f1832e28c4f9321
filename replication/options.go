package replication

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/replication/stream"
)

// Options are what a Node is made of.
type Options struct {
	RunID   string // of this server, of stream.IDBytes
	Store   *engine.Store
	Entries stream.Entries // the policies; nil: there are none
	Logger  *slog.Logger
	// Now is the clock that decides, µs since the Unix epoch. Advance puts it forward to a reading,
	// if it reads less.
	Now     func() int64
	Advance func(reading int64)

	// Dir is where the log and the snapshot are. It must exist.
	Dir string
	// Host and Port are the primary to follow; an empty host is none.
	Host string
	Port int
	// Dial connects to a primary.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Announced is where this server is reached, for a primary to tell others. An empty host is the
	// one that the primary sees. It is called after Listening.
	Announced func() (host string, port int)
	// Refuse has commands that write refused with an error, empty for none; RoleChanged tells
	// of becoming a replica or a primary. Neither waits.
	Refuse      func(text string)
	RoleChanged func(replica bool)

	Tuning Tuning
}

// Tuning is what can be changed while a Node runs.
type Tuning struct {
	AppendOnly        bool
	Fsync             string // "always", "everysec" or "no"
	SavePoints        []SavePoint
	RewritePercentage int   // growth of the log since its base from which on it is rewritten; 0: never
	RewriteMinSize    int64 // bytes that it has at least when it is
	// MemoryOnFailure has changes go on in memory when the disk fails; else they
	// are refused.
	MemoryOnFailure bool
	Priority        int           // for Sentinel
	MinReplicas     int           // without so many, heard of within MinReplicasLag, changes are refused
	MinReplicasLag  time.Duration // at least a second
	BacklogBytes    int64

	link.Tuning // of the links to replicas and to a primary
}

// keeps says whether changes are kept on disk.
func (t *Tuning) keeps() bool { return t.AppendOnly || len(t.SavePoints) > 0 }

// A SavePoint has a snapshot written when there were so many changes and the last one is so
// old.
type SavePoint struct {
	After   time.Duration
	Changes int64
}

// How often the store is drained: for the disk, so that everysec loses no more than a second,
// and for replicas, so that a failover loses no more than that and the way to them. A key that
// changes all the time is one record each time.
const (
	diskInterval    = 250 * time.Millisecond
	replicaInterval = 2 * time.Millisecond
	// tendInterval is how often savings, rewrites and replicas are looked after.
	tendInterval = time.Second
)
