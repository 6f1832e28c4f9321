package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/rlserver/rlserver/replication/stream"
)

// loadedState is the result of a load.
type loadedState struct {
	from Source
	log  loadedLog
}

// A Source is where a state was loaded from.
type Source int

// The sources of a state.
const (
	FromNothing Source = iota
	FromLog
	fromDump
)

// HasFiles says whether an earlier process has left something in a directory.
func HasFiles(dir string) bool {
	return slices.ContainsFunc([]string{dumpName, manifestName}, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// Load hands the kept state to apply, record by record: that of the log, if
// appendOnly and there is one, else that of the snapshot. It says which it was, and where in
// the stream it ends. A torn tail of the log is cut. The change is good until apply
// returns; an error of apply ends load.
func (d *Disk) Load(appendOnly bool, apply stream.Visitor) (from Source, at stream.Position, err error) {
	d.files.Lock()
	defer d.files.Unlock()
	d.reading = d.manifest.stopped // with which the time of a later snapshot is compared
	if !appendOnly {
		from, at, err = d.loadDump(apply)
		// What is changed from here on is not appended to a log that is there, so that ends.
		if err == nil && d.manifestErr == nil && !d.manifest.empty() && d.manifest.stopped == 0 {
			err = d.markStopped()
		}
		return from, at, err
	}
	if d.manifestErr != nil {
		return FromNothing, at, d.manifestErr
	}
	younger, err := d.dumpIsYounger()
	if err != nil {
		return FromNothing, at, err
	}
	if d.manifest.empty() || younger {
		return d.loadDump(apply)
	}
	l, torn, err := readLog(d.Dir, &d.manifest, apply)
	if err == nil && torn != nil {
		err = d.cutTail(torn, &l)
	}
	if err != nil {
		return FromNothing, at, err
	}
	d.loaded = &loadedState{FromLog, l}
	d.reading = max(d.reading, l.reading)
	return FromLog, l.at, nil
}

// Reading is the last of the clock that decided (µs) that Load found. Not all of it need be of what
// was loaded.
func (d *Disk) Reading() int64 {
	d.files.Lock()
	defer d.files.Unlock()
	return d.reading
}

// dumpIsYounger says whether the log was stopped before the snapshot was made.
func (d *Disk) dumpIsYounger() (bool, error) {
	if d.manifest.stopped == 0 {
		return false, nil
	}
	f, err := os.Open(d.path(dumpName))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, diskError(err)
	}
	defer func() { _ = f.Close() }()
	h, err := readHeader(f)
	if errors.Is(err, errHeader) {
		err = &DamageError{Dir: d.Dir, File: dumpName, Problem: err.Error()}
	}
	return err == nil && h.created > d.manifest.stopped, err
}

func (d *Disk) loadDump(apply stream.Visitor) (from Source, at stream.Position, err error) {
	s, err := readFile(d.Dir, dumpName, true, apply)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.loaded = &loadedState{from: FromNothing}
		return FromNothing, at, nil
	case err != nil:
		return FromNothing, at, err
	}
	at = stream.Position{ID: s.header.at.ID, Offset: s.end}
	d.loaded = &loadedState{from: fromDump, log: loadedLog{base: s.size, at: at}}
	d.reading = max(d.reading, s.reading)
	return fromDump, at, nil
}

// cutTail cuts the last increment behind its last complete frame.
func (d *Disk) cutTail(torn *DamageError, l *loadedLog) error {
	s := &l.increments[len(l.increments)-1].state
	d.Logger.Warn("cut what a crash left of the last write", "file", d.path(torn.File), "offset", torn.Offset, "bytes", s.size-torn.Offset, "problem", torn.Problem)
	if err := cutFile(d.path(torn.File), torn.Offset, nil); err != nil {
		return err
	}
	d.mu.Lock()
	d.record.cutBytes = s.size - torn.Offset
	d.mu.Unlock()
	s.size = torn.Offset
	return nil
}
