//go:build unix

package process

import (
	"math"
	"runtime"
	"syscall"
)

// Descriptors is how many files and connections the process may have open at once. If that is less
// than wanted, it tries to raise the limit. Go has raised it already to what every process may; root
// may more.
func Descriptors(wanted uint64) uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt64
	}
	have := uint64(limit.Cur) //nolint:unconvert // it is an int64 on some systems
	if have >= wanted {
		return have
	}
	raise(&limit.Cur, wanted)
	raise(&limit.Max, wanted)
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return have
	}
	return wanted
}

func raise[T int64 | uint64](limit *T, wanted uint64) { *limit = max(*limit, T(wanted)) }

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
