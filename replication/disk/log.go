package disk

import (
	"errors"
	"fmt"

	"github.com/rlserver/rlserver/replication/stream"
)

// lockLog locks files and turn, and returns what unlocks them.
func (d *Disk) lockLog() (unlock func()) {
	d.files.Lock()
	d.turn.Lock()
	return func() {
		d.turn.Unlock()
		d.files.Unlock()
	}
}

// startLog turns the log on, at a position of the stream. The states of dump are not older than
// that. The base is made in the background. What is appended counts when the base is in force;
// until then the files stay in force that were before.
func (d *Disk) startLog(at stream.Position, dump stream.Dumper) error {
	defer d.lockLog()()
	if d.on {
		return errLogOn
	}
	return d.beginAside(at, dump)
}

// continueLog goes on at a position with the state that the log has: where the stream ended, or
// in another history, which begins with that state. After a load it turns the log on, and what
// is appended counts at once. While the log is on it begins a new increment; a log in trouble is
// not gone on with, but must be replaced. If the current increment waits for its base, so does
// the new one.
func (d *Disk) continueLog(at stream.Position) error {
	defer d.lockLog()()
	was := d.loaded
	switch {
	case d.on && !d.canSwitch():
		return fmt.Errorf("%w: it is to be replaced", errLogOn)
	case d.on:
		_, err := d.switchTo(at)
		return err
	case was == nil || was.from == FromNothing && !d.manifest.empty():
		return errNotLoaded
	}
	kind := fileFirst
	if was.from == FromLog {
		kind = fileIncrement
	}
	c, err := d.createIncrement(at, kind)
	if err != nil {
		return err
	}
	m := manifest{last: c.number, increments: []incrementEntry{{c.number, openEnd}}}
	closedBytes := int64(0)
	switch was.from {
	case FromLog:
		m.base, m.increments = d.manifest.base, nil
		for _, i := range was.log.increments {
			if i.state.frames > 0 { // else a server that is started often would leave many
				m.increments = append(m.increments, incrementEntry{i.number, i.state.end})
				closedBytes += i.state.size
			}
		}
		m.increments = append(m.increments, incrementEntry{c.number, openEnd})
	case fromDump:
		m.base = c.number
		err = linkOrCopy(d.path(dumpName), d.path(baseName(c.number)))
	case FromNothing:
	}
	if err == nil {
		err = d.setManifest(m)
	}
	if err != nil {
		return errors.Join(err, d.discard(c))
	}
	d.loaded = nil
	d.mu.Lock()
	d.on, d.current, d.failed = true, c, nil
	d.record.baseBytes, d.record.closedBytes = was.log.base, closedBytes
	d.mu.Unlock()
	d.cleanUp()
	return nil
}

// canSwitch says whether another increment can follow the one that is appended to. turn is held.
func (d *Disk) canSwitch() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.canAppend() && !d.current.ragged
}

// replaceLog begins a new log because the state was replaced: as startLog, but with the log
// on. A rewrite of the old state that runs has no result.
func (d *Disk) replaceLog(at stream.Position, dump stream.Dumper) error {
	d.job.Store(nil) // which gives it up
	defer d.lockLog()()
	if !d.on {
		return errLogOff
	}
	return d.beginAside(at, dump)
}

// stopLog turns the log off. Its files stay, and the manifest notes when they ended.
func (d *Disk) stopLog() error {
	d.job.Store(nil)
	defer d.lockLog()()
	if !d.on {
		return errLogOff
	}
	err := d.closeCurrent()
	d.mu.Lock()
	d.on, d.failed = false, nil
	d.mu.Unlock()
	if d.manifest.empty() {
		return err
	}
	return errors.Join(err, d.markStopped())
}

// markStopped notes in the manifest that changes from now on are not in the log. files is held.
func (d *Disk) markStopped() error {
	m := d.manifest
	m.stopped = d.Now()
	return d.setManifest(m)
}
