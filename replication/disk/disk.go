package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// A Policy says when what was appended is on disk: a value of the setting appendfsync.
type Policy string

// The policies, by what is on disk when an append returns.
const (
	SyncAlways      Policy = "always"   // before append returns
	SyncEverySecond Policy = "everysec" // a sync begins within a second
	SyncNo          Policy = "no"       // when the system likes
)

// syncInterval is how often everysec syncs. A change that was drained a quarter of a second
// late, and took as long to sync, is on disk within the second.
const syncInterval = 500 * time.Millisecond

// Errors of the disk.
var (
	errLogOff         = errors.New("replication: the append-only file is off")
	errLogOn          = errors.New("replication: the append-only file is on already")
	errNotLoaded      = errors.New("replication: a log that was not loaded cannot be continued")
	ErrAlreadyRunning = errors.New("replication: already in progress")
	// errNoBase is that nothing can be appended, because the rewrite that makes the base has
	// failed.
	errNoBase = errors.New("replication: the append-only file has to be rewritten, and that failed")
	// errUnreliable is that nothing can be appended, because a sync failed.
	errUnreliable = errors.New("replication: the append-only file cannot be relied on until it has been rewritten")
)

// Options are what a Disk is made of.
type Options struct {
	Dir    string        // must exist
	Fsync  func() Policy // of the moment
	Logger *slog.Logger
	Now    func() int64 // µs since the Unix epoch
}

// A Disk is what is kept in a directory: the log (appendonly.*) and the snapshot (dump.rls).
//
// A sync that fails. The kernel reports once that pages were not written; the next sync
// succeeds without them. So after the first failure the content of the file is
// unknown, and to sync again would prove nothing. From then on append returns errUnreliable,
// until a rewrite has made a new base and a new increment and put them in force. Until then the
// old files stay in force: they may lack their end, and are better than none. What is appended
// while that rewrite runs goes to the new increment; append returns nil, and stats says that
// it would not be found after a crash yet.
type Disk struct {
	Options
	lock *os.File // of the directory; nil while it is free

	// Locks, in the order in which they are locked: files while the files in force change; turn
	// while something is appended, or the file for it changes; syncing during a sync in the
	// background, and while a file that may be synced is closed; mu for moments.
	files, turn, syncing, mu sync.Mutex

	// manifest is what is in force; guarded by files. manifestErr is why it cannot be known.
	manifest      manifest
	manifestFound bool
	manifestErr   error
	loaded        *loadedState // since load, until the log is on
	reading       int64        // of the clock that decided, the last one that load found, µs

	// Written with files, turn and mu held, read with any of them.
	on      bool
	current *increment // the one that is appended to; nil if off, or errNoBase

	// Guarded by mu.
	//
	// failed is why what is appended would not be found after a crash: errUnreliable or
	// errNoBase, and the cause.
	failed error
	record diskStats // the part of stats that is kept nowhere else

	job atomic.Pointer[rewriteJob] // the one that runs; nil ends it

	stop     chan struct{}
	jobs     sync.WaitGroup // goroutines
	rewrites sync.WaitGroup // those of them that rewrite
}

// An increment is a file that is appended to.
type increment struct {
	file   *os.File
	number int
	ragged bool // there may be a part of a frame behind bytes; guarded by turn

	// Written with turn and mu held, read with either.
	end   stream.Position // behind the last complete frame
	bytes int64           // of the file, up to there

	// Written with files and mu held, read with either.
	aside bool // it is in no manifest: its base is being written
	// before are those that come into force with an increment that is aside, and before it.
	before []incrementEntry

	// Guarded by mu.
	unsynced bool  // something was appended since the last sync began
	failed   error // of a sync
}

// Open locks a directory and removes what a crash left behind there.
func Open(o Options) (*Disk, error) {
	d := &Disk{Options: o, stop: make(chan struct{})}
	if err := d.Lock(); err != nil {
		return nil, err
	}
	d.jobs.Go(d.syncEverySecond)
	return d, nil
}

// Lock takes the directory again after Unlock: another process may have had it meanwhile.
func (d *Disk) Lock() (err error) {
	defer d.lockLog()()
	if d.lock, err = lockDir(d.Dir); err != nil {
		return err
	}
	d.loaded = nil
	d.manifest, d.manifestFound, d.manifestErr = readManifest(d.Dir)
	if d.manifestErr == nil {
		err = errors.Join(d.removeLeftovers(), removeFile(d.path(dumpName+temporary)))
	}
	if info, failed := os.Stat(d.path(dumpName)); failed == nil {
		d.mu.Lock()
		d.record.saved, d.record.dumpBytes = info.ModTime().Unix(), info.Size()
		d.mu.Unlock()
	}
	if err != nil {
		return errors.Join(err, d.unlock())
	}
	return nil
}

// Unlock gives the directory free while the log is off and no snapshot is written. A rewrite that was
// given up is waited for.
func (d *Disk) Unlock() error {
	d.rewrites.Wait()
	defer d.lockLog()()
	return d.unlock()
}

// unlock gives the directory free. files is held.
func (d *Disk) unlock() error {
	lock := d.lock
	d.lock = nil
	if lock == nil {
		return nil
	}
	return unlockFile(lock)
}

func (d *Disk) path(name string) string { return filepath.Join(d.Dir, name) }

// removeLeftovers removes the files of the log that are not in force. It is called with
// files held, or by Open, and not while a rewrite runs.
func (d *Disk) removeLeftovers() error {
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return diskError(err)
	}
	keep := d.manifest.files()
	var failed []error
	for _, e := range entries {
		name := e.Name()
		_, _, log := parseName(strings.TrimSuffix(name, temporary))
		if log && !slices.Contains(keep, name) || name == manifestName+temporary {
			crashPoint("before removal")
			failed = append(failed, removeFile(d.path(name)))
		}
	}
	return errors.Join(failed...)
}

// append writes complete frames that begin where those before ended; end is the offset behind
// them. If it returns nil they are written, and with SyncAlways they are on disk, or stats says
// why that does not count yet. If it returns an error they are not in the file, and can be
// appended again.
func (d *Disk) append(frames []byte, end int64) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	always, c := d.Fsync() == SyncAlways, d.current
	d.mu.Lock()
	can, err := d.canAppend(), d.failed
	d.mu.Unlock()
	switch {
	case !d.on:
		err = errLogOff
	case can:
		err = d.write(c, frames, end, always)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.record.appendErr = err; err == nil {
		c.bytes += int64(len(frames))
		c.end.Offset = end
		c.unsynced = !always
	}
	return err
}

// write writes frames behind those of an increment. turn is held.
func (d *Disk) write(c *increment, frames []byte, end int64, sync bool) error {
	if err := c.follows(frames, end); err != nil {
		return err
	}
	if err := c.trim(); err != nil {
		return err
	}
	if _, err := c.file.WriteAt(frames, c.bytes); err != nil {
		c.ragged = true // WriteAt does not always tell how much was written
		return errors.Join(diskError(err), c.trim())
	}
	crashPoint("appended")
	if !sync {
		return nil
	}
	if err := syncFile(c.file); err != nil {
		c.ragged = true
		return d.syncFailed(c, errors.Join(err, c.trim()))
	}
	crashPoint("append synced")
	return nil
}

// canAppend says whether what is appended is in force, or comes into force with its base. mu
// is held.
func (d *Disk) canAppend() bool {
	c := d.current
	return c != nil && c.failed == nil && (d.failed == nil || c.aside)
}

// follows checks that frames begin where those before ended: a log with a gap in it is
// damaged.
func (c *increment) follows(frames []byte, end int64) error {
	if len(frames) < stream.FrameExtraBytes {
		return fmt.Errorf("%w: %d bytes are no frame", stream.ErrGap, len(frames))
	}
	h, err := stream.ParseFrameHeader(frames)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", stream.ErrGap, err)
	case h.Offset != c.end.Offset || end < h.Offset:
		return fmt.Errorf("%w: from %d to %d, behind %d in %s", stream.ErrGap, h.Offset, end, c.end.Offset, c.file.Name())
	}
	return nil
}

// trim cuts what a failed append left behind. If it cannot, nothing can be appended: a shorter
// frame would leave the end of the failed one behind it.
func (c *increment) trim() error {
	if !c.ragged {
		return nil
	}
	if err := c.file.Truncate(c.bytes); err != nil {
		return diskError(err)
	}
	c.ragged = false
	return nil
}

// syncFailed makes a failure to sync c known, and returns what follows from it. turn or syncing is
// held.
func (d *Disk) syncFailed(c *increment, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.failed = err
	d.failed = fmt.Errorf("%w: %w", errUnreliable, err)
	d.Logger.Error("the append-only file cannot be relied on until it has been rewritten", "error", err)
	return d.failed
}

func (d *Disk) syncEverySecond() {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
		}
		if d.Fsync() == SyncEverySecond {
			_ = d.syncCurrent() // the next append returns the error
		}
	}
}

// syncCurrent syncs what was appended so far. Appending goes on meanwhile.
func (d *Disk) syncCurrent() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	c := d.current
	if c == nil || !c.unsynced || c.failed != nil {
		defer d.mu.Unlock()
		if c != nil {
			return c.failed
		}
		return nil
	}
	c.unsynced = false
	d.mu.Unlock()
	if err := syncFile(c.file); err != nil {
		return d.syncFailed(c, err)
	}
	crashPoint("synced")
	return nil
}

// Close syncs and gives the directory free. Nothing may be called after it.
func (d *Disk) Close() error {
	d.job.Store(nil) // which gives it up
	close(d.stop)
	d.jobs.Wait()
	defer d.lockLog()()
	err := d.closeCurrent()
	d.mu.Lock()
	d.on = false
	d.mu.Unlock()
	return errors.Join(err, d.unlock())
}
