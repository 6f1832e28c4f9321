package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// gcPercent is how much a child's heap may grow before it is collected, in percent of what
// is in use, unless GOGC in the environment says otherwise. A store is a heap with next to
// no pointers, so a collection costs little however many keys there are, and it pays to
// collect early: garbage is then a tenth of the memory and not half.
const gcPercent = 10

// jobTimeMax ends a child that takes longer.
const jobTimeMax = 170 * time.Second

// A job is what a process of its own does, so that its memory and its garbage collector
// are its own. One of its fields is set.
type job struct {
	Fill *fillJob `json:",omitempty"`
	Load *loadJob `json:",omitempty"`
}

// inChild starts this program again to do a job, and returns what it measured.
func inChild[Result any](t testing.TB, j job) (result Result) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), jobTimeMax)
	defer cancel()
	child := exec.CommandContext(ctx, program, "-child", string(text))
	var problems bytes.Buffer
	child.Stderr = &problems
	out, err := child.Output()
	if err == nil {
		err = json.Unmarshal(out, &result)
	}
	if err != nil {
		t.Fatalf("%s: %v %v\n%s", text, err, ctx.Err(), &problems)
	}
	return result
}

// work does a job, in the child, and writes what it measured to stdout.
func work(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	var result any
	var err error
	switch {
	case j.Fill != nil:
		result, err = j.Fill.run()
	case j.Load != nil:
		result, err = j.Load.run()
	default:
		err = errors.New("enginebench: a job with nothing to do")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// residentBytes is how much memory the kernel says this process holds: the second number of
// statm, in pages.
func residentBytes() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm is %q", text)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
