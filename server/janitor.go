package server

import (
	"context"
	"runtime"
	"time"
)

// The janitor does work that no command causes, in small steps: it reclaims idle keys, closes idle
// and stuck connections, and measures the rate of commands.

const (
	janitorPeriod = 100 * time.Millisecond
	// A step of sweepKeys lasts some tens of microseconds. Another follows while more than a quarter
	// of a step's keys were idle, up to sweepStepsMax steps a period. So at most 500,000 keys a
	// second are reclaimed.
	sweepKeys     = 1000
	sweepStepsMax = 50
	// For every sweepStepBytes of tables there is one step more in each period, even when few keys
	// are idle. A step that moves keys out of a table that has become too large reclaims few of
	// them, and would otherwise be the period's last. The memory of ten million keys would come back
	// after four minutes and not after one. The steps cost less than a hundredth of a core.
	sweepStepBytes = 32 << 20
	// A key is reclaimed when it has been idle for sweepLag. That is longer than a batch takes from
	// reading the clock to its last decision. A decision with an older reading of the clock than the
	// sweep would otherwise miss a key that is not idle at that reading.
	sweepLag = 2 * time.Second
)

// janitor works until ctx ends.
func (s *Server) janitor(ctx context.Context) {
	tick := time.NewTicker(janitorPeriod)
	defer tick.Stop()
	ticksPerSecond := int(time.Second / janitorPeriod)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.sweep()
		if n%ticksPerSecond == 0 {
			s.stats.rates.commands.update(s.stats.commands.Load())
			s.stats.rates.bytesIn.update(s.wire.Traffic.BytesIn.Load())
			s.stats.rates.bytesOut.update(s.wire.Traffic.BytesOut.Load())
			s.closeIdle()
		}
	}
}

// sweep does a period's steps. Before each it lets goroutines run that wait for the processor.
func (s *Server) sweep() {
	due := 1 + s.limiter.Stats().TableBytes/sweepStepBytes
	for step := range int64(sweepStepsMax) {
		runtime.Gosched()
		reclaimed := s.limiter.Sweep(sweepKeys, s.Now()-sweepLag.Microseconds())
		if step+1 >= due && reclaimed <= sweepKeys/4 {
			return
		}
	}
}

// closeIdle closes connections that were idle for longer than the timeout, and those whose peer does
// not read.
func (s *Server) closeIdle() {
	now, timeout := s.Now(), s.config().Timeout
	for _, c := range s.sessions.all() {
		if c.conn.Killed() {
			continue // it ends by itself
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
