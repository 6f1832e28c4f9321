//go:build unix

package wire

import (
	"math"
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

// withPermissions calls create so that the file it makes has no more than these permissions; 0
// leaves them to the process's umask. No other goroutine may make files meanwhile.
func withPermissions(permissions int, create func()) {
	if permissions != 0 {
		defer syscall.Umask(syscall.Umask(0o777 &^ permissions))
	}
	create()
}
