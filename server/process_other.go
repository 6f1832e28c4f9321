//go:build !unix

package server

import "math"

// descriptorLimit is not known on this system.
func descriptorLimit() uint64 { return math.MaxInt64 }

// withPermissions cannot restrict them on this system.
func withPermissions(_ int, create func()) { create() }

// processUsage is not known on this system.
func processUsage() usage { return usage{} }
