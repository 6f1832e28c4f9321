package engine_test

import (
	"encoding/json"
	"errors"
	"os"
	"runtime/debug"
	"testing"

	"github.com/rlserver/rlserver/test/bench"
)

// gcPercent is how much a child's heap may grow before it is collected, in percent of what
// is in use, unless GOGC in the environment says otherwise. A store is a heap with next to
// no pointers, so a collection costs little however many keys there are, and it pays to
// collect early: garbage is then a tenth of the memory and not half.
const gcPercent = 10

// A job is what a process of its own does. One of its fields is set.
type job struct {
	Fill *fillJob `json:",omitempty"`
	Load *loadJob `json:",omitempty"`
}

func TestMain(m *testing.M) { bench.Main(m, work) }

// work does a job, in the child.
func work(text []byte) (any, error) {
	var j job
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	switch {
	case j.Fill != nil:
		return j.Fill.run()
	case j.Load != nil:
		return j.Load.run()
	}
	return nil, errors.New("enginebench: a job with nothing to do")
}
