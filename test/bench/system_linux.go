package bench

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

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

// AllowOpenFiles lets this process and those that it starts open that many files.
func AllowOpenFiles(files uint64) error {
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
