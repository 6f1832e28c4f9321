package harness

import (
	"testing"
	"time"
)

// eventuallyMax is how long Eventually waits. It bounds a test that hangs, and says nothing of
// how fast a server is: it leaves room for a machine that is busy with other tests.
const eventuallyMax = 30 * time.Second

// Pause is the time between two looks at something that takes a while.
func Pause() { time.Sleep(10 * time.Millisecond) }

// Eventually looks again and again until a condition holds. The test fails if it never does.
func Eventually(t testing.TB, condition string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(eventuallyMax); !holds(); Pause() {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %s", eventuallyMax, condition)
		}
	}
}
