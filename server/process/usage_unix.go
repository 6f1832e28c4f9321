//go:build unix

package process

import (
	"runtime"
	"syscall"
)

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
