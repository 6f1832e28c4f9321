package engine

import "errors"

// ErrNoMemory is the answer when a log would have to grow beyond Options.MaxMemory, and there is no
// other key left to drop, or too much to drop for one question. It changes nothing of the log.
var ErrNoMemory = errors.New("engine: the log needs more memory than the bound on it leaves")

// Options are what a store is made with. The zero value is a store without a bound on its
// memory and with the default bound on logs.
type Options struct {
	// LogLimitMax is the highest limit that a sliding_window_log may have, 1 …
	// LogLimitMax units; 0 means LogLimitDefault.
	LogLimitMax int64
	// MaxMemory bounds what the store keeps, in bytes as Stats counts them; 0 means no
	// bound. See Store.SetMaxMemory.
	MaxMemory int64
}

// Stats is what a store counts. Counts are since the last Flush, but for Reclaimed and
// Evicted, which are since the store was made.
type Stats struct {
	Keys       int64  // in memory, idle ones that are not reclaimed yet included
	TableBytes int64  // the tables: keys, and the states of one word
	LogBytes   int64  // the entries of logs and counters, with room to grow
	Reclaimed  uint64 // idle keys whose memory was taken back
	Evicted    uint64 // live keys that were dropped for want of memory
	Contended  uint64 // how often a swap lost to another caller's
	Rebuilt    uint64 // tables that were replaced by a larger, smaller or cleaner one
}

// Bytes is what counts against MaxMemory.
func (s Stats) Bytes() int64 { return s.TableBytes + s.LogBytes }
