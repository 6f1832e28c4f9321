//go:build !linux

package engine_test

import "time"

// Processes are measured on Linux only (bench.OnlyOnLinux). This lets the rest run on other systems.

func pause(d time.Duration) { time.Sleep(d) }
