package harness

import (
	"testing"
)

func TestParseMemory(t *testing.T) {
	const status = "VmPeak:\t  9000 kB\nVmHWM:\t  1234 kB\nThreads:\t5\n"
	if got, err := parseMemory(status, "VmHWM"); err != nil || got != 1234*1024 {
		t.Errorf("got %d, %v, want 1234 kB in bytes", got, err)
	}
	for _, name := range []string{"Vm", "Rss", "Threads"} {
		if got, err := parseMemory(status, name); err == nil {
			t.Errorf("%s: got %d, want an error", name, got)
		}
	}
}
