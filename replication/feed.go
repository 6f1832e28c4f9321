package replication

import (
	"cmp"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/rlserver/rlserver/engine"
)

// A feed is the stream of changes of this server. On a primary it drains the store; on a
// replica it is given the primary's frames. It hands them to its two readers: the disk, and
// the backlog from which replicas read.
type feed struct {
	store  *engine.Store
	logger *slog.Logger

	mu   sync.Mutex   // held by whoever appends to the stream, or changes what it is
	at   position     // the end of the stream
	end  atomic.Int64 // at's offset, for who must not wait
	past position     // the history that this one continues: the same up to its offset
	// tracking is whether the store notes changes. While it does not, the offset stands still
	// and says nothing.
	tracking bool
	packer   *packer
	backlog  backlog
	serving  bool          // there have been replicas, so the backlog is kept
	grown    chan struct{} // closed, and replaced, when the stream has grown
	changes  int64         // since the last snapshot began

	log logWriter
}

func newFeed(store *engine.Store, logger *slog.Logger) *feed {
	f := &feed{store: store, logger: logger, grown: make(chan struct{})}
	f.at = position{id: newID()}
	f.packer = newPacker(frameChanges, 0, f.publish)
	return f
}

// drain appends what has changed since the last time. mu is held.
func (f *feed) drain() {
	if !f.tracking {
		return
	}
	f.changes += int64(f.store.Drain(func(c *engine.Change) { _ = f.packer.add(c) })) // publish has no errors
	_ = f.packer.flush()
}

// publish appends frames to the stream. They are the caller's again when it returns. It never
// fails: a disk that does is the log's business. mu is held.
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

// signal tells who waits for more of the stream. mu is held.
func (f *feed) signal() {
	close(f.grown)
	f.grown = make(chan struct{})
}

// accept is publish for frames that come from a primary, each with so many records.
func (f *feed) accept(frames []byte, end int64, records int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes += int64(records)
	_ = f.publish(frames, end)
	f.packer.offset = end
}

// settle drains, and returns where the stream ends.
func (f *feed) settle() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drain()
	return f.at.offset
}

// track has the store note changes from now on. What was changed before is in no stream, so
// unless the state is known to be that of the stream's end, a new history begins. mu is held.
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

// untrack appends what is left, and has the store note no more. mu is held.
func (f *feed) untrack() {
	f.drain()
	f.store.Track(false)
	f.tracking = false
}

// serve keeps a backlog from now on. mu is held.
func (f *feed) serve() {
	if !f.serving {
		f.serving = true
		f.backlog.restart(f.at.offset)
	}
}

// fork begins a history of its own, which continues the present one. mu is held.
func (f *feed) fork() {
	f.past = f.at
	f.at.id = newID()
	f.log.continueAs(f.at)
}

// rename takes the name that the primary has given to the history that this one is up to here.
func (f *feed) rename(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != f.at.id {
		f.past, f.at.id = f.at, id
		f.log.continueAs(f.at)
	}
}

// replace takes another history, whose state is the store's now.
func (f *feed) replace(at position, dump dumper) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.past, f.packer.offset = at, position{}, at.offset
	f.end.Store(at.offset)
	f.backlog.restart(at.offset)
	f.log.replace(at, dump)
	f.signal()
}

// continues says whether a replica that has a history up to an offset lacks nothing but what
// the backlog holds. mu is held.
func (f *feed) continues(id string, offset int64) bool {
	if !f.serving || !f.backlog.holds(offset) {
		return false
	}
	return id == f.at.id || id == f.past.id && offset <= f.past.offset
}

// A logWriter gives the stream to the disk, and sees to it when the disk does not take it.
// Guarded by the feed's mu.
type logWriter struct {
	disk *disk // nil: none is open
	on   bool
	// pending are frames that the disk has not taken, in order, up to pendingBytesMax; end is
	// the offset behind them.
	pending []byte
	end     int64
	// lost says that frames were given up, so that only a rewrite makes the log whole.
	lost bool
	// remaking says that what is appended is worth nothing until a rewrite is done that runs, or
	// has run.
	remaking bool
}

// errIncomplete is that frames were given up, and the rewrite that makes up for it is not done.
var errIncomplete = errors.New("replication: the append-only file lacks changes until it has been rewritten")

// pendingBytesMax bounds the frames that wait for a disk that is full. Beyond it the log is
// made anew, when it can be.
const pendingBytesMax = 32 << 20

func (w *logWriter) append(frames []byte, end int64) {
	switch {
	case !w.on || w.lost:
		return
	case len(w.pending) == 0 && w.disk.append(frames, end) == nil:
		return
	case len(w.pending)+len(frames) > pendingBytesMax:
		w.giveUp()
		return
	}
	w.pending = append(w.pending, frames...)
	w.end = end
}

func (w *logWriter) giveUp() { w.pending, w.lost = nil, true }

// mend tries again what the disk has not taken: to append, or to write all anew.
func (w *logWriter) mend(at position, dump dumper, percent, bytes int64) {
	if !w.on {
		return
	}
	if len(w.pending) > 0 {
		switch err := w.disk.append(w.pending, w.end); {
		case err == nil:
			w.pending = nil
		case errors.Is(err, errUnreliable), errors.Is(err, errNoBase), errors.Is(err, errGap):
			w.giveUp()
		default:
			return
		}
	}
	if (w.lost && w.disk.rewriteDue() || w.disk.needsRewrite(percent, bytes)) && w.disk.rewrite(at, dump) == nil {
		w.remaking, w.lost = w.lost, false
	}
}

// trouble is why what was appended would not be found after a crash, or nil.
func (w *logWriter) trouble() error {
	if !w.on {
		return nil
	}
	s := w.disk.stats()
	switch {
	case s.trouble != nil:
		return s.trouble
	case len(w.pending) > 0:
		return cmp.Or(s.appendErr, errIncomplete)
	case w.lost, w.remaking && s.waiting:
		return errIncomplete
	}
	return nil
}

// continueAs goes on in the log under another history's name, with the same state.
func (w *logWriter) continueAs(at position) {
	if !w.on || w.lost { // what lacks changes is made anew, not gone on with
		return
	}
	if len(w.pending) > 0 || w.disk.continueLog(at) != nil {
		w.giveUp()
		return
	}
	// Who takes over while the base after a full sync is being written keeps nothing that it
	// acknowledges before that is there.
	w.remaking = w.disk.stats().waiting
}

// replace begins the log anew, because the state was replaced.
func (w *logWriter) replace(at position, dump dumper) {
	if !w.on {
		return
	}
	w.pending, w.lost = nil, false
	if w.disk.replaceLog(at, dump) != nil {
		w.giveUp()
	}
}
