package server

import "sync/atomic"

// stats are the counters behind INFO. Connections add to them once a batch.
type stats struct {
	commands       atomic.Uint64
	errors         atomic.Uint64 // error replies
	connections    atomic.Uint64 // received
	rejected       atomic.Uint64 // turned away
	protocolErrors atomic.Uint64
	panics         atomic.Uint64
	idle, stuck    atomic.Uint64 // connections closed for timeout and write-timeout
	cutOff         atomic.Uint64 // connections closed because too many pushes waited
	rate           atomic.Uint64 // commands in the last second
	// reclaimedBefore and evictedBefore are how many keys the limiter had forgotten when the
	// statistics were reset.
	reclaimedBefore, evictedBefore atomic.Uint64
}

func (s *stats) reset() {
	for _, counter := range []*atomic.Uint64{&s.commands, &s.errors, &s.connections, &s.rejected, &s.protocolErrors, &s.panics, &s.idle, &s.stuck, &s.cutOff, &s.rate} {
		counter.Store(0)
	}
}
