package stream

import (
	"errors"
	"runtime"

	"github.com/rlserver/rlserver/engine"
)

// A Dumper has all states and policies visited. It does so in the goroutine of its caller and in
// small steps, so that checks go on. It ends early with the visitor's error.
type Dumper func(Visitor) error

// dumpKeys is one step of a dump, some hundred microseconds.
const dumpKeys = 1000

// staleMicros is how long a key must have been idle to be left out: longer than any caller
// holds a reading of the clock.
const staleMicros = 2_000_000

// StaleAt is the instant (µs) that an idle key must have been idle at to be left out.
func (f *Feed) StaleAt() int64 { return f.Now() - staleMicros }

// Errors of a dump that does not come to its end.
var (
	ErrClosing  = errors.New("replication: the server is stopping")
	ErrReplaced = errors.New("replication: the state was replaced by that of a primary")
)

// Dump walks all keys, and then all policies: a set that is younger than a state still knows what
// it has replaced, and one that is older would not know the state.
func (f *Feed) Dump(visit Visitor) error {
	return f.DumpSteps(visit, dumpKeys, func() (int, error) { return dumpKeys, nil })
}

// DumpBase is dump for a base of the log. What it has seen is in the stream when it returns, and
// so in the increment that goes with the base: a log that is read to its end is the state at
// that place of the history, and nothing younger.
func (f *Feed) DumpBase(visit Visitor) error {
	if err := f.Dump(visit); err != nil {
		return err
	}
	f.applying.Lock() // a frame that is applied in part is in the stream when it is applied
	defer f.applying.Unlock()
	f.Drained()
	return nil
}

// DumpSteps is dump with a first step of so many keys. between is called after each step of keys and
// tells how many the next one has. All policies are one step.
func (f *Feed) DumpSteps(visit Visitor, keys int, between func() (keys int, err error)) error {
	generation := f.generation.Load()
	for cursor := uint64(0); ; {
		var err error
		cursor = f.store.Dump(cursor, keys, f.StaleAt(), func(c *engine.Change) {
			if err == nil {
				err = visit.Change(c)
			}
		})
		switch {
		case err != nil:
			return err
		case f.ended.Err() != nil:
			return ErrClosing
		case f.generation.Load() != generation:
			return ErrReplaced
		}
		if keys, err = between(); err != nil {
			return err
		}
		if cursor == 0 {
			return f.dumpEntries(visit, generation)
		}
		runtime.Gosched()
	}
}
