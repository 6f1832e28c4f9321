package process

import (
	"os"
	"strconv"
	"strings"
)

// Usage is what the system counts for the process.
type Usage struct {
	UserMicros, SystemMicros int64 // of processor time
	PeakBytes                int64 // largest resident set so far
}

// ResidentBytes is the size of the resident set on Linux, and 0 on other systems.
func ResidentBytes() int64 {
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
