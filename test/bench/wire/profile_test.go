package wire

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

func TestHeadOfReport(t *testing.T) {
	const report = "# Overhead  Symbol\n#\n\n  50.0%  [.] a\n  30.0%  [.] b\n\n  20.0%  [.] c\n"
	if got, want := headOfReport(report, 2), "# Overhead  Symbol\n#\n  50.0%  [.] a\n  30.0%  [.] b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// profiledSymbols is how many lines of a profile are kept.
const profiledSymbols = 30

// profile leaves in dir where rlserver's time goes at pipeline 64: for RL.CHECK, and for
// PING on the same transport, so that the one can be held against the other. It is done
// after the rounds, for it to slow none of them.
func (t wireTable) profile(tb testing.TB, dir string) {
	tb.Helper()
	perf, err := exec.LookPath("perf")
	if err != nil {
		tb.Log("no profile: perf is missing (Debian package linux-perf)")
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, c := range []*contestant{rlCheck, rlPing} {
		r := t.row(c, bench.Connections, bench.Deep)
		name := strings.ToLower(c.name[strings.LastIndexByte(c.name, ' ')+1:])
		data := filepath.Join(dir, "wire-"+name+".perf")
		if err := r.record(tb, perf, data); err != nil {
			tb.Logf("no profile of %s: %v", c.name, err)
			continue
		}
		text, err := reportBySymbol(perf, data)
		if err != nil {
			tb.Logf("no profile of %s: %v", c.name, err)
			continue
		}
		to := filepath.Join(dir, "wire-"+name+".txt")
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
		tb.Logf("profile of %s: %s; its callers: perf report -i %s", c.name, to, data)
	}
}

// record runs the row once while perf takes samples of the server.
func (r *wireRow) record(t testing.TB, perf, data string) (err error) {
	t.Helper()
	r.with(t, func(p *harness.Process, words []string) {
		var complaints harness.LockedBuffer
		cmd := exec.Command(perf, "record", "-g", "-o", data, "-p", strconv.Itoa(p.Cmd.Process.Pid))
		cmd.Stdout, cmd.Stderr = &complaints, &complaints
		if err = cmd.Start(); err != nil {
			return
		}
		time.Sleep(500 * time.Millisecond) // perf does not say when it has begun
		r.load(words).Put(t, p)
		_ = cmd.Process.Signal(syscall.SIGINT)
		// perf ends itself by the signal when it has written everything.
		_ = cmd.Wait()
		if _, missing := os.Stat(data); missing != nil {
			err = fmt.Errorf("perf record: %s", complaints.String())
		}
	})
	return err
}

// reportBySymbol is the head of perf's report without what was called by what.
func reportBySymbol(perf, data string) (string, error) {
	out, err := exec.Command(perf, "report", "-i", data, "--stdio", "--no-children", "--fields", "overhead,symbol", "-g", "none").Output()
	if err != nil {
		return "", fmt.Errorf("perf report: %w", err)
	}
	return headOfReport(string(out), profiledSymbols), nil
}

// headOfReport keeps the comments of a perf report and that many symbols.
func headOfReport(report string, symbols int) string {
	var head strings.Builder
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "#") {
			if strings.TrimSpace(line) == "" {
				continue
			}
			if symbols--; symbols < 0 {
				break
			}
		}
		head.WriteString(line)
	}
	return head.String()
}
