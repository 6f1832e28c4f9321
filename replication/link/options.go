package link

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// Options are what both sides of a link are made of.
type Options struct {
	RunID string // of this server
	Feed  *stream.Feed
	// Advance puts the clock that decides forward to a reading (µs), if it reads less.
	Advance func(reading int64)
	Logger  *slog.Logger
	// Tuning tells the settings of the moment.
	Tuning func() Tuning
	// Dial connects to a primary.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Announced is where this server is reached, for a primary to tell others. An empty host is the
	// one that the primary sees. It is called when Listening is closed. No link to a primary comes
	// up before.
	Announced func() (host string, port int)
	Listening <-chan struct{}
}

// Tuning is what can be changed while links are up.
type Tuning struct {
	User, Password string        // for a primary
	Timeout        time.Duration // without a word from the other end
}

// SyncVersion is the version of what is spoken between primary and replica.
const SyncVersion = 1

// pingInterval is how often a replica hears of a primary that has nothing to tell, and
// acknowledges that: well below a second, the least that min-replicas-max-lag can be.
const pingInterval = 300 * time.Millisecond
