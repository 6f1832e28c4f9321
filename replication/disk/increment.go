package disk

import (
	"errors"
	"os"
	"slices"

	"github.com/rlserver/rlserver/replication/stream"
)

// closeCurrent syncs and closes the current increment, and removes it if it counts for nothing.
// turn is held.
func (d *Disk) closeCurrent() error {
	c := d.current
	if c == nil {
		return nil
	}
	var err error
	if !c.aside {
		if err = d.syncCurrent(); err == nil {
			err = c.trim()
		}
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	d.current = nil
	d.mu.Unlock()
	if c.aside {
		return d.discard(c)
	}
	return errors.Join(err, diskError(c.file.Close()))
}

// createIncrement makes an empty increment, and has it on disk. files is held.
func (d *Disk) createIncrement(at stream.Position, kind fileKind) (*increment, error) {
	if d.manifestErr != nil {
		return nil, d.manifestErr
	}
	if !d.manifestFound {
		if err := d.setManifest(manifest{}); err != nil {
			return nil, err
		}
	}
	// A number is used once, so that an abandoned rewrite cannot write to the file of another.
	d.manifest.last++
	number := d.manifest.last
	f, err := os.OpenFile(d.path(incrementName(number)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePermissions)
	if err != nil {
		return nil, diskError(err)
	}
	c := &increment{file: f, number: number, end: at, bytes: fileHeaderBytes}
	if err = writeHeader(f, fileHeader{kind, at, d.Now()}); err == nil {
		err = syncFile(f)
	}
	if err == nil {
		err = syncDir(d.Dir)
	}
	if err != nil {
		return nil, errors.Join(err, d.discard(c))
	}
	crashPoint("increment created")
	return c, nil
}

// chain are the increments that come into force together. c is the last, and ends at end.
func (c *increment) chain(end int64) []incrementEntry {
	return append(slices.Clip(c.before), incrementEntry{c.number, end})
}

// discard closes and removes an increment, and those that were to come into force with it.
func (d *Disk) discard(c *increment) error {
	_ = c.file.Close()
	// An increment that may have come into force stays: it may be empty, but it is named.
	named := d.manifest.files()
	var failed []error
	for _, e := range c.chain(openEnd) {
		if name := incrementName(e.number); !slices.Contains(named, name) {
			failed = append(failed, removeFile(d.path(name)))
		}
	}
	return errors.Join(failed...)
}

// setManifest puts m in force. files is held.
func (d *Disk) setManifest(m manifest) error {
	err := writeManifest(d.Dir, &m)
	if err == nil || errors.Is(err, errUncertain) {
		d.manifest, d.manifestFound = m, true
	}
	return err
}

// switchTo begins a new increment of the same log. It is appended to from now on. files and
// turn are held, and canAppend is true.
func (d *Disk) switchTo(at stream.Position) (*increment, error) {
	c := d.current
	next, err := d.createIncrement(at, fileIncrement)
	if err != nil {
		return nil, err
	}
	// The file before must be on disk first: only the last increment of a log may be torn.
	if err := d.syncCurrent(); err != nil {
		return nil, errors.Join(err, d.discard(next))
	}
	if c.aside {
		next.aside, next.before = true, c.chain(c.end.Offset)
	} else if err := d.nameNext(c, next); err != nil {
		return nil, errors.Join(err, d.discard(next))
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = next
	d.record.closedBytes += c.bytes
	_ = c.file.Close() // it is on disk
	return next, nil
}

// nameNext puts an increment in force behind the current one. files and turn are held.
func (d *Disk) nameNext(c, next *increment) error {
	m := d.manifest
	m.increments = slices.Clone(m.increments)
	m.increments[len(m.increments)-1].end = c.end.Offset
	m.increments = append(m.increments, incrementEntry{next.number, openEnd})
	err := d.setManifest(m)
	if errors.Is(err, errUncertain) { // either may be in force, so neither can be appended to
		_ = d.syncFailed(c, err)
	}
	return err
}
