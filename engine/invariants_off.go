//go:build !invariants

package engine

// checkInvariants turns the costly checks of invariants on; see the build tag
// "invariants". Off, the checks cost nothing.
const checkInvariants = false
