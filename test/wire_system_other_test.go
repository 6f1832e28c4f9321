//go:build !linux

package test

import (
	"errors"
	"testing"
	"time"
)

// Other processes are measured on Linux only; this lets the rest compile elsewhere.

var errOnlyOnLinux = errors.New("this works on Linux only")

func onlyWhereProcessesAreMeasured(t *testing.T) {
	t.Helper()
	t.Skip("it reads /proc, so it runs only on Linux")
}

func processCPU(int) (time.Duration, error) { return 0, errOnlyOnLinux }

func allowOpenFiles(uint64) error { return errOnlyOnLinux }
