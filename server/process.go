package server

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// What the process uses of the machine, for INFO.

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
