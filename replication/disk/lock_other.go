//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package disk

import "os"

// lockFile opens a file. These systems have no lock that ends with the process and that the
// standard library knows, so nothing keeps a second process away.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, filePermissions)
	return f, diskError(err)
}

func unlockFile(f *os.File) error { return diskError(f.Close()) }
