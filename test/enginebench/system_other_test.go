//go:build !linux

package enginebench_test

import "time"

// Processes are measured on Linux only (onlyOnLinux); this lets the rest run elsewhere.

func pause(d time.Duration) { time.Sleep(d) }

func cpuTime() time.Duration { return 0 }
