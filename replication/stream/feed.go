package stream

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
)

// A Feed is the stream of changes of this server. On a primary it drains the store; on a
// replica it is given the primary's frames. It has two readers: the log, and the backlog from
// which replicas read.
//
// The lock is held by the goroutine that appends to the stream or changes what it is. It
// guards all fields that are not atomic. Methods that say "locked" are called with it held.
type Feed struct {
	sync.Mutex
	store   *engine.Store
	entries Entries         // changed with this lock held on a primary, with applying held on a replica
	Now     func() int64    // the clock that decides, µs since the Unix epoch
	ended   context.Context // of the server
	log     Log

	at   Position     // the end of the stream
	end  atomic.Int64 // at's offset, for readers that must not wait for the lock
	past Position     // the history that this one continues: the same up to its offset
	// tracking is whether the store notes changes. While it does not, the offset stands still
	// and says nothing.
	tracking bool
	packer   *Packer
	backlog  backlog
	serving  bool          // there have been replicas, so the backlog is kept
	grown    chan struct{} // closed, and replaced, when the stream has grown
	changes  int64         // since the last snapshot began

	// generation counts how often the store's state was replaced, so that a dump that began
	// before notices.
	generation atomic.Uint64
	// applying is held while a primary's frame is in the store and not yet in the stream. It is
	// locked before the feed. received is the memory for that frame, and guarded by it.
	applying sync.Mutex
	received []byte
}

// A Log keeps the stream on disk. It is called with the feed locked. What goes wrong on
// the disk is its own business.
type Log interface {
	// Append appends frames, which are the caller's again when it returns; end is the offset
	// behind them.
	Append(frames []byte, end int64)
	// ContinueAs goes on under another history's name, with the same state.
	ContinueAs(at Position)
	// Replace begins anew, because the state was replaced by what dump tells.
	Replace(at Position, dump Dumper)
}

// NewFeed makes the stream of a store and of a set of policies, which may be nil. now is the clock that
// decides.
func NewFeed(ended context.Context, store *engine.Store, entries Entries, now func() int64, log Log) *Feed {
	if entries == nil {
		entries = none{}
	}
	f := &Feed{store: store, entries: entries, Now: now, ended: ended, log: log, grown: make(chan struct{})}
	f.packer = NewPacker(FrameChanges, 0, now, f.publish)
	f.Start(Position{ID: NewID()})
	return f
}

// Start begins the stream at a place. Locked.
func (f *Feed) Start(at Position) {
	f.at, f.past, f.packer.offset = at, Position{}, at.Offset
	f.end.Store(at.Offset)
	f.backlog.restart(at.Offset)
}

// Place is where the stream ends. Locked.
func (f *Feed) Place() Position { return f.at }

// Offset is where the stream ends. It does not wait for the lock.
func (f *Feed) Offset() int64 { return f.end.Load() }

// Drain appends what has changed since the last time. Locked.
func (f *Feed) Drain() {
	if !f.tracking {
		return
	}
	// A question that carries units over gives them to one state, and takes them out of another then.
	// The first pass may come between and tell of the second step alone. The second pass tells of the
	// first step, and both are written at once.
	for range 2 {
		f.changes += int64(f.store.Drain(func(c *engine.Change) { _ = f.packer.Change(c) })) // publish has no errors
	}
	_ = f.packer.Flush()
}

// publish appends frames to the stream, and never fails. They are the caller's again when it
// returns. Locked.
func (f *Feed) publish(frames []byte, end int64) error {
	if f.serving {
		f.backlog.add(append([]byte(nil), frames...), end)
	}
	f.at.Offset = end
	f.end.Store(end)
	f.log.Append(frames, end)
	f.signal()
	return nil
}

// signal wakes the readers that wait for more of the stream. Locked.
func (f *Feed) signal() {
	close(f.grown)
	f.grown = make(chan struct{})
}

// Drained drains, and returns where the stream ends.
func (f *Feed) Drained() int64 {
	f.Lock()
	defer f.Unlock()
	f.Drain()
	return f.at.Offset
}

// Track has the store note changes from now on. What was changed before is in no stream, so
// unless the state is known to be that of the stream's end, a new history begins. Locked.
func (f *Feed) Track(continued bool) {
	if f.tracking {
		return
	}
	if !continued {
		f.at.ID, f.past = NewID(), Position{}
		f.backlog.restart(f.at.Offset)
	}
	f.store.Track(true)
	f.tracking = true
}

// Untrack appends what is left, and has the store note no more. Locked.
func (f *Feed) Untrack() {
	if f.tracking {
		f.Drain()
		f.store.Track(false)
		f.tracking = false
	}
}

// Fork begins a history of its own. It continues the present one, if the store's state is that
// of the stream's end. Locked.
func (f *Feed) Fork(continued bool) {
	f.past = Position{}
	if continued {
		f.past = f.at
	}
	f.at.ID = NewID()
	f.log.ContinueAs(f.at)
}

// Rename gives the history the name that the primary has given it: up to here the two are the
// same.
func (f *Feed) Rename(id string) {
	f.Lock()
	defer f.Unlock()
	if id != f.at.ID {
		f.past, f.at.ID = f.at, id
		f.log.ContinueAs(f.at)
	}
}

// Apply applies a frame of changes from a primary to the store, and appends it to this stream.
// After an error the store may have a part of it.
func (f *Feed) Apply(fr Frame) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	a := applied{feed: f, stale: f.StaleAt()}
	err := ReadRecords(fr.Payload, &a)
	if err == nil && len(a.entries) > 0 {
		err = f.entries.Apply(a.entries)
	}
	if err != nil {
		return err
	}
	f.received = AppendFrame(f.received[:0], fr.Kind, fr.Offset, fr.Reading, fr.Payload)
	f.Lock()
	defer f.Unlock()
	f.changes += a.records
	_ = f.publish(f.received, fr.End()) // it has no errors
	f.packer.offset = fr.End()
	return nil
}

// Install puts a state in place that was loaded beside the present one. It is that of a place in
// another history, which becomes this server's. After an error nothing has changed.
func (f *Feed) Install(loaded *Loading, at Position) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	f.generation.Add(1) // on both sides, or a dump could begin or end between the two
	err := loaded.Done()
	f.generation.Add(1)
	if err != nil {
		return err
	}
	f.Lock()
	defer f.Unlock()
	f.Start(at)
	f.log.Replace(at, f.DumpBase)
	f.signal()
	return nil
}

// Unsaved is how many changes there were since the last snapshot began. Locked.
func (f *Feed) Unsaved() int64 { return f.changes }

// Saved says that so many of the unsaved changes are in a snapshot. Locked.
func (f *Feed) Saved(changes int64) { f.changes -= changes }
