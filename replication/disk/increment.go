package disk

import (
	"errors"
	"slices"

	"github.com/rlserver/rlserver/replication/stream"
)

// closeCurrent syncs and closes what is appended to, and removes it if it counts for nothing.
// turn is held.
func (d *Disk) closeCurrent() error {
	d.mu.Lock()
	c := d.current
	d.mu.Unlock()
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
	// The number is used once, so that what an abandoned rewrite may still write is nobody
	// else's.
	d.manifest.last++
	number := d.manifest.last
	f, err := createFile(d.path(incrementName(number)), fileHeader{kind, at, d.Now()})
	if err != nil {
		return nil, err
	}
	c := &increment{file: f, number: number, end: at, bytes: fileHeaderBytes}
	if err = syncFile(f); err == nil {
		err = syncDir(d.Dir)
	}
	if err != nil {
		return nil, errors.Join(err, d.discard(c))
	}
	crashPoint("increment created")
	return c, nil
}

// chain are the increments that come into force together, of which c is the last and ends there.
func (c *increment) chain(end int64) []incrementEntry {
	return append(slices.Clip(c.before), incrementEntry{c.number, end})
}

// discard closes and removes an increment, and those that were to come into force with it.
func (d *Disk) discard(c *increment) error {
	_ = c.file.Close()
	// What came into force and nobody knows stays: it may be empty, but it is named.
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

// switchTo has what is appended from now on go to a new increment of the same log. files and
// turn are held; the current increment takes what is appended.
func (d *Disk) switchTo(at stream.Position) (*increment, error) {
	c := d.current
	next, err := d.createIncrement(at, fileIncrement)
	if err != nil {
		return nil, err
	}
	// The file before must be on disk first: a log is not torn but damaged where anything
	// follows.
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
		d.syncFailed(c, err)
	}
	return err
}
