package server

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
)

// What the process uses of the machine, for INFO.

func infoMemory(*Server) []infoField {
	used := heapBytes()
	return []infoField{
		{"used_memory", used},
		{"used_memory_human", human(used)},
		{"used_memory_rss", residentBytes()},
		{"used_memory_peak", processUsage().peakBytes},
		{"maxmemory", 0},
		{"mem_allocator", "go " + runtime.Version()},
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

// heapBytes is what the Go heap holds in objects.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
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
