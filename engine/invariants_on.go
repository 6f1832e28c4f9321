//go:build invariants

package engine

// checkInvariants turns the costly checks of invariants on: a broken one panics.
const checkInvariants = true
