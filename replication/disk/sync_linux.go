package disk

import (
	"errors"
	"os"
	"syscall"
)

// syncFile has a file's data on disk, and of what is known about it the length, which is
// all that reading needs: less than an fsync writes.
func syncFile(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return diskError(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = syscall.Fdatasync(int(fd)); !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if err == nil && failed != nil {
		err = &os.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return diskError(err)
}
