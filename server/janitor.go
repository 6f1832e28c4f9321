package server

import (
	"context"
	"time"
)

// The janitor does, in small steps, what must happen without being asked: forget keys at
// rest, close idle and stuck connections, measure the rate of commands.

const (
	janitorPeriod = 100 * time.Millisecond
	// sweepKeys is one step of forgetting; a step is followed by another at once while
	// more than a quarter of what it saw was at rest, up to sweepStepsMax steps a period.
	sweepKeys     = 1000
	sweepStepsMax = 50
	// sweepLag is how far in the past a key must have been at rest to be forgotten: longer
	// than a batch takes from reading the clock to its last decision. A decision that has
	// an older reading than the sweep would find a key gone that is not at rest for it.
	sweepLag = 2 * time.Second
	// writeStuckMax is how long a peer may leave an answer unread while its buffers are
	// full, before the connection is closed.
	writeStuckMax = 30 * time.Second
)

// janitor works until ctx ends.
func (s *Server) janitor(ctx context.Context) {
	tick := time.NewTicker(janitorPeriod)
	defer tick.Stop()
	ticksPerSecond := int(time.Second / janitorPeriod)
	commandsBefore := uint64(0)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.sweep()
		if n%ticksPerSecond == 0 {
			commands := s.stats.commands.Load()
			s.stats.rate.Store(commands - min(commandsBefore, commands))
			commandsBefore = commands
			s.closeIdle()
		}
	}
}

func (s *Server) sweep() {
	for range sweepStepsMax {
		if s.limiter.Sweep(sweepKeys, s.clock.micros()-sweepLag.Microseconds()) <= sweepKeys/4 {
			return
		}
	}
}

// closeIdle closes connections that were idle for longer than the timeout, and those whose
// peer does not read.
func (s *Server) closeIdle() {
	now, timeout := s.clock.micros(), s.config().Timeout
	for _, c := range s.clients.all() {
		idle := time.Duration(now-c.active.Load()) * time.Microsecond
		if timeout > 0 && idle > timeout && !c.monitor.Load() {
			s.logger.Debug("idle connection closed", "addr", c.addr, "idle", idle)
			c.kill()
		}
		if conn, ok := c.conn.(*conn); ok && conn.stuckFor() > writeStuckMax {
			s.logger.Warn("connection closed: it does not read its answers", "addr", c.addr)
			c.kill()
		}
	}
}
