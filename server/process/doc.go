// Package process knows what the process uses of the machine, and tunes its garbage collector. It
// knows neither commands nor keys.
//
//	usage.go      processor time and resident memory, as the system counts them
//	collector.go  the garbage collector's percentage and soft memory limit
package process
