//go:build !amd64 && !arm64

package engine

// prefetch does nothing on this processor.
func prefetch(uintptr) {}
