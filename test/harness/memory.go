package harness

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness/race"
)

// The most by which the resident memory of a server may have grown once an attack is over, in
// bytes. The race detector takes several times the memory.
const (
	rssGrowthMax     = 64 << 20
	rssGrowthMaxRace = 512 << 20
)

// ResidentGrowthMax is the bound for a server that was built like these tests.
func ResidentGrowthMax() int64 {
	if race.Enabled {
		return rssGrowthMaxRace
	}
	return rssGrowthMax
}

// ResidentNow is a process's resident memory, in bytes. The kernel counts it page by page
// for this; its running count lags behind.
func ResidentNow(t testing.TB, pid int) int64 {
	t.Helper()
	return MemoryLine(t, pid, "smaps_rollup", "Rss")
}

// MemoryLine reads a line in kB of a file in /proc/pid, in bytes.
func MemoryLine(t testing.TB, pid int, file, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := parseMemory(string(text), name)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

var errNoMemoryLine = errors.New("no such line with kB at its end")

// parseMemory finds a line like "VmHWM:  1234 kB" and returns it in bytes.
func parseMemory(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		number, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if !ok {
			break
		}
		kb, err := strconv.ParseInt(number, 10, 64)
		return kb << 10, err
	}
	return 0, fmt.Errorf("%s: %w", name, errNoMemoryLine)
}
