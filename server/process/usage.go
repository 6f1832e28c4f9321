package process

import (
	"fmt"
	"os"
)

// Usage is what the system counts for the process.
type Usage struct {
	UserMicros, SystemMicros int64 // of processor time
	PeakBytes                int64 // largest resident set so far
}

// SystemBytes is the memory of the machine on Linux, and 0 on other systems.
func SystemBytes() int64 {
	meminfo, _ := os.ReadFile("/proc/meminfo") // empty on other systems
	var kilobytes int64
	_, _ = fmt.Sscanf(string(meminfo), "MemTotal: %d kB", &kilobytes)
	return kilobytes << 10
}

// ResidentBytes is the size of the resident set on Linux, and 0 on other systems.
func ResidentBytes() int64 {
	statm, _ := os.ReadFile("/proc/self/statm") // empty on other systems
	var pages, resident int64
	_, _ = fmt.Sscan(string(statm), &pages, &resident)
	return resident * int64(os.Getpagesize())
}
