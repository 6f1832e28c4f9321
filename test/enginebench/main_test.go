package enginebench_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
)

var (
	compareFlag    = flag.Bool("compare", false, "compare the contestants in rounds that alternate")
	memoryFlag     = flag.Bool("memory", false, "measure what keys take of a process's memory, and of Redis's")
	tenMillionFlag = flag.Bool("tenmillion", false, "time checks under a steady load on ten million keys")
	childFlag      = flag.String("child", "", "do a `job` and print what it measured; for a test that starts this program again")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *childFlag != "" {
		if err := work(*childFlag); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// onlyWith skips a test that takes minutes and both cores unless its flag is set.
func onlyWith(t *testing.T, set bool, name string) {
	t.Helper()
	if !set {
		t.Skipf("it measures and proves nothing, so it runs only if asked to: go test ./test/enginebench -v -run %s -%s", t.Name(), name)
	}
	if testing.Short() {
		t.Log("with -short this shows only that it runs: the figures mean nothing")
	}
}

// onlyOnLinux skips a test that asks the system about a process.
func onlyOnLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc, so it runs only on Linux")
	}
}

// scaled is n, or where figures do not matter a fraction of it.
func scaled(n, fraction int) int {
	if testing.Short() {
		return n / fraction
	}
	return n
}
