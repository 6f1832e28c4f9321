//go:build unix

package process

import (
	"math"
	"runtime"
	"syscall"
)

// DescriptorLimit is how many files and connections the process may have open at once. Go has raised
// it to what the system allows.
func DescriptorLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt64
	}
	return uint64(limit.Cur) //nolint:unconvert // it is an int64 on some systems
}

// Used asks the system.
func Used() Usage {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return Usage{}
	}
	peak := int64(u.Maxrss) //nolint:unconvert // it is an int32 on 32-bit systems
	if runtime.GOOS != "darwin" {
		peak *= 1024 // all others count in kilobytes
	}
	return Usage{
		UserMicros:   u.Utime.Nano() / 1000,
		SystemMicros: u.Stime.Nano() / 1000,
		PeakBytes:    peak,
	}
}
