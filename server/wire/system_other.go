//go:build !unix

package wire

import "math"

// DescriptorLimit is not known on this system.
func DescriptorLimit() uint64 { return math.MaxInt64 }

// withPermissions cannot restrict them on this system.
func withPermissions(_ int, create func()) { create() }
