package server

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/rlserver/rlserver/server/wire"
)

// What the process uses of the machine, for INFO; and its garbage collector.

// infoMemory gives as used_memory what maxmemory bounds, so that one over the other is how
// full the server is; what the whole process takes is used_memory_rss.
func infoMemory(s *Server) []infoField {
	counted, most := s.limiter.Stats(), s.config().MaxMemory
	used, gc := uint64(counted.Bytes()), readCollector()
	return []infoField{
		{"used_memory", used},
		{"used_memory_human", human(used)},
		{"used_memory_dataset", used},
		{"used_memory_tables", counted.TableBytes},
		{"used_memory_logs", counted.LogBytes},
		{"used_memory_heap", gc.heapBytes},
		{"used_memory_rss", residentBytes()},
		{"used_memory_peak", processUsage().peakBytes},
		{"maxmemory", most},
		{"maxmemory_human", human(uint64(most))},
		{"maxmemory_policy", maxMemoryPolicy},
		{"mem_allocator", "go " + runtime.Version()},
		{"gc_percent", gc.percent},
		{"gc_soft_limit", gc.softLimit},
		{"gc_cycles", gc.cycles},
		{"gc_cpu_percent", strconv.FormatFloat(100*gc.cpuShare, 'f', 2, 64)},
	}
}

func infoCPU(*Server) []infoField {
	usage := processUsage()
	seconds := func(micros int64) string {
		return strconv.FormatFloat(float64(micros)/1e6, 'f', 6, 64)
	}
	return []infoField{
		{"used_cpu_sys", seconds(usage.systemMicros)},
		{"used_cpu_user", seconds(usage.userMicros)},
	}
}

// usage is what the system counts for the process.
type usage struct {
	userMicros, systemMicros int64
	peakBytes                int64 // largest resident set so far
}

// residentBytes is the resident set, where the system tells it as Linux does; else 0.
func residentBytes() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if it is no number
	return pages * int64(os.Getpagesize())
}

// human writes bytes as Redis does: 1.50M.
func human(n uint64) string {
	units := []string{"B", "K", "M", "G", "T"}
	value, i := float64(n), 0
	for value >= 1024 && i < len(units)-1 {
		value /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatUint(n, 10) + "B"
	}
	return strconv.FormatFloat(value, 'f', 2, 64) + units[i]
}

// The garbage collector, for this shape of heap: large, and with next to no pointers to
// follow. A collection costs about a millisecond for millions of keys, so garbage need not
// be let grow in proportion to them, as it is by default, which would double the memory;
// but as little of a small heap would have it collect all the time.

const (
	// garbageMin is how much garbage is always allowed, and garbageShare the share of the
	// live heap that is where that is more.
	garbageMin   = 32 << 20
	garbageShare = 8
	// gcPercentMax bounds the percentage while there is next to nothing on the heap.
	gcPercentMax = 400
	// softLimitSpare is what a process needs besides its keys, and again for each
	// connectionsPerSpare connections, whose buffers take as much at most while they are
	// idle. Without that a server of few keys and many connections would come near its limit
	// with nothing to collect, and collect all the time.
	softLimitSpare      = 64 << 20
	connectionsPerSpare = softLimitSpare / wire.IdleBytesMax
	tunePeriod          = time.Second
)

// TuneCollector sets the garbage collector's percentage and soft memory limit to what fits
// the heap as it grows, until ctx ends. They are the process's, so it is for a process that
// does nothing but serve. What the environment sets with GOGC or GOMEMLIMIT it leaves alone.
func (s *Server) TuneCollector(ctx context.Context) {
	ownPercent, ownLimit := os.Getenv("GOGC") == "", os.Getenv("GOMEMLIMIT") == ""
	percent, limit := 100, int64(math.MaxInt64) // the runtime's defaults
	tune := func() {
		if wanted := gcPercent(readCollector().liveBytes); ownPercent && differs(wanted, percent) {
			percent = wanted
			debug.SetGCPercent(percent)
		}
		if wanted := softLimit(s.config().MaxMemory, s.sessions.len()); ownLimit && wanted != limit {
			limit = wanted
			debug.SetMemoryLimit(limit)
		}
	}
	tune()
	inForce := readCollector()
	s.logger.Info("garbage collector", "percent", inForce.percent, "percent_from", origin(ownPercent),
		"soft_limit", inForce.softLimit, "soft_limit_from", origin(ownLimit))
	tick := time.NewTicker(tunePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tune()
		}
	}
}

func origin(own bool) string {
	if own {
		return "rlserver"
	}
	return "environment"
}

// gcPercent is the percentage for a heap of which so much was live after the last
// collection.
func gcPercent(live uint64) int {
	allowed := max(garbageMin, live/garbageShare)
	return int(min(allowed*100/max(live, 1), gcPercentMax))
}

// differs says whether a change is worth making: each one stops the process for a moment.
func differs(wanted, percent int) bool {
	return wanted*10 > percent*11 || wanted*11 < percent*10
}

// softLimit is the soft memory limit for a bound on the keys' memory and so many connections:
// what the bound allows with its garbage, and what the process needs besides.
func softLimit(maxMemory int64, connections int) int64 {
	if maxMemory == 0 || maxMemory > math.MaxInt64/2 {
		return math.MaxInt64
	}
	spares := 1 + int64(connections/connectionsPerSpare)
	return maxMemory + maxMemory/garbageShare*2 + garbageMin + spares*softLimitSpare
}

// collector is what the runtime tells of the heap and its collection.
type collector struct {
	heapBytes, liveBytes uint64 // objects now; those that the last collection left
	percent              int64  // −1: it is off, as GOGC=off has it
	softLimit            uint64
	cycles               uint64
	cpuShare             float64 // of all processor time that was there since the start
}

func readCollector() collector {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/gogc:percent"},
		{Name: "/gc/gomemlimit:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
	}
	metrics.Read(samples)
	c := collector{
		heapBytes: samples[0].Value.Uint64(),
		liveBytes: samples[1].Value.Uint64(),
		percent:   int64(samples[2].Value.Uint64()),
		softLimit: samples[3].Value.Uint64(),
		cycles:    samples[4].Value.Uint64(),
	}
	if all := samples[6].Value.Float64(); all > 0 {
		c.cpuShare = samples[5].Value.Float64() / all
	}
	return c
}
