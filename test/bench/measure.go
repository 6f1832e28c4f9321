package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// OnlyOnLinux skips a benchmark that asks the system about a process.
func OnlyOnLinux(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc, so it runs only on Linux")
	}
}

// ProcessTime is the CPU time that a process has used so far.
func ProcessTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	used, err := processCPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// MachineTime is the CPU time that all processes and the kernel have used so far.
func MachineTime(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	busy, err := parseBusy(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return busy
}

// statTick is the unit of /proc/stat on Linux, whatever the kernel's own tick.
const statTick = 10 * time.Millisecond

// parseBusy reads the first line of /proc/stat. Its columns are: user, nice, system, idle,
// iowait, irq, softirq, and then the time stolen by others on the same hardware.
func parseBusy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	columns := strings.Fields(line)
	if len(columns) < 8 || columns[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} {
		ticks, err := strconv.ParseInt(columns[i], 10, 64)
		if err != nil {
			return 0, err
		}
		busy += time.Duration(ticks) * statTick
	}
	return busy, nil
}

// ForgetPeak makes a process's peak of resident memory what it has now.
func ForgetPeak(t testing.TB, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}
