//go:build !linux

package disk

import "os"

// syncFile has a file's data on disk.
func syncFile(f *os.File) error { return diskError(f.Sync()) }
