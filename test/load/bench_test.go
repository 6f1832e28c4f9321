package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// The exit codes of the command.
const (
	exitRight    = 0
	exitViolated = 1
	exitFailed   = 2
)

// A run is one run of the command, and what came of it.
type run struct {
	t              *testing.T
	args           []string
	code           int
	stdout, stderr string
	report         *bench.Report // nil: none was written
}

// runBench runs the command until it ends, with a report as JSON beside the table.
func runBench(t *testing.T, args ...string) *run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	file := filepath.Join(t.TempDir(), "report.json")
	r := &run{t: t, args: args}
	cmd := exec.CommandContext(ctx, harness.Binary(t), append([]string{"bench", "--json", file}, args...)...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r.stdout, r.stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		t.Fatalf("%v: %v\n%s\n%s", args, err, r.stdout, r.stderr)
	}
	r.code = cmd.ProcessState.ExitCode()
	if text, err := os.ReadFile(file); err == nil {
		r.report = new(bench.Report)
		if err := json.Unmarshal(text, r.report); err != nil {
			t.Fatalf("%v: the report is no JSON: %v\n%s", args, err, text)
		}
	}
	if text := r.stdout + r.stderr; strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
		r.fail("it is not sane")
	}
	return r
}

func (r *run) fail(problem string) {
	r.t.Helper()
	r.t.Errorf("rlserver bench %s\n%s; it exited with %d\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), problem, r.code, r.stdout, r.stderr)
}

// mustExit wants an exit code, and words in what the command wrote.
func (r *run) mustExit(code int, words ...string) {
	r.t.Helper()
	if r.code != code {
		r.fail("the exit code is wrong")
	}
	for _, w := range words {
		if !strings.Contains(r.stdout+r.stderr, w) {
			r.fail("it does not say " + w)
		}
	}
}

// rounds are those of the one target.
func (r *run) rounds() []bench.Round {
	r.t.Helper()
	if r.report == nil || len(r.report.Targets) != 1 {
		r.fail("there is no report of one target")
		r.t.FailNow()
	}
	return r.report.Targets[0].Rounds
}
