//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package disk

import (
	"errors"
	"os"
	"syscall"
)

// lockFile opens a file that no other process has open through lockFile; errInUse if one
// has. The lock ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, filePermissions)
	if err != nil {
		return nil, diskError(err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		_ = f.Close()
		return nil, errInUse
	case err != nil:
		_ = f.Close()
		return nil, diskError(&os.PathError{Op: "flock", Path: path, Err: err})
	}
	return f, nil
}

// unlockFile gives the file free at once, even if a process that is just being started still
// has it open.
func unlockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	return diskError(errors.Join(err, f.Close()))
}
