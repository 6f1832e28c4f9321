//go:build !unix

package process

import "math"

// Descriptors is not known on this system.
func Descriptors(uint64) uint64 { return math.MaxInt64 }

// Used is not known on this system.
func Used() Usage { return Usage{} }
