package replication

import (
	"errors"
	"time"

	"github.com/rlserver/rlserver/replication/disk"
	"github.com/rlserver/rlserver/replication/stream"
)

// saving is what the node knows of its snapshots.
type saving struct {
	last  time.Time // when the last one that is on disk began, or the process
	err   error     // of the last one; nil if it is on disk
	tried time.Time // when the last one that failed began
}

// saveRetry is how long to wait after a snapshot that failed.
const saveRetry = 5 * time.Second

// Save writes a snapshot, and returns when it is on disk.
func (n *Node) Save() error {
	if err := n.useDisk(); err != nil {
		return err
	}
	defer n.leaveDisk()
	n.feed.Lock()
	n.feed.Drain()
	at, changes := n.feed.Place(), n.feed.Unsaved()
	n.feed.Unlock()
	started := time.Now()
	err := n.disk.Load().Save(at, n.feed.Dump)
	switch {
	case errors.Is(err, disk.ErrAlreadyRunning):
		return err
	case errors.Is(err, stream.ErrReplaced), errors.Is(err, stream.ErrClosing): // which is not the disk's fault
		n.Logger.Warn("gave up a snapshot", "reason", err)
		return err
	}
	n.feed.Lock()
	defer n.feed.Unlock()
	if n.saving.err = err; err != nil {
		n.saving.tried = started
		n.Logger.Error("could not write a snapshot", "error", err)
		return err
	}
	n.saving.last = started
	n.feed.Saved(changes)
	n.Logger.Info("wrote a snapshot", "dir", n.Dir, "took", time.Since(started).Round(time.Millisecond))
	return nil
}

// BackgroundSave begins to write a snapshot.
func (n *Node) BackgroundSave() error {
	if err := n.useDisk(); err != nil {
		return err
	}
	if n.disk.Load().IsSaving() {
		n.leaveDisk()
		return disk.ErrAlreadyRunning
	}
	n.loops.Go(func() {
		defer n.leaveDisk()
		_ = n.Save() // logged, and told by INFO
	})
	return nil
}

// Saves says whether a snapshot is written now and then, and so at the end.
func (n *Node) Saves() bool { return len(n.tuning.Load().SavePoints) > 0 }

// LastSave is when the last snapshot was on disk, in seconds since the Unix epoch. While there has
// been none, it is when the node began, as in Redis.
func (n *Node) LastSave() int64 {
	if d := n.disk.Load(); d != nil && d.LastSave() > 0 {
		return d.LastSave()
	}
	return n.began
}

// Rewrite begins to write the append-only file anew.
func (n *Node) Rewrite() error {
	n.feed.Lock()
	defer n.feed.Unlock()
	n.feed.Drain()
	return n.log.Rewrite(n.feed.Place(), n.feed.DumpBase)
}

// saveIfDue begins a snapshot if one of the save points says so.
func (n *Node) saveIfDue(t *Tuning) {
	if len(t.SavePoints) == 0 {
		return
	}
	n.feed.Lock()
	changes := n.feed.Unsaved()
	if n.saving.last.IsZero() {
		n.saving.last = time.Now()
	}
	since, failed, tried := time.Since(n.saving.last), n.saving.err != nil, n.saving.tried
	n.feed.Unlock()
	if failed && time.Since(tried) < saveRetry {
		return
	}
	for _, p := range t.SavePoints {
		// After one that failed changes are refused, so there may never be enough of them.
		if failed || changes >= p.Changes && since >= p.After {
			_ = n.BackgroundSave() // one that runs is as good
			return
		}
	}
}
