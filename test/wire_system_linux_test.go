package test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func onlyWhereProcessesAreMeasured(*testing.T) {}

// processCPU is the CPU time that a process has used so far, in user mode and in the kernel,
// by all its threads, those that ended too. That is what utime and stime in /proc/pid/stat
// add up to, in nanoseconds instead of hundredths of a second; schedstat knows single
// threads only, and nothing of those that ended. Time stolen by others on the same hardware
// is not in it.
func processCPU(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3) makes a clock's number out of a process's id just like this.
	const perProcess = 2
	clock := int32(^pid)<<3 | perProcess
	var at syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&at)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("the CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(at.Nano()), nil
}

// allowOpenFiles lets this process and those that it starts open that many files.
func allowOpenFiles(files uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	wanted := syscall.Rlimit{Cur: max(files, limit.Cur), Max: max(files, limit.Max)}
	// Set even if it is enough: Go gives the processes that it starts the limit which this
	// one began with, unless it was set since.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted); err != nil {
		return fmt.Errorf("this machine lets a process open %d files, and %d are needed: %w", limit.Max, files, err)
	}
	return nil
}

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
	got := processTime(t, os.Getpid())
	after := accounted()
	if got < before-rounding || got > after+rounding {
		t.Errorf("the clock says %v, the kernel accounted %v just before and %v just after", got, before, after)
	}
}
