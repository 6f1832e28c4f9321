//go:build unix

package server

import (
	"math"
	"runtime"
	"syscall"
)

// descriptorLimit is how many files and connections the process may have open at once. Go
// has raised it to what the system allows.
func descriptorLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt64
	}
	return uint64(limit.Cur) //nolint:unconvert // it is an int64 on some systems
}

// withPermissions calls create so that the file it makes has no more than these permissions;
// 0 leaves it to the process's umask. Call it before anything else makes files.
func withPermissions(permissions int, create func()) {
	if permissions != 0 {
		defer syscall.Umask(syscall.Umask(0o777 &^ permissions))
	}
	create()
}

func processUsage() usage {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return usage{}
	}
	peak := int64(u.Maxrss) //nolint:unconvert // it is an int32 on 32-bit systems
	if runtime.GOOS != "darwin" {
		peak *= 1024 // everybody else counts in kilobytes
	}
	return usage{
		userMicros:   u.Utime.Nano() / 1000,
		systemMicros: u.Stime.Nano() / 1000,
		peakBytes:    peak,
	}
}
