//go:build !linux

package replication

import "os"

// syncFile has a file's data on disk.
func syncFile(f *os.File) error { return diskError(f.Sync()) }
