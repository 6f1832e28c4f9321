package disk

import (
	"cmp"
	"errors"

	"github.com/rlserver/rlserver/replication/stream"
)

// A Writer gives the stream to the disk, and mends the log after the disk has failed.
// Its methods are called with the lock held that guards the stream.
type Writer struct {
	Disk *Disk // nil: none is open
	on   bool
	// pending are frames that the disk has refused, in order, up to pendingBytesMax; end is
	// the offset behind them.
	pending []byte
	end     int64
	// lost says that frames were given up, so that only a rewrite makes the log complete.
	lost bool
	// remaking says that what is appended does not count until a rewrite is done that runs, or
	// has run.
	remaking bool
}

// errIncomplete is that frames were given up, and the rewrite that makes up for it is not done.
var errIncomplete = errors.New("replication: the append-only file lacks changes until it has been rewritten")

// pendingBytesMax bounds the frames that wait for a disk that is full. Beyond it the log is
// made anew, when it can be.
const pendingBytesMax = 32 << 20

// IsOn says whether the log is on.
func (w *Writer) IsOn() bool { return w.on }

// Resume turns the log on after a load, at the place where the stream is.
func (w *Writer) Resume(at stream.Position) error {
	err := w.Disk.continueLog(at)
	w.on = err == nil
	return err
}

// Begin turns the log on, at the place where the stream is. The base is made from dump in the
// background.
func (w *Writer) Begin(at stream.Position, dump stream.Dumper) error {
	if err := w.Disk.startLog(at, dump); err != nil {
		return err
	}
	w.on, w.pending, w.lost, w.remaking = true, nil, false, false
	return nil
}

// Stop turns the log off, even if there is an error.
func (w *Writer) Stop() error {
	w.on, w.pending, w.lost, w.remaking = false, nil, false, false
	return w.Disk.stopLog()
}

// Rewrite begins to write the log anew from dump, in the background.
func (w *Writer) Rewrite(at stream.Position, dump stream.Dumper) error {
	if !w.on {
		return errLogOff
	}
	return w.Disk.rewrite(at, dump)
}

// Append gives frames to the disk, and keeps those that it refuses. end is the offset behind
// them.
func (w *Writer) Append(frames []byte, end int64) {
	switch {
	case !w.on || w.lost:
		return
	case len(w.pending) == 0 && w.Disk.append(frames, end) == nil:
		return
	case len(w.pending)+len(frames) > pendingBytesMax:
		w.giveUp()
		return
	}
	w.pending = append(w.pending, frames...)
	w.end = end
}

func (w *Writer) giveUp() { w.pending, w.lost = nil, true }

// Mend tries again after a failure: to append what is pending, or to write the log anew. It
// also rewrites a log that has grown by percent and to so many bytes.
func (w *Writer) Mend(at stream.Position, dump stream.Dumper, percent, bytes int64) {
	if !w.on {
		return
	}
	if len(w.pending) > 0 {
		switch err := w.Disk.append(w.pending, w.end); {
		case err == nil:
			w.pending = nil
		case errors.Is(err, errUnreliable), errors.Is(err, errNoBase), errors.Is(err, stream.ErrGap):
			w.giveUp()
		default:
			return
		}
	}
	if w.Disk.needsRewrite(w.lost, percent, bytes) && w.Disk.rewrite(at, dump) == nil {
		w.remaking, w.lost = w.lost, false
	}
}

// Trouble is why what was appended would not be found after a crash, or nil.
func (w *Writer) Trouble() error {
	if !w.on {
		return nil
	}
	s := w.Disk.stats()
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

// ContinueAs goes on in the log under another history's name, with the same state.
func (w *Writer) ContinueAs(at stream.Position) {
	if !w.on || w.lost { // what lacks changes is made anew, not gone on with
		return
	}
	if len(w.pending) > 0 || w.Disk.continueLog(at) != nil {
		w.giveUp()
		return
	}
	// If the base after a full sync is still being written, changes from here on are not kept
	// before that base is there.
	w.remaking = w.Disk.stats().waiting
}

// Replace begins the log anew, because the state was replaced.
func (w *Writer) Replace(at stream.Position, dump stream.Dumper) {
	if !w.on {
		return
	}
	w.pending, w.lost = nil, false
	if w.Disk.replaceLog(at, dump) != nil {
		w.giveUp()
	}
}
