package bench

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestProcessCPU holds the clock of a process, here this one, against what the kernel
// accounts to it.
func TestProcessCPU(t *testing.T) {
	accounted := func() time.Duration {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	// A thread ends here, and its time has to stay in.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); {
		}
	}()
	<-ended
	const rounding = time.Millisecond
	before := accounted()
	got := ProcessTime(t, os.Getpid())
	after := accounted()
	if got < before-rounding || got > after+rounding {
		t.Errorf("the clock says %v, the kernel accounted %v just before and %v just after", got, before, after)
	}
}
