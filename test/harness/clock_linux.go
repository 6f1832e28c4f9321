package harness

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// A Clock is that of a redis-server, which stands where the test sets it.
type Clock struct {
	t    testing.TB
	file *os.File
}

// Set makes it that time.
func (c Clock) Set(at time.Time) {
	c.t.Helper()
	if _, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(at.UnixMicro())), 0); err != nil {
		c.t.Fatal(err)
	}
}

// StartRedisWithClock starts a redis-server with a clock that the test sets.
func StartRedisWithClock(t testing.TB, at time.Time) (*Process, Clock) {
	t.Helper()
	dir := t.TempDir()
	library := filepath.Join(dir, "clock.so")
	if out, err := exec.Command("gcc", "-O", "-shared", "-fPIC", "-o", library, filepath.Join(Repository(), "test", "harness", "testdata", "clock.c")).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	file, err := os.Create(filepath.Join(dir, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	c := Clock{t, file}
	c.Set(at)
	p := StartProcess(t, "env", "LD_PRELOAD="+library, "CLOCK="+file.Name(),
		lookPath(t, "redis-server"), "--port", strconv.Itoa(FreePort(t)), "--save", "", "--dir", dir)
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL) })
	return p, c
}
