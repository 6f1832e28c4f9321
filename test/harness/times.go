package harness

import (
	"os"
	"testing"
	"time"
)

// TimesMatter says that a test judges how long something took. How long a server takes depends on
// what else the machine does, so CI does not judge it: `make soak-times` does, on a machine that
// does nothing else.
var TimesMatter = os.Getenv("JUDGE_TIMES") != ""

// Within fails the test if something took longer than a bound, where times matter.
func Within(t testing.TB, most, took time.Duration, action string) {
	t.Helper()
	if TimesMatter && took > most {
		t.Errorf("%s took %v; want at most %v", action, took, most)
	}
}
