// Package process knows what the process uses of the machine, and tunes its garbage collector. It
// knows neither commands nor keys.
//
//	usage*.go     processor time, resident memory and descriptors, as the system counts them
//	collector.go  the garbage collector's percentage and soft memory limit
package process
