package replication

import (
	"cmp"
	"errors"
)

// A logWriter gives the stream to the disk, and mends the log when the disk has not taken it.
// Its methods are called with the lock held that guards the stream.
type logWriter struct {
	disk *disk // nil: none is open
	on   bool
	// pending are frames that the disk has not taken, in order, up to pendingBytesMax; end is
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

// isOn says whether the log is on.
func (w *logWriter) isOn() bool { return w.on }

// resume turns the log on after a load, at the place where the stream is.
func (w *logWriter) resume(at position) error {
	err := w.disk.continueLog(at)
	w.on = err == nil
	return err
}

// begin turns the log on, at the place where the stream is. The base is made from dump in the
// background.
func (w *logWriter) begin(at position, dump dumper) error {
	if err := w.disk.startLog(at, dump); err != nil {
		return err
	}
	w.on, w.pending, w.lost, w.remaking = true, nil, false, false
	return nil
}

// stop turns the log off, even if there is an error.
func (w *logWriter) stop() error {
	w.on, w.pending, w.lost, w.remaking = false, nil, false, false
	return w.disk.stopLog()
}

// rewrite begins to write the log anew from dump, in the background.
func (w *logWriter) rewrite(at position, dump dumper) error {
	if !w.on {
		return errLogOff
	}
	return w.disk.rewrite(at, dump)
}

// append gives frames to the disk, and keeps those that it does not take. end is the offset
// behind them.
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

// mend tries again what the disk has not taken: to append it, or to write the log anew. It
// also rewrites a log that has grown by percent and to so many bytes.
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
	// If the base after a full sync is still being written, changes from here on are not kept
	// before that base is there.
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
