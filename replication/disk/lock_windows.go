package disk

import (
	"errors"
	"os"
	"syscall"
)

// errorSharingViolation is ERROR_SHARING_VIOLATION, which syscall has no name for.
const errorSharingViolation = syscall.Errno(32)

// lockFile opens a file that no other process has open; errInUse if one has. The lock ends
// with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, diskError(&os.PathError{Op: "open", Path: path, Err: err})
	}
	const shareRead = syscall.FILE_SHARE_READ // so that others can read the number of the process
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, shareRead, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, errInUse
	}
	if err != nil {
		return nil, diskError(&os.PathError{Op: "open", Path: path, Err: err})
	}
	return os.NewFile(uintptr(h), path), nil
}

func unlockFile(f *os.File) error { return diskError(f.Close()) }
