//go:build !unix

package server

// processUsage is not known on this system.
func processUsage() usage { return usage{} }
