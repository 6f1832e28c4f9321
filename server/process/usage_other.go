//go:build !unix

package process

// Used is not known on this system.
func Used() Usage { return Usage{} }
