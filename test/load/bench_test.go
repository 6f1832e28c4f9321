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
	"github.com/rlserver/rlserver/test/harness/race"
)

// The exit codes of the command.
const (
	exitRight    = 0
	exitViolated = 1
	exitFailed   = 2
)

// fewer is how many requests a test sends of so many that it may: with the race detector all is slower.
func fewer(requests int) int {
	if race.Enabled {
		return requests / 10
	}
	return requests
}

// A run is one run of the command, and what came of it.
type run struct {
	t              *testing.T
	args           []string
	code           int
	stdout, stderr string
	report         *bench.Report // nil: none was written
}

// newRun is a run that has not begun.
func newRun(t *testing.T, args ...string) *run { return &run{t: t, args: args} }

// runBench runs the command until it ends.
func runBench(t *testing.T, args ...string) *run {
	t.Helper()
	r := newRun(t, args...)
	r.wait(func(*os.Process) {})
	return r
}

// wait runs the command until it ends, with a report as JSON beside the table. It says which process
// that is.
func (r *run) wait(started func(*os.Process)) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), harness.Patience)
	defer cancel()
	file := filepath.Join(r.t.TempDir(), "report.json")
	cmd := exec.CommandContext(ctx, harness.Binary(r.t), append([]string{"bench", "--json", file}, r.args...)...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Start()
	if err == nil {
		started(cmd.Process)
		err = cmd.Wait()
	}
	r.stdout, r.stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		r.t.Fatalf("%v: %v\n%s\n%s", r.args, err, r.stdout, r.stderr)
	}
	r.code = cmd.ProcessState.ExitCode()
	if text, err := os.ReadFile(file); err == nil {
		r.read(text)
	}
	if text := r.stdout + r.stderr; strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
		r.fail("it is not sane")
	}
}

// read reads the report.
func (r *run) read(text []byte) {
	r.t.Helper()
	r.report = new(bench.Report)
	if err := json.Unmarshal(text, r.report); err != nil {
		r.t.Fatalf("%v: the report is no JSON: %v\n%s", r.args, err, text)
	}
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
