package lua

import (
	"sync/atomic"
	"time"
)

// stats are counted for INFO.
type stats struct {
	questions, pipelines, timeouts, errors, retries atomic.Uint64

	degraded, degradedErrors, degradedAllowed, degradedDenied, degradedLocal atomic.Uint64

	latency atomic.Int64 // µs of a pipeline, averaged over the last ones
}

// took notes how long a pipeline took. Two at once may lose one of their notes.
func (s *stats) took(span time.Duration) {
	s.pipelines.Add(1)
	before := s.latency.Load()
	s.latency.Store(before + (span.Microseconds()-before)/8)
}

// Info tells what INFO shows.
func (l *Limiter) Info(add func(name string, value any)) {
	open, nodes := 0, l.router.nodes()
	for _, n := range nodes {
		if n.outage.Load() != nil {
			open++
		}
	}
	state := "up"
	switch {
	case open == len(nodes):
		state = "down"
	case open > 0:
		state = "degraded"
	}
	s := &l.stats
	add("backend", string(l.options.Mode))
	add("backend_state", state)
	add("backend_nodes", len(nodes))
	add("backend_open_circuits", open)
	add("backend_questions", s.questions.Load())
	add("backend_pipelines", s.pipelines.Load())
	add("backend_latency_usec", s.latency.Load())
	add("backend_timeouts", s.timeouts.Load())
	add("backend_errors", s.errors.Load())
	add("backend_retries", s.retries.Load())
	add("degraded_answers", s.degraded.Load())
	add("degraded_errors", s.degradedErrors.Load())
	add("degraded_allowed", s.degradedAllowed.Load())
	add("degraded_denied", s.degradedDenied.Load())
	add("degraded_local", s.degradedLocal.Load())
	add("deny_cache_entries", l.denials.size.Load())
	add("deny_cache_hits", l.denials.hits.Load())
}
