package disk

import (
	"errors"
	"fmt"

	"github.com/rlserver/rlserver/replication/stream"
)

// startLog turns the log on, at a position of the stream that dump's states are not older
// than. What is appended counts from when the base is in force, which it is made in the
// background; before, what was in force stays so.
func (d *Disk) startLog(at stream.Position, dump stream.Dumper) error {
	d.files.Lock()
	defer d.files.Unlock()
	d.turn.Lock()
	defer d.turn.Unlock()
	if d.on {
		return errLogOn
	}
	return d.beginAside(at, dump)
}

// continueLog goes on at a position with the state that is there: where the stream ended, or
// another history, which begins with that state. It turns the log on after load, without a
// moment in which what is appended does not count; or it begins a new increment while the
// log is on, unless that is in trouble, when it is to be replaced. Where the increment waits
// for its base, the new one does too.
func (d *Disk) continueLog(at stream.Position) error {
	d.files.Lock()
	defer d.files.Unlock()
	d.turn.Lock()
	defer d.turn.Unlock()
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
		m.base, m.increments = was.manifest.base, nil
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
	return d.takes() && !d.current.ragged
}

// replaceLog begins a new log because the state was replaced: as startLog, but with the log
// on. A rewrite of the old state that runs comes to nothing.
func (d *Disk) replaceLog(at stream.Position, dump stream.Dumper) error {
	d.abandonJob()
	d.files.Lock()
	defer d.files.Unlock()
	d.turn.Lock()
	defer d.turn.Unlock()
	if !d.on {
		return errLogOff
	}
	return d.beginAside(at, dump)
}

// stopLog turns the log off. Its files stay, and it is noted that they will grow old.
func (d *Disk) stopLog() error {
	d.abandonJob()
	d.files.Lock()
	defer d.files.Unlock()
	d.turn.Lock()
	defer d.turn.Unlock()
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

// markStopped notes that what comes now is not in the log. files is held.
func (d *Disk) markStopped() error {
	m := d.manifest
	m.stopped = d.Now()
	return d.setManifest(m)
}
