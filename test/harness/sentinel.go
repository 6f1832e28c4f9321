package harness

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// StartSentinel starts a Sentinel of Redis that watches the primary on a port, with a quorum of
// two. It takes a primary that has said nothing for so long for dead.
func StartSentinel(t testing.TB, name string, primary int, down time.Duration) *Process {
	t.Helper()
	config := WriteFile(t, "sentinel.conf", fmt.Appendf(nil, "bind 127.0.0.1\nsentinel monitor %s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %[1]s %[3]d\nsentinel failover-timeout %[1]s 6000\n", name, primary, down.Milliseconds()), 0o600)
	s := StartProcess(t, lookPath(t, "redis-sentinel"), config, "--port", strconv.Itoa(FreePort(t)))
	t.Cleanup(func() { _ = s.Stop(syscall.SIGKILL) })
	return s
}
