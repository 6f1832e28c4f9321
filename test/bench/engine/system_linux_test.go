package engine_test

import (
	"syscall"
	"time"
)

// pause sleeps as shortly as the system can. time.Sleep waits for a millisecond where
// nothing else is to be done, which would be in every span that begins on a schedule.
func pause(d time.Duration) {
	span := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&span, nil) // woken too soon, one looks at the clock again
}
