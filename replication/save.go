package replication

import (
	"errors"
	"sync"
	"time"
)

// A saving is what is known of snapshots.
type saving struct {
	mu    sync.Mutex
	last  time.Time // when the last one began, or the process
	err   error     // of the last
	tried time.Time // when the last that failed began
}

// saveRetry is how long to wait after a snapshot that failed.
const saveRetry = 5 * time.Second

func (s *saving) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Save writes a snapshot, and returns when it is on disk.
func (n *Node) Save() error {
	if err := n.openDisk(); err != nil {
		return err
	}
	f := n.feed
	f.mu.Lock()
	f.drain()
	at, changes := f.at, f.changes
	f.mu.Unlock()
	started := time.Now()
	err := n.disk().save(at, n.dump)
	switch {
	case errors.Is(err, errAlreadyRunning):
		return err
	case errors.Is(err, errReplaced), errors.Is(err, errClosing): // which is not the disk's fault
		n.Logger.Warn("gave up a snapshot", "reason", err)
		return err
	}
	n.saving.mu.Lock()
	if n.saving.err = err; err == nil {
		n.saving.last = started
	} else {
		n.saving.tried = started
	}
	n.saving.mu.Unlock()
	if err == nil {
		f.mu.Lock() // not within saving's, which whoever judges takes within this one
		f.changes -= changes
		f.mu.Unlock()
	}
	if err != nil {
		n.Logger.Error("could not write a snapshot", "error", err)
	} else {
		n.Logger.Info("wrote a snapshot", "dir", n.Dir, "took", time.Since(started).Round(time.Millisecond))
	}
	return err
}

// BackgroundSave begins to write a snapshot.
func (n *Node) BackgroundSave() error {
	if err := n.openDisk(); err != nil {
		return err
	}
	if n.disk().stats().saving {
		return errAlreadyRunning
	}
	n.loops.Go(func() { _ = n.Save() }) // logged, and told by INFO
	return nil
}

// Saves says whether a snapshot is written now and then, and so at the end.
func (n *Node) Saves() bool { return len(n.tuning.Load().SavePoints) > 0 }

// LastSave is when the last snapshot was on disk, in seconds since the Unix epoch; 0: never.
func (n *Node) LastSave() int64 {
	if d := n.disk(); d != nil {
		return d.stats().saved
	}
	return 0
}

// Rewrite begins to write the append-only file anew.
func (n *Node) Rewrite() error {
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.log.on {
		return errLogOff
	}
	f.drain()
	return f.log.disk.rewrite(f.at, n.dumpBase)
}

// saveIfDue begins a snapshot if one of the save points says so.
func (n *Node) saveIfDue(t *Tuning) {
	if len(t.SavePoints) == 0 {
		return
	}
	n.feed.mu.Lock()
	changes := n.feed.changes
	n.feed.mu.Unlock()
	n.saving.mu.Lock()
	if n.saving.last.IsZero() {
		n.saving.last = time.Now()
	}
	since, failed, tried := time.Since(n.saving.last), n.saving.err != nil, n.saving.tried
	n.saving.mu.Unlock()
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
