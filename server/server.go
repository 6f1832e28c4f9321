package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/server/config"
)

// redisVersion is the feature level of Redis that clients may count on; INFO gives it next
// to rlserver's own version.
const redisVersion = "7.2.0"

// A Server answers the commands of the command table from a Limiter.
type Server struct {
	version  string
	limiter  Limiter
	remote   Remote // who decides in place of the limiter, or nil
	logger   *slog.Logger
	level    *slog.LevelVar
	clock    clock
	runID    string
	table    *commandTable
	clients  clients
	stats    stats
	slowlog  slowlog
	monitors monitors
	pubsub   pubsub

	// settings is replaced as a whole, so that a reader sees one configuration and never
	// half of a change. A goroutine that replaces it holds changing.
	settings atomic.Pointer[config.Config]
	changing sync.Mutex
	// changed are the settings that CONFIG SET has changed, and rewrite is what CONFIG REWRITE
	// does with them, if it does something.
	changed map[string]bool
	rewrite func(changed map[string]string) error

	listeners []net.Listener
	serving   sync.WaitGroup // connections
	draining  atomic.Bool
	loops     loops
	prefetch  func(key string) // the limiter's, if it has one

	replicator Replicator             // nil: changes are kept by the limiter alone
	refusal    atomic.Pointer[string] // the error that answers commands that write; nil: none
	isReplica  atomic.Bool
	shutdown   func(ShutdownSave) // what SHUTDOWN does; nil: nothing
	bounding   sync.Mutex         // of the limiter's memory
	// commitAlarm is when the log last told of changes that are not on disk (µs).
	commitAlarm atomic.Int64

	unsent atomic.Int64 // bytes of replies that peers of the event loops have not taken
}

// New makes a server that answers from limiter. Its log goes to logger, whose level it
// sets through level when the setting log-level changes. version is rlserver's own. Callers
// leave cfg as it is from then on.
func New(cfg *config.Config, limiter Limiter, logger *slog.Logger, level *slog.LevelVar, version string) *Server {
	s := &Server{
		version: version,
		limiter: limiter,
		logger:  logger,
		level:   level,
		clock:   newClock(),
		runID:   newRunID(),
		table:   newCommandTable(),
		changed: map[string]bool{},
	}
	if p, ok := limiter.(interface{ Prefetch(key string) }); ok {
		s.prefetch = p.Prefetch
	}
	s.putInForce(cfg)
	return s
}

func (s *Server) config() *config.Config { return s.settings.Load() }

// changeConfig makes a change to a copy of the configuration, and the copy the
// configuration if change returns true. With an error everything is as it was.
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
		_ = before.Apply() // as it was in force, it is not refused
	}
	return err
}

// putInForce makes cfg the configuration.
func (s *Server) putInForce(cfg *config.Config) {
	s.settings.Store(cfg)
	s.level.Set(cfg.LogLevel)
	s.boundMemory()
}

// descriptorsSpare are the file descriptors that a server needs besides its connections'.
const descriptorsSpare = 32

// drainGrace is how long connections go on answering what has been sent already, once no
// new ones are accepted.
const drainGrace = 100 * time.Millisecond

// ErrDrainTimeout is the result of a shutdown that took longer than shutdown-timeout.
var ErrDrainTimeout = errors.New("server: connections were cut off: they did not end within shutdown-timeout")

// Serve serves until ctx ends, and then drains: no new connections, answers to what has
// been sent go out, connections close. Listen comes first.
func (s *Server) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.Background())
	defer stop()
	if err := s.loops.start(s, s.config().LoopCount()); err != nil {
		s.closeListeners()
		return fmt.Errorf("cannot start the event loops: %w", err)
	}
	defer s.loops.stop()
	if most := descriptorLimit(); uint64(s.config().MaxClients)+descriptorsSpare > most {
		s.logger.Warn("maxclients is more than the system lets this process have open", "maxclients", s.config().MaxClients, "descriptors", most,
			"remedy", "raise the limit of open files (ulimit -n, LimitNOFILE), or lower maxclients")
	}
	go s.janitor(background)
	var accepting sync.WaitGroup
	for _, l := range s.listeners {
		accepting.Go(func() { s.accept(l) })
	}
	<-ctx.Done()
	s.draining.Store(true)
	s.closeListeners()
	accepting.Wait()
	return s.drain()
}

func (s *Server) drain() error {
	open := s.clients.all()
	s.logger.Info("draining", "connections", len(open))
	for _, c := range open {
		if !c.isReplica.Load() {
			c.handle.drain()
		}
	}
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(s.config().ShutdownTimeout):
	}
	for _, c := range s.clients.all() {
		if !c.isReplica.Load() {
			c.kill()
		}
	}
	<-done
	return ErrDrainTimeout
}
