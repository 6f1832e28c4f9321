//go:build amd64 || arm64

package engine

// prefetch asks the processor for the cache line at an address, which may be any.
//
//go:noescape
func prefetch(address uintptr)
