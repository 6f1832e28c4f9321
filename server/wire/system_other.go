//go:build !unix

package wire

// withPermissions cannot restrict them on this system.
func withPermissions(_ int, create func()) { create() }
