package server

import (
	"strings"

	"github.com/rlserver/rlserver/server/process"
	"github.com/rlserver/rlserver/server/resp"
)

// What tools of Redis ask for besides INFO: latencies, memory and modules.

// cmdNone replies an empty list.
func cmdNone(r *request) { r.reply.Array(0) }

// There is no latency monitor. LATENCY answers as a Redis whose monitor has seen nothing.

func cmdLatencyReset(r *request) { r.reply.Int(0) }
func cmdLatencyGraph(r *request) { r.fail(errNoSamples(r.args[2])) }

func cmdLatencyDoctor(r *request) {
	r.reply.Text("There is no latency monitor here. INFO latencystats and LATENCY HISTOGRAM tell how long commands take, and SLOWLOG GET shows those that took long.\n")
}

// cmdLatencyHistogram replies how many calls took at most so many microseconds, of all commands that
// were timed or of those named.
func cmdLatencyHistogram(r *request) {
	var all resp.Map
	add := func(c *command) {
		if h := c.stats.Load().latencies.Load(); h != nil {
			calls, micros := h.cumulative()
			all = append(all, c.fullName(), resp.Map{"calls", calls, "histogram_usec", micros})
		}
	}
	if len(r.args) == 2 {
		r.server.table.each(add)
	}
	for _, name := range r.args[2:] {
		if c := r.server.table.findByLabel(string(name)); c != nil {
			add(c)
			for _, sub := range c.subs {
				add(sub)
			}
		}
	}
	r.reply.Value(all)
}

// cumulative has for powers of two how many calls took at most so many microseconds, and how many
// calls there were.
func (h *histogram) cumulative() (calls int64, micros resp.Map) {
	most := uint64(1) // µs
	before := int64(0)
	add := func() {
		if calls > before {
			micros = append(micros, int64(most), calls)
			before = calls
		}
	}
	for i := range h {
		for bucketEnd(i) > most*1000 && most < latencyMicrosMax {
			add()
			most *= 2
		}
		calls += int64(h[i].Load())
	}
	add()
	return calls, micros
}

// latencyMicrosMax is what longer times count as.
const latencyMicrosMax = 1 << 26

func cmdMemoryDoctor(r *request) {
	counted, most := r.server.limiter.Stats(), r.server.config().MaxMemory
	var advice []string
	if used := counted.Bytes(); most > 0 && used > most/10*9 {
		advice = append(advice, "Keys take more than nine tenths of maxmemory: live keys are evicted soon, or are already (evicted_live_keys).")
	}
	if evicted := counted.Evicted - r.server.stats.evictedBefore.Load(); evicted > 0 {
		advice = append(advice, "Live keys were evicted, so their limits began anew: raise maxmemory.")
	}
	if advice == nil {
		advice = []string{"Nothing stands out."}
	}
	r.reply.Text(strings.Join(advice, "\n") + "\n")
}

func cmdMemoryMallocStats(r *request) {
	r.reply.Text("Stats not supported for the current allocator")
}

func cmdMemoryStats(r *request) {
	counted, keys, sessions := r.server.limiter.Stats(), r.server.limiter.Len(), r.server.sessions.sums()
	perKey := int64(0)
	if keys > 0 {
		perKey = counted.Bytes() / keys
	}
	r.reply.Value(resp.Map{
		"peak.allocated", process.Used().PeakBytes, "total.allocated", counted.Bytes(),
		"clients.slaves", sessions.replicaMemory, "clients.normal", sessions.normalMemory,
		"keys.count", keys, "keys.bytes-per-key", perKey, "dataset.bytes", counted.Bytes(),
	})
}
