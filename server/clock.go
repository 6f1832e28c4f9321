package server

import "time"

// A clock gives the instant that counts: whole microseconds since the Unix epoch. It is
// the wall clock as it stood at the start, carried on by the monotonic clock, so a step
// of the wall clock neither freezes limits nor forgives them, and it never runs backwards.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

// micros is the current instant in microseconds since the Unix epoch.
func (c clock) micros() int64 { return c.start.UnixMicro() + time.Since(c.start).Microseconds() }

// ceilMillis turns a span into whole milliseconds, rounded up: a caller who waits that
// long has waited long enough, and a span that is not zero never reads as zero.
func ceilMillis(span time.Duration) int64 {
	return int64((span + time.Millisecond - 1) / time.Millisecond)
}
