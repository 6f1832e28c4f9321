//go:build unix

package server

import (
	"runtime"
	"syscall"
)

func processUsage() usage {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return usage{}
	}
	peak := int64(u.Maxrss) //nolint:unconvert // it is an int32 on 32-bit systems
	if runtime.GOOS != "darwin" {
		peak *= 1024 // all others count in kilobytes
	}
	return usage{
		userMicros:   u.Utime.Nano() / 1000,
		systemMicros: u.Stime.Nano() / 1000,
		peakBytes:    peak,
	}
}
