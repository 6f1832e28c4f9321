//go:build !linux

package bench

import (
	"errors"
	"time"
)

// Processes are measured on Linux only (OnlyOnLinux). This lets the rest compile on other systems.

var errOnlyOnLinux = errors.New("this works on Linux only")

func processCPU(int) (time.Duration, error) { return 0, errOnlyOnLinux }

// AllowOpenFiles lets this process and those that it starts open that many files.
func AllowOpenFiles(uint64) error { return errOnlyOnLinux }
