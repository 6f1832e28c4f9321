package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/config"
	"github.com/rlserver/rlserver/server/process"
	"github.com/rlserver/rlserver/server/wire"
)

// redisVersion is the feature level of Redis that clients may count on; INFO gives it next to
// rlserver's own version. Caches of clients refuse to work below 7.4.
const redisVersion = "7.4.0"

// A Server answers the commands of the command table from a Limiter.
type Server struct {
	version  string
	limiter  Limiter
	backend  Backend // decides in place of the limiter, or nil
	logger   *slog.Logger
	level    *slog.LevelVar
	started  time.Time
	runID    string
	table    *commandTable
	wire     *wire.Server
	sessions sessions
	stats    stats
	slowlog  slowlog
	monitors monitors
	pubsub   pubsub

	// settings is replaced as a whole, so that a reader sees one configuration and never half of a
	// change. A goroutine that replaces it holds changing.
	settings atomic.Pointer[config.Config]
	changing sync.Mutex
	// changed are the settings that CONFIG SET has changed. CONFIG REWRITE calls rewrite with them,
	// unless it is nil.
	changed    map[string]bool
	rewrite    func(changed map[string]string) error
	configFile string // that rewrite writes

	prefetch prefetcher // the limiter, if it is one
	policies policies

	replicator Replicator // nil: changes are kept by the limiter alone
	gates      gatekeeper
	trackers   atomic.Int64 // sessions that track
	isReplica  atomic.Bool
	ahead      atomic.Int64       // of the wall clock as it stood at the start, µs
	shutdown   func(ShutdownSave) // called by SHUTDOWN; nil: there is none
	bounding   sync.Mutex         // of the limiter's memory
	// commitAlarm is when the log last told of changes that are not on disk (µs).
	commitAlarm atomic.Int64
}

// New makes a server that answers from limiter. Its log goes to logger, whose level it sets through
// level when the setting log-level changes. version is rlserver's own. Callers leave cfg as it is from
// then on.
func New(cfg *config.Config, limiter Limiter, logger *slog.Logger, level *slog.LevelVar, version string) *Server {
	s := &Server{
		version:  version,
		limiter:  limiter,
		logger:   logger,
		level:    level,
		started:  time.Now(),
		runID:    newRunID(),
		table:    newCommandTable(),
		changed:  map[string]bool{},
		sessions: sessions{byID: map[int64]*session{}},
		monitors: monitors{all: map[*session]struct{}{}},
		gates:    gatekeeper{paused: map[*session]func(){}},
		pubsub:   pubsub{topics: [topicKinds]map[string]map[*session]struct{}{{}, {}, {}}},
	}
	s.policies.set = policy.NewSet(s.Now, cfg.MaxLogLimit)
	s.policies.keeper = &s.policies
	s.wire = wire.NewServer(owner{s}, logger)
	s.prefetch, _ = limiter.(prefetcher)
	s.putInForce(cfg)
	return s
}

// UseBackend has a backend decide in place of the limiter. The backend may use the limiter for other
// things. It comes before Serve.
func (s *Server) UseBackend(backend Backend) {
	s.backend, s.prefetch = backend, nil
}

// Replicate has a replicator keep the changes that the limiter makes. It comes before Serve, and
// excludes UseBackend: a backend keeps its own changes. An error means that the settings cannot take
// effect.
func (s *Server) Replicate(r Replicator) error {
	s.replicator = r
	return s.config().Apply()
}

// descriptorsSpare are the file descriptors that a server needs besides its connections'.
const descriptorsSpare = 32

// clientsMax is how many connections there are descriptors for, up to those wanted; negative if there
// are not even those that the server needs for itself.
func clientsMax(wanted int) int {
	return int(min(process.Descriptors(uint64(wanted)+descriptorsSpare), uint64(wanted)+descriptorsSpare)) - descriptorsSpare
}

// fitClients lowers maxclients to what the system lets this process have open.
func (s *Server) fitClients() error {
	wanted := s.config().MaxClients
	most := clientsMax(wanted)
	switch {
	case most == wanted:
		return nil
	case most < 1:
		return fmt.Errorf("the system lets this process have %d files open, and it needs at least %d: raise the limit (ulimit -n, LimitNOFILE)",
			most+descriptorsSpare, descriptorsSpare+1)
	}
	s.logger.Warn("maxclients is lowered to what the system lets this process have open", "maxclients", most, "wanted", wanted,
		"remedy", fmt.Sprintf("raise the limit of open files (ulimit -n, LimitNOFILE) to %d, or lower maxclients", wanted+descriptorsSpare))
	return s.changeConfig(func(c *config.Config) bool { c.MaxClients = most; return true })
}

// Listen opens the addresses of the configuration, which says from then on which ports are open.
func (s *Server) Listen() error {
	if err := s.fitClients(); err != nil {
		return err
	}
	cfg := s.config()
	if isSelf(cfg, cfg.Primary) {
		return fmt.Errorf("replicaof %s %d is this server itself", cfg.Primary.Host, cfg.Primary.Port)
	}
	port, tlsPort, err := s.wire.Listen(wire.Addresses{
		Hosts: cfg.Bind, Port: cfg.Port, TLSPort: cfg.TLSPort,
		TLS:        wire.TLS{CertFile: cfg.TLSCertFile, KeyFile: cfg.TLSKeyFile, CAFile: cfg.TLSCAFile, AuthClients: cfg.TLSAuthClients},
		UnixSocket: cfg.UnixSocket, UnixSocketPerm: cfg.UnixSocketPerm,
	})
	if err != nil {
		return err
	}
	return s.changeConfig(func(c *config.Config) bool { c.Port, c.TLSPort = port, tlsPort; return true })
}

// ReloadTLS reads the certificates again. After an error those before stay in force.
func (s *Server) ReloadTLS() error { return s.wire.ReloadTLS() }

// RunID is a name of the process, other than that of any other.
func (s *Server) RunID() string { return s.runID }

// Settings are the settings in force, to be read.
func (s *Server) Settings() []config.Setting { return s.config().Settings() }

// Ports are the ports that are listened on, without TLS and with it; 0 is none.
func (s *Server) Ports() (port, tlsPort int) { return s.config().Port, s.config().TLSPort }

// Addrs are the addresses that Listen opened.
func (s *Server) Addrs() (addrs []net.Addr) {
	for _, l := range s.wire.Listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

// Serve serves until ctx ends, and then drains: it accepts no new connections, answers the commands
// that were sent, and closes the connections. Listen comes before it.
func (s *Server) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	defer stop()
	go s.janitor(background)
	context.AfterFunc(ctx, func() { s.gates.endPause(true) }) // what waits for it is drained
	return s.wire.Serve(ctx, s.config().LoopCount(), func() time.Duration { return s.config().ShutdownTimeout })
}

// TuneCollector tunes the process's garbage collector for the server, until ctx ends.
func (s *Server) TuneCollector(ctx context.Context) {
	process.TuneCollector(ctx, s.logger, func() process.Need {
		return process.Need{MaxMemory: s.config().MaxMemory, Buffers: int64(s.sessions.len()) * wire.IdleBytesMax}
	})
}

func (s *Server) config() *config.Config { return s.settings.Load() }

// changeConfig changes a copy of the configuration, and puts the copy in force if change returns
// true. With an error the configuration is as it was.
func (s *Server) changeConfig(change func(*config.Config) bool) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.config()
	cfg := before.Copy()
	if !change(cfg) {
		return nil
	}
	s.putInForce(cfg)
	err := cfg.Apply()
	if err != nil {
		s.putInForce(before)
		_ = before.Apply() // it was in force, so it is not refused
	}
	return err
}

// putInForce makes cfg the configuration.
func (s *Server) putInForce(cfg *config.Config) {
	s.settings.Store(cfg)
	s.level.Set(cfg.LogLevel)
	s.wire.SetOutputLimit(cfg.OutputBuffer)
	s.boundMemory()
}

// Now is the clock that decides: whole microseconds since the Unix epoch. It is the wall clock as it
// stood at the start, carried on by the monotonic clock. So a step of the wall clock neither
// freezes limits nor forgives them, and Now never runs backwards.
func (s *Server) Now() int64 {
	return s.started.UnixMicro() + s.ahead.Load() + time.Since(s.started).Microseconds()
}

// behindMax is how far the wall clock may be behind without a word in the log.
const behindMax = time.Second

// Advance puts Now forward to a reading (µs), if it reads less. Limits that were kept on disk, or by
// a primary, by a clock that was ahead go on from there, and are neither frozen nor forgiven.
func (s *Server) Advance(reading int64) {
	for {
		ahead := s.ahead.Load()
		by := reading - s.Now()
		if by <= 0 {
			return
		}
		if !s.ahead.CompareAndSwap(ahead, ahead+by) {
			continue
		}
		if behind := time.Duration(by) * time.Microsecond; behind >= behindMax {
			s.logger.Warn("this machine's clock is behind the last change of the limits; their time goes on from there", "behind", behind)
			for _, c := range s.sessions.all() {
				c.active.Add(by) // it is not idle for longer
			}
		}
		return
	}
}

// RefuseWrites has commands that write refused with this error, until it is called with an empty
// one. It never waits.
func (s *Server) RefuseWrites(text string) { s.gates.change(func(g *gate) { g.refusal = text }) }

// RoleChanged tells the server that it has become a replica, or a primary. A replica keeps all that
// its primary keeps, whatever maxmemory says. It never waits for the replicator.
func (s *Server) RoleChanged(replica bool) {
	s.isReplica.Store(replica)
	s.gates.change(func(g *gate) { g.moved = replica && s.config().ClusterEmulated })
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

// ceilMillis turns a span into whole milliseconds, rounded up: a caller that waits that long has
// waited long enough, and a span that is not zero never reads as zero.
func ceilMillis(span time.Duration) int64 {
	return int64((span + time.Millisecond - 1) / time.Millisecond)
}
