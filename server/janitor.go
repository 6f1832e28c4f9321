package server

import (
	"context"
	"runtime"
	"time"
)

// The janitor does, in small steps, what must happen without being asked: forget keys at
// rest, close idle and stuck connections, measure the rate of commands.

const (
	janitorPeriod = 100 * time.Millisecond
	// sweepKeys is one step of forgetting, some tens of microseconds. A step is followed by
	// another while more than a quarter of what it saw was at rest, up to sweepStepsMax steps
	// a period: so at most 500,000 keys a second are forgotten.
	sweepKeys     = 1000
	sweepStepsMax = 50
	// sweepStepBytes of tables are due one step more each period even when little is at rest.
	// A step that moves keys out of a table that has become too large forgets few of them, and
	// would otherwise be the period's last: the memory of ten million keys would come back
	// after four minutes and not after one. That costs less than a hundredth of a core.
	sweepStepBytes = 32 << 20
	// sweepLag is how far in the past a key must have been at rest to be forgotten: longer
	// than a batch takes from reading the clock to its last decision. A decision that has
	// an older reading than the sweep would find a key gone that is not at rest for it.
	sweepLag = 2 * time.Second
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

// sweep does a period's steps, and lets whoever waits for the processor go before each.
func (s *Server) sweep() {
	due := 1 + s.limiter.Stats().TableBytes/sweepStepBytes
	for step := range int64(sweepStepsMax) {
		runtime.Gosched()
		forgot := s.limiter.Sweep(sweepKeys, s.clock.micros()-sweepLag.Microseconds())
		if step+1 >= due && forgot <= sweepKeys/4 {
			return
		}
	}
}

// closeIdle closes connections that were idle for longer than the timeout, and those whose
// peer does not read.
func (s *Server) closeIdle() {
	now, timeout := s.clock.micros(), s.config().Timeout
	for _, c := range s.sessions.all() {
		if c.conn.Killed() {
			continue // it is on its way out
		}
		if c.conn.DropIfStuck(s.config().WriteTimeout, func() {
			s.logger.Warn("connection closed: it does not read its answers", "addr", c.addr)
			s.stats.stuck.Add(1)
		}) {
			c.active.Store(now) // it is not idle
			continue
		}
		idle := time.Duration(now-c.active.Load()) * time.Microsecond
		if timeout > 0 && idle > timeout && !c.mayBeSilent() {
			s.logger.Debug("idle connection closed", "addr", c.addr, "idle", idle)
			s.stats.idle.Add(1)
			c.conn.Kill()
		}
	}
}
