package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// childTimeMax ends a child that takes longer.
const childTimeMax = 170 * time.Second

var childFlag = flag.String("child", "", "do a `job` and print what it measured; for a benchmark that starts this program again")

// Main is the TestMain of a package whose benchmarks start their program again: it runs the tests,
// or in a child the job, which it gets as JSON and whose result it prints as JSON.
func Main(m *testing.M, do func(job []byte) (result any, err error)) {
	flag.Parse()
	if *childFlag == "" {
		os.Exit(m.Run())
	}
	result, err := do([]byte(*childFlag))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// InChild starts this program again to do a job, and returns what it measured. The memory of a
// process of its own is its own, and so is its garbage collector.
func InChild[Result any](t testing.TB, job any) (result Result) {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), childTimeMax)
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

// ResidentBytes is how much memory the kernel says this process holds: the second number of
// statm, in pages.
func ResidentBytes() (int64, error) {
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
