package disk

import (
	"errors"
	"os"
	"syscall"
)

// syncFile has a file's data on disk, and of what is known about it the length, which is
// all that reading needs: less than an fsync writes.
func syncFile(f *os.File) error {
	for {
		switch err := syscall.Fdatasync(int(f.Fd())); {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EINTR):
			return diskError(&os.PathError{Op: "fdatasync", Path: f.Name(), Err: err})
		}
	}
}
