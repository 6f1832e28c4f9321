package harness

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must come. It bounds a test that hangs, and says
// nothing of how fast a server is: it leaves room for a machine that is busy with other tests.
const Patience = 60 * time.Second

// Pause is the time between two looks at something that takes a while.
func Pause() { time.Sleep(10 * time.Millisecond) }

// Eventually looks again and again until a condition holds. The test fails if it never does.
func Eventually(t testing.TB, condition string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !holds(); Pause() {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %s", Patience, condition)
		}
	}
}
