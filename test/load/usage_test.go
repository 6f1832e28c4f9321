package load

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// What is wrong with the command line is said in a line, before anything is asked of a server.
func TestUsage(t *testing.T) {
	l, port := harness.ListenFree(t)
	defer func() { _ = l.Close() }()
	asked := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
			close(asked)
		}
	}()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	nowhere := filepath.Join(t.TempDir(), "no", "file")
	for _, c := range []struct{ args, want string }{
		{"--target nonsense", `no target "nonsense"`},
		{"--target rlserver=nonsense", `"nonsense" is no address`},
		{"--target rlserver=" + addr + ",", "target"},
		{"--pipeline 0", "pipeline: 0 is not accepted: expected 1 to"},
		{"-P 1000000", "pipeline: 1000000 is not accepted"},
		{"-P many", `invalid argument "many"`},
		{"-c 0", "connections: 0 is not accepted"},
		{"-c 1000000", "connections: 1000000 is not accepted"},
		{"--threads 0", "threads: 0 is not accepted"},
		{"--threads 51", "threads: 51 is more than the 50 connections"},
		{"--keys 0", "keys: 0 is not accepted"},
		{"--keys 9999999999", "keys: 9999999999 is not accepted"},
		{"--rounds 0", "rounds: 0 is not accepted"},
		{"--rate -1", "rate: -1 is not accepted"},
		{"--rate NaN", "rate: NaN is not accepted"},
		{"--rate 1e300", "rate: 1e+300 is not accepted"},
		{"-n 0", "requests: 0 is not accepted"},
		{"-n -5", "requests: -5 is not accepted"},
		{"-n 1 -d 1s", "--requests goes without --duration"},
		{"-d 0", `duration: "0" is not accepted`},
		{"-d 1y", `duration: "1y" is not accepted`},
		{"-d 100h", "duration"},
		{"--key-space nonsense", "expected uniform, zipf, hot or new"},
		{"--timeout 0", "--timeout"},
		{"--nonsense", "unknown flag: --nonsense"},
		{"--round 3", "did you mean --rounds?"},
		{"--json " + nowhere, nowhere},
		{"--html " + nowhere, nowhere},
		{"token_bucket", "expected ALGORITHM LIMIT PERIOD"},
		{"nonsense 10 1s", `algorithm "nonsense" is not known`},
		{"token_bucket 0 1s", "limit 0 is out of range"},
		{"token_bucket 10 0", "period '0' is not accepted"},
		{"token_bucket 10 1s BURST", "option BURST needs a value"},
		{"token_bucket 10 1s BURST x", "burst 'x' is not accepted"},
		{"token_bucket 10 1s BURST 5 burst 6", "option BURST is given twice"},
		{"--html -", "--html: - is not accepted: expected a file"},
		{"token_bucket 10 1s NONSENSE 1", "option 'NONSENSE' is not known: accepted is BURST n and COST n"},
		{"token_bucket 10 1s COST 11", "a cost of 11 can never pass"},
		{"fixed_window 10 1s BURST 5", "BURST is not accepted by fixed_window"},
		{"sliding_window_log 1000000 1h", "limit of sliding_window_log 1000000 is out of range"},
		{"token_bucket 1000000000 1ms", "limit"},
		{"token_bucket 10 1s FORCE", "option FORCE is not accepted by rlserver bench"},
		{"@api BURST 5", "option BURST is not accepted with a policy, which has its own: accepted is COST n"},
		{"@api --target rlserver,script=" + addr, "target script has no policies: only rlserver has"},
		{"@api --target ping=" + addr, "target ping has no policies: only rlserver has"},
		{"token_bucket 10 100ms --target cl.throttle=" + addr, "target cl.throttle cannot express this limit"},
		{"token_bucket 10 1s --target increx=" + addr, "target increx cannot express this limit"},
	} {
		args := append([]string{"bench", "-h", "127.0.0.1", "-p", strconv.Itoa(port)}, strings.Fields(c.args)...)
		cmd := exec.CommandContext(t.Context(), harness.Binary(t), args...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run()
		text := stderr.String()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || stdout.Len() > 0 ||
			!strings.HasPrefix(text, "rlserver: ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, c.want) {
			t.Errorf("bench %s exited with %d, want %d and a line with %q\nstdout: %s\nstderr: %s", c.args, code, exitFailed, c.want, stdout.String(), text)
		}
	}
	select {
	case <-asked:
		t.Error("a server was asked all the same")
	default:
	}
}
