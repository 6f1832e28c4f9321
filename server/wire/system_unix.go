//go:build unix

package wire

import "syscall"

// withPermissions calls create so that the file it makes has no more than these permissions; 0
// leaves them to the process's umask. No other goroutine may make files meanwhile.
func withPermissions(permissions int, create func()) {
	if permissions != 0 {
		defer syscall.Umask(syscall.Umask(0o777 &^ permissions))
	}
	create()
}
