package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Server serves the connections of an Owner.
type Server struct {
	// Listeners are those that Serve accepts connections from. Listen opens them.
	Listeners []net.Listener
	owner     Owner
	logger    *slog.Logger
	started   time.Time
	serving   sync.WaitGroup // connections
	draining  atomic.Bool
	loops     loops
	reserve   reserve
	// certificates are those of the port for TLS, or nil.
	certificates *certificates

	unsent      atomic.Int64 // bytes of replies that peers of the event loops have not read
	outputLimit atomic.Int64 // bytes of replies that may wait for one peer
	elsewhere   atomic.Int64 // connections that goroutines work for, other than the loops

	_       [64]byte // loops that only read the fields above do not wait for those that count
	Traffic Traffic
}

// NewServer makes a server, which neither listens nor serves yet.
func NewServer(owner Owner, logger *slog.Logger) *Server {
	return &Server{owner: owner, logger: logger, started: time.Now()}
}

// SetOutputLimit bounds the bytes of replies that may wait for one peer before its next command has
// to wait as well.
func (s *Server) SetOutputLimit(bytes int64) { s.outputLimit.Store(bytes) }

// Loops is the number of event loops.
func (s *Server) Loops() int { return s.loops.len() }

// Unsent is the number of bytes of replies that peers of the event loops have not read yet.
func (s *Server) Unsent() int64 { return s.unsent.Load() }

// elapsed is the time since the start, in nanoseconds, of the monotonic clock. It is never 0.
func (s *Server) elapsed() int64 { return max(int64(time.Since(s.started)), 1) }

// drainGrace is how long connections go on answering commands that were sent already, when no new
// connections are accepted any more.
const drainGrace = 100 * time.Millisecond

// ErrDrainTimeout is the result of a shutdown that took longer than allowed.
var ErrDrainTimeout = errors.New("server: connections were cut off: they did not end within shutdown-timeout")

// Serve serves until ctx ends, and then drains: it accepts no new connections, answers the commands
// that were sent, and closes the connections, those that are left after the timeout by force. Listen
// comes before it. It runs as many event loops as it is told, of which there may be none.
func (s *Server) Serve(ctx context.Context, eventLoops int, timeout func() time.Duration) error {
	if err := s.loops.start(s, eventLoops); err != nil {
		s.closeListeners()
		return fmt.Errorf("cannot start the event loops: %w", err)
	}
	defer s.loops.stop()
	defer s.reserve.giveUp()
	var accepting sync.WaitGroup
	for _, l := range s.Listeners {
		accepting.Go(func() { s.accept(l) })
	}
	<-ctx.Done()
	s.draining.Store(true)
	s.closeListeners()
	accepting.Wait()
	return s.drain(timeout())
}

func (s *Server) drain(timeout time.Duration) error {
	open := s.owner.Conns()
	s.logger.Info("draining", "connections", len(open))
	for _, c := range open {
		if !c.handedOver.Load() {
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
	case <-time.After(timeout):
	}
	for _, c := range s.owner.Conns() {
		if !c.handedOver.Load() {
			c.Kill()
		}
	}
	<-done
	return ErrDrainTimeout
}
