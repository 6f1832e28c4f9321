package replication

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
)

// A feed is the stream of changes of this server. On a primary it drains the store; on a
// replica it is given the primary's frames. It has two readers: the log, and the backlog from
// which replicas read.
//
// The lock is held by the goroutine that appends to the stream or changes what it is. It
// guards all fields that are not atomic. Methods that say "locked" are called with it held.
type feed struct {
	sync.Mutex
	store *engine.Store
	now   func() int64    // µs since the Unix epoch
	ended context.Context // of the server
	log   streamLog

	at   position     // the end of the stream
	end  atomic.Int64 // at's offset, for readers that must not wait for the lock
	past position     // the history that this one continues: the same up to its offset
	// tracking is whether the store notes changes. While it does not, the offset stands still
	// and says nothing.
	tracking bool
	packer   *packer
	backlog  backlog
	serving  bool          // there have been replicas, so the backlog is kept
	grown    chan struct{} // closed, and replaced, when the stream has grown
	changes  int64         // since the last snapshot began

	// generation counts how often the store's state was replaced, so that a dump that began
	// before notices.
	generation atomic.Uint64
	// applying is held while a primary's frame is in the store and not yet in the stream. It is
	// taken before the lock. received is the memory for that frame, and guarded by it.
	applying sync.Mutex
	received []byte
}

// A streamLog keeps the stream on disk. It is called with the feed locked. What goes wrong on
// the disk is its own business.
type streamLog interface {
	// append takes frames, which are the caller's again when it returns; end is the offset
	// behind them.
	append(frames []byte, end int64)
	// continueAs goes on under another history's name, with the same state.
	continueAs(at position)
	// replace begins anew, because the state was replaced by what dump tells.
	replace(at position, dump dumper)
}

// newFeed makes the stream of a store. now is the clock that decisions use.
func newFeed(ended context.Context, store *engine.Store, now func() int64, log streamLog) *feed {
	f := &feed{store: store, now: now, ended: ended, log: log, grown: make(chan struct{})}
	f.packer = newPacker(frameChanges, 0, f.publish)
	f.start(position{id: newID()})
	return f
}

// start begins the stream at a place. Locked.
func (f *feed) start(at position) {
	f.at, f.past, f.packer.offset = at, position{}, at.offset
	f.end.Store(at.offset)
	f.backlog.restart(at.offset)
}

// place is where the stream ends. Locked.
func (f *feed) place() position { return f.at }

// offset is where the stream ends. It does not wait for the lock.
func (f *feed) offset() int64 { return f.end.Load() }

// drain appends what has changed since the last time. Locked.
func (f *feed) drain() {
	if !f.tracking {
		return
	}
	f.changes += int64(f.store.Drain(func(c *engine.Change) { _ = f.packer.add(c) })) // publish has no errors
	_ = f.packer.flush()
}

// publish appends frames to the stream, and never fails. They are the caller's again when it
// returns. Locked.
func (f *feed) publish(frames []byte, end int64) error {
	if f.serving {
		f.backlog.add(append([]byte(nil), frames...), end)
	}
	f.at.offset = end
	f.end.Store(end)
	f.log.append(frames, end)
	f.signal()
	return nil
}

// signal wakes the readers that wait for more of the stream. Locked.
func (f *feed) signal() {
	close(f.grown)
	f.grown = make(chan struct{})
}

// drained drains, and returns where the stream ends.
func (f *feed) drained() int64 {
	f.Lock()
	defer f.Unlock()
	f.drain()
	return f.at.offset
}

// track has the store note changes from now on. What was changed before is in no stream, so
// unless the state is known to be that of the stream's end, a new history begins. Locked.
func (f *feed) track(continued bool) {
	if f.tracking {
		return
	}
	if !continued {
		f.at.id, f.past = newID(), position{}
		f.backlog.restart(f.at.offset)
	}
	f.store.Track(true)
	f.tracking = true
}

// untrack appends what is left, and has the store note no more. Locked.
func (f *feed) untrack() {
	if f.tracking {
		f.drain()
		f.store.Track(false)
		f.tracking = false
	}
}

// fork begins a history of its own. It continues the present one, if the store's state is that
// of the stream's end. Locked.
func (f *feed) fork(continued bool) {
	f.past = position{}
	if continued {
		f.past = f.at
	}
	f.at.id = newID()
	f.log.continueAs(f.at)
}

// rename gives the history the name that the primary has given it: up to here the two are the
// same.
func (f *feed) rename(id string) {
	f.Lock()
	defer f.Unlock()
	if id != f.at.id {
		f.past, f.at.id = f.at, id
		f.log.continueAs(f.at)
	}
}

// apply applies a frame of changes from a primary to the store, and appends it to this stream.
// After an error the store may have a part of it.
func (f *feed) apply(fr frame) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	records, stale := int64(0), f.staleAt()
	err := readChanges(fr.payload, func(c *engine.Change) error {
		records++
		return f.store.Apply(c, stale)
	})
	if err != nil {
		return err
	}
	f.received = appendFrame(f.received[:0], fr.kind, fr.offset, fr.payload)
	f.Lock()
	defer f.Unlock()
	f.changes += records
	_ = f.publish(f.received, fr.end()) // it has no errors
	f.packer.offset = fr.end()
	return nil
}

// load begins to load another state beside the store's. install puts it in place.
func (f *feed) load() *engine.Loader { return f.store.Load() }

// install puts a state in place that was loaded beside the store's. It is that of a place in
// another history, which becomes this server's.
func (f *feed) install(loaded *engine.Loader, at position) {
	f.generation.Add(1) // on both sides, or a dump could begin or end between the two
	loaded.Done()
	f.generation.Add(1)
	f.Lock()
	defer f.Unlock()
	f.start(at)
	f.log.replace(at, f.dumpBase)
	f.signal()
}

// unsaved is how many changes there were since the last snapshot began. Locked.
func (f *feed) unsaved() int64 { return f.changes }

// saved takes changes that a snapshot has from unsaved.
func (f *feed) saved(changes int64) {
	f.Lock()
	defer f.Unlock()
	f.changes -= changes
}
