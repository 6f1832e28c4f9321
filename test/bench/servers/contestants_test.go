package servers

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// A contestant is a server that limits rates, and how `rlserver bench` asks it.
type contestant struct {
	name, target string
	// file is what test/setup peers has to have made in build/peers/bin; empty where nothing is.
	file  string
	start func(t testing.TB, file string) *harness.Process
	ours  bool // a limit that is exceeded is our fault
}

// throttlecrabNote explains figures that would look like a fault of the measurement.
const throttlecrabNote = "throttlecrab-server writes each reply by itself and leaves Nagle's algorithm on: in a pipeline a reply waits 40 ms for the client's acknowledgement of the one before."

var contestants = []contestant{
	{"rlserver `RL.CHECK`", "rlserver", "", func(t testing.TB, _ string) *harness.Process { return harness.StartServer(t) }, true},
	{"throttlecrab-server 0.4.40 `THROTTLE`", "throttle", "throttlecrab-server", startThrottlecrab, false},
	{"redis-cell 0.2.2 in Redis `CL.THROTTLE`", "cl.throttle", "libredis_cell.so", startRedisCell, false},
	{"redis_rate v10's script in Redis", "redis_rate", "", startRedis, false},
	{"rlserver's script in Redis", "script", "", startRedis, true},
	{"Redis `INCR`, which decides nothing", "incr", "", startRedis, false},
}

// absent are the limiters that a user may look for here, and why they are not. Servers that speak gRPC
// are compared in test/bench/peers, by a client of their own.
var absent = []struct{ name, why string }{
	{"Dragonfly `CL.THROTTLE`", "in no package registry"},
	{"Redis 8.8 `INCREX`", "in no package registry; Debian has 7.0.15, and what PyPI has bundled is older or needs a newer C library"},
	{"redis-cell 0.4", "in no package registry; the crate ends with 0.2.2"},
	{"limitador-server", "in no package registry; its crate is only a library"},
}

func startThrottlecrab(t testing.TB, file string) *harness.Process {
	t.Helper()
	p := harness.StartProcess(t, file, "--redis", "--redis-host", "127.0.0.1", "--redis-port", strconv.Itoa(harness.FreePort(t)), "--log-level", "error")
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL) })
	return p
}

func startRedisCell(t testing.TB, file string) *harness.Process {
	t.Helper()
	return harness.StartRedis(t, "--loadmodule", file)
}

func startRedis(t testing.TB, _ string) *harness.Process {
	t.Helper()
	return harness.StartRedis(t)
}

// path is that of the contestant's file.
func (c contestant) path() string {
	return filepath.Join(harness.Repository(), "build", "peers", "bin", c.file)
}

// isThere says whether what the contestant needs is installed.
func (c contestant) isThere() bool {
	if c.file == "" {
		return true
	}
	_, err := os.Stat(c.path())
	return err == nil
}
