package wire

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// residentTarget is the bytes of a server's whole resident memory for each key, at most.
const residentTarget = 72.0

// printMemory measures what keys of 16 bytes take of a server's memory, once it has rested: all that
// is resident, code and buffers included, for each key.
func printMemory(t testing.TB, out io.Writer) {
	t.Helper()
	rows := bench.NewTable("keys of 16 bytes with a token bucket: all resident memory, in bytes a key",
		"keys", "at once", "after 5 s", "goal", "", "of which tables", "MB before the first key")
	for _, keys := range []int{1_000_000, 10_000_000} {
		if testing.Short() {
			keys /= 100
		}
		p := harness.StartServer(t)
		pid := p.Cmd.Process.Pid
		before := harness.ResidentNow(t, pid)
		fillKeys(p.Dial(), keys)
		each := func(bytes int64) float64 { return float64(bytes) / float64(keys) }
		atOnce := each(harness.ResidentNow(t, pid))
		rest()
		got := each(harness.ResidentNow(t, pid))
		rows.Add("%d|%.1f|%.1f|≤ %.0f|%s|%.1f|%.1f", keys, atOnce, got, residentTarget, bench.Verdict(got <= residentTarget),
			each(harness.InfoNumbers(t, p.Client())["used_memory_tables"]), float64(before)/1e6)
		_ = p.Stop(syscall.SIGTERM)
	}
	rows.Print(out)
}

// fillKeys makes keys that last for hours, in pipelines.
func fillKeys(c *harness.Conn, keys int) {
	const pipeline = 1000
	for from := 0; from < keys; from += pipeline {
		var all strings.Builder
		for i := from; i < from+pipeline; i++ {
			all.WriteString(harness.Command("RL.CHECK", fmt.Sprintf("key:%012d", i), "token_bucket", "100", "1d"))
		}
		c.Send(all.String())
		for range pipeline {
			if reply := c.Value(); len(reply.Parts) != 6 || reply.Parts[0].Text != "1" {
				c.T.Fatalf("filling: %+v", reply)
			}
		}
	}
}
