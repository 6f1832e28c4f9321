package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/rlserver/rlserver/replication/stream"
)

const (
	// After a rewrite failed, needsRewrite waits this long (µs), twice as long each time.
	rewriteRetryMin = int64(1_000_000)
	rewriteRetryMax = int64(60_000_000)
)

// A rewriteJob writes a base in the background and puts it in force.
type rewriteJob struct {
	number  int // of the base, and of the increment that goes with it
	at      stream.Position
	aside   bool // the increment is in force only with the base
	started int64
}

// rewrite makes the log as short as the state is, in the background. It is called between two
// appends; at is where the next one begins in the stream. If the last one did not end there, or
// the log is in trouble, the new files come into force only when all of them are there.
func (d *Disk) rewrite(at stream.Position, dump stream.Dumper) error {
	defer d.lockLog()()
	switch {
	case !d.on:
		return errLogOff
	case d.job.Load() != nil:
		return ErrAlreadyRunning
	case !d.canSwitch() || d.current.aside || d.current.end != at:
		return d.beginAside(at, dump)
	}
	next, err := d.switchTo(at)
	if err != nil {
		return d.rewriteFailed(err)
	}
	d.beginJob(next, at, dump)
	return nil
}

// beginAside makes an increment that is appended to from now on, and counts when its base is
// in force. files and turn are held.
func (d *Disk) beginAside(at stream.Position, dump stream.Dumper) error {
	next, err := d.createIncrement(at, fileFirst)
	if err != nil {
		return d.rewriteFailed(err)
	}
	next.aside = true
	err = d.closeCurrent()
	d.mu.Lock()
	if err != nil && d.failed == nil {
		// The file holds changes that were acknowledged. The rewrite that begins here is the
		// remedy. The loss of an increment that counted for nothing is none.
		d.failed = fmt.Errorf("%w: %w", errUnreliable, err)
	}
	d.on, d.current, d.loaded = true, next, nil
	d.mu.Unlock()
	d.beginJob(next, at, dump)
	return nil
}

// beginJob writes the base that goes with an increment. files and turn are held.
func (d *Disk) beginJob(c *increment, at stream.Position, dump stream.Dumper) {
	job := &rewriteJob{number: c.number, at: at, aside: c.aside, started: d.Now()}
	d.job.Store(job)
	d.rewrites.Add(1)
	d.jobs.Go(func() { defer d.rewrites.Done(); d.run(job, dump) })
}

func (d *Disk) run(job *rewriteJob, dump stream.Dumper) {
	path := d.path(baseName(job.number))
	bytes, err := writeSnapshot(path+temporary, job.at, d.Now, dump, func() bool { return d.job.Load() == job })
	if err == nil {
		err = d.install(job, path, bytes)
	}
	if err != nil {
		d.jobFailed(job, err)
		return
	}
	d.Logger.Info("rewrote the append-only file", "base", path, "bytes", bytes)
}

// install puts a base in force that is written.
func (d *Disk) install(job *rewriteJob, path string, bytes int64) error {
	// So that the new files lack no more than the old ones would.
	if err := d.syncCurrent(); err != nil && job.aside {
		return errors.Join(err, removeFile(path+temporary))
	}
	d.files.Lock()
	defer d.files.Unlock()
	if d.job.Load() != job {
		return errors.Join(errAbandoned, removeFile(path+temporary))
	}
	if err := putInPlace(path+temporary, path); err != nil {
		return errors.Join(err, removeFile(path+temporary), removeFile(path))
	}
	m := manifest{last: d.manifest.last, base: job.number}
	if job.aside {
		m.increments = d.current.chain(openEnd)
	} else {
		m.increments = slices.DeleteFunc(slices.Clone(d.manifest.increments), func(i incrementEntry) bool { return i.number < job.number })
	}
	if err := d.setManifest(m); err != nil {
		if errors.Is(err, errUncertain) { // either may be in force, so both must stay
			return err
		}
		return errors.Join(err, removeFile(path))
	}
	closed := d.closedBytes(&m)
	d.mu.Lock()
	if job.aside {
		d.current.aside, d.current.before = false, nil
		if d.current.failed == nil {
			d.failed = nil
		}
	}
	d.record.baseBytes, d.record.closedBytes = bytes, closed
	d.record.rewriteErr, d.record.rewriteFails = nil, 0
	d.ended(job)
	d.mu.Unlock()
	d.cleanUp()
	return nil
}

// closedBytes is the size of all increments of a manifest but the last.
func (d *Disk) closedBytes(m *manifest) (bytes int64) {
	for _, i := range m.increments[:len(m.increments)-1] {
		if info, err := os.Stat(d.path(incrementName(i.number))); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// cleanUp removes the files that are not in force any more. A file that it cannot remove goes
// at the next start. files is held and no rewrite runs.
func (d *Disk) cleanUp() {
	if err := d.removeLeftovers(); err != nil {
		d.Logger.Warn("left files behind that are not needed any more", "error", err)
	}
}

// ended notes that a rewrite is over. mu is held, until the outcome is noted.
func (d *Disk) ended(job *rewriteJob) {
	d.job.CompareAndSwap(job, nil) // another may have begun
	d.record.rewriteSeconds = (d.Now() - job.started) / 1_000_000
	d.record.rewrites++
}

// rewriteFailed notes that a rewrite failed.
func (d *Disk) rewriteFailed(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record.rewriteErr = err
	d.record.rewriteFails++
	d.record.rewriteRetry = d.Now() + min(rewriteRetryMin<<min(d.record.rewriteFails-1, 10), rewriteRetryMax)
	d.Logger.Error("could not rewrite the append-only file", "error", err)
	return err
}

// jobFailed notes that a base could not be made. The increment that was to stand on it counts
// for nothing.
func (d *Disk) jobFailed(job *rewriteJob, err error) {
	if d.job.Load() != job { // it was abandoned
		return
	}
	err = d.rewriteFailed(err)
	d.mu.Lock()
	d.ended(job)
	d.mu.Unlock()
	if !job.aside {
		return
	}
	defer d.lockLog()()
	if c := d.current; c == nil || c.chain(openEnd)[0].number != job.number {
		return
	}
	if err := d.closeCurrent(); err != nil {
		d.Logger.Warn("left a file behind that is not needed any more", "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = fmt.Errorf("%w: %w", errNoBase, err)
}

// needsRewrite says whether a rewrite is due and can begin: the log lacks changes, or is in trouble
// that a rewrite might end, or has grown by percent over its base (0 is never) and to at least so
// many bytes. None begins while one runs, or soon after one has failed.
func (d *Disk) needsRewrite(lacks bool, percent, bytes int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.on || d.job.Load() != nil || d.record.rewriteFails > 0 && d.Now() < d.record.rewriteRetry:
		return false
	case lacks || d.failed != nil:
		return true
	}
	grown := d.grown()
	return percent > 0 && grown >= bytes && grown >= d.record.baseBytes/100*percent
}

// grown is the bytes of the increments. mu is held.
func (d *Disk) grown() int64 {
	grown := d.record.closedBytes
	if d.current != nil {
		grown += d.current.bytes
	}
	return grown
}
