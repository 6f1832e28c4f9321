package engine_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var childFlag = flag.String("child", "", "do a `job` and print what it measured; for a benchmark that starts this program again")

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

// scaled is n, or where figures do not matter a fraction of it.
func scaled(n, fraction int) int {
	if testing.Short() {
		return n / fraction
	}
	return n
}
