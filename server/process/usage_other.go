//go:build !unix

package process

import "math"

// DescriptorLimit is not known on this system.
func DescriptorLimit() uint64 { return math.MaxInt64 }

// Used is not known on this system.
func Used() Usage { return Usage{} }
