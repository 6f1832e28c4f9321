package replication

import (
	"errors"
	"runtime"

	"github.com/rlserver/rlserver/engine"
)

// A dumper walks all keys and calls visit for each. It does so in the goroutine of its caller
// and in small steps, so that checks go on. It ends early with visit's error.
type dumper func(visit func(*engine.Change) error) error

// dumpKeys is one step of a dump, some hundred microseconds.
const dumpKeys = 1000

// staleMicros is how long a key must have been idle to be left out: longer than any caller
// holds a reading of the clock.
const staleMicros = 2_000_000

// staleAt is the instant (µs) that an idle key must have been idle at to be left out.
func (f *feed) staleAt() int64 { return f.now() - staleMicros }

// Errors of a dump that does not come to its end.
var (
	errClosing  = errors.New("replication: the server is stopping")
	errReplaced = errors.New("replication: the state was replaced by that of a primary")
)

// dump walks all keys.
func (f *feed) dump(visit func(*engine.Change) error) error {
	return f.dumpSteps(visit, dumpKeys, func() (int, error) { return dumpKeys, nil })
}

// dumpBase is dump for a base of the log. What it has seen is in the stream when it returns, and
// so in the increment that goes with the base: a log that is read to its end is the state at
// that place of the history, and nothing younger.
func (f *feed) dumpBase(visit func(*engine.Change) error) error {
	if err := f.dump(visit); err != nil {
		return err
	}
	f.applying.Lock() // a frame that is applied in part is in the stream when it is applied
	defer f.applying.Unlock()
	f.drained()
	return nil
}

// dumpSteps is dump with a first step of so many keys. between is called after each step and
// tells how many keys the next one has.
func (f *feed) dumpSteps(visit func(*engine.Change) error, keys int, between func() (keys int, err error)) error {
	generation := f.generation.Load()
	for cursor := uint64(0); ; {
		var err error
		cursor = f.store.Dump(cursor, keys, f.staleAt(), func(c *engine.Change) {
			if err == nil {
				err = visit(c)
			}
		})
		switch {
		case err != nil:
			return err
		case f.ended.Err() != nil:
			return errClosing
		case f.generation.Load() != generation:
			return errReplaced
		}
		if keys, err = between(); err != nil || cursor == 0 {
			return err
		}
		runtime.Gosched()
	}
}
