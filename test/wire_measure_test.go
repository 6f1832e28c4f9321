package test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A measurement is what one round of one row found.
type measurement struct {
	benchmarkReport
	cpu      float64 // µs of the server's CPU time for a request
	resident float64 // MB of the server's memory, at the most it had while it was asked

	// Cores that were busy on average: with the server, with redis-benchmark, and with all
	// else on this machine. When redis-benchmark has a whole core, it is what limits the
	// throughput; when others have much of one, the round says little.
	serverCores, loadCores, otherCores float64
}

// measure runs the row once.
func (r *wireRow) measure(t *testing.T) (m measurement) {
	t.Helper()
	r.with(t, func(p *process, words []string) {
		pid := p.cmd.Process.Pid
		forgetPeak(t, pid)
		machine, begin, server := machineTime(t), time.Now(), processTime(t, pid)
		run := runBenchmark(t, p, words, r.connections, r.pipeline, r.requests)
		server = processTime(t, pid) - server
		elapsed := time.Since(begin)
		machine = machineTime(t) - machine
		m = measurement{
			benchmarkReport: run.benchmarkReport,
			cpu:             float64(server) / float64(time.Microsecond) / float64(r.requests),
			resident:        float64(memoryLine(t, pid, "status", "VmHWM")) / 1e6,
		}
		// What took the CPU is related to the time of the requests, which redis-benchmark
		// has from its rate; before it, redis-benchmark opens connections and sleeps.
		asking := float64(r.requests) / m.perSecond
		m.serverCores = server.Seconds() / asking
		m.loadCores = run.cpu.Seconds() / asking
		m.otherCores = max(0, (machine-server-run.cpu).Seconds()/elapsed.Seconds())
	})
	return m
}

// processTime is the CPU time that a process has used so far.
func processTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	used, err := processCPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// machineTime is the CPU time that all processes and the kernel have used so far.
func machineTime(t testing.TB) time.Duration {
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

// forgetPeak makes a process's peak of resident memory what it has now.
func forgetPeak(t testing.TB, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// residentNow is a process's resident memory, in bytes. The kernel counts it page by page
// for this; its running count lags behind.
func residentNow(t testing.TB, pid int) int64 {
	t.Helper()
	return memoryLine(t, pid, "smaps_rollup", "Rss")
}

// memoryLine reads a line in kB of a file in /proc/pid, in bytes.
func memoryLine(t testing.TB, pid int, file, name string) int64 {
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
