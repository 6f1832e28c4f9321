package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/replication/disk"
	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/replication/stream"
)

// A Node keeps a store's changes beyond the process: on disk, and on replicas; or it is itself
// the replica of another server.
type Node struct {
	Options
	began    int64 // s since the Unix epoch
	feed     *stream.Feed
	log      disk.Writer               // guarded by the feed's lock
	disk     atomic.Pointer[disk.Disk] // that log writes to; nil before it is opened
	replicas *link.Primary
	tuning   atomic.Pointer[Tuning]
	held     atomic.Bool // answers wait for the disk
	wake     chan struct{}
	stop     context.CancelFunc
	ended    context.Context
	// listening is closed when the server listens.
	listening chan struct{}
	loops     sync.WaitGroup // the loop, snapshots

	role   sync.Mutex                   // held while what this node is changes
	link   atomic.Pointer[link.Replica] // to the primary; nil on a primary
	loaded bool                         // the feed's position is that of the store

	waitingMu sync.Mutex
	waiting   []commit

	refused  atomic.Pointer[string] // what Refuse was told last
	troubled string                 // what was last logged to be wrong with the disk; guarded by the feed's lock
	// opening is held while the disk is opened, locked and unlocked. uses counts what needs it locked:
	// the changes that are kept there all the time, if keeps, and a load and snapshots meanwhile.
	opening sync.Mutex
	uses    int
	keeps   bool
	saving  saving // guarded by the feed's lock
}

// New opens the disk if there is something to load or to write, fills the store, and begins to
// follow what it was told to. What is on disk and cannot be right is a *DamageError.
func New(o Options) (*Node, error) {
	n := &Node{Options: o, began: o.Now() / 1_000_000, wake: make(chan struct{}, 1), listening: make(chan struct{})}
	n.ended, n.stop = context.WithCancel(context.Background())
	n.tuning.Store(&o.Tuning)
	n.feed = stream.NewFeed(n.ended, o.Store, o.Entries, o.Now, &n.log)
	n.replicas = link.NewPrimary(n.ended, n.linkOptions(), n.link.Load)
	if err := n.start(); err != nil {
		n.stop()
		if d := n.disk.Load(); d != nil {
			err = errors.Join(err, d.Close())
		}
		return nil, err
	}
	n.loops.Go(n.run)
	return n, nil
}

// Listening tells that the server listens: a replica connects to its primary from now on. It
// is called once.
func (n *Node) Listening() { close(n.listening) }

func (n *Node) start() error {
	t, f := n.tuning.Load(), n.feed
	wanted := t.keeps()
	at := stream.Position{ID: stream.NewID()}
	if wanted || disk.HasFiles(n.Dir) {
		var err error
		if at, err = n.load(at); err != nil {
			return err
		}
		defer n.leaveDisk() // after what follows
	}
	if err := n.keepDisk(); err != nil {
		return err
	}
	f.Lock()
	defer f.Unlock()
	f.LimitBacklog(t.BacklogBytes)
	replica := n.Host != ""
	if !replica { // what was loaded may be younger than the stream's end, so no replica can continue from there
		at.ID = stream.NewID()
	}
	f.Start(at)
	if !replica && wanted {
		f.Track(true)
	}
	if t.AppendOnly {
		if err := n.log.Resume(at); err != nil {
			return err
		}
	}
	n.setHeld()
	if replica {
		n.becomeReplica(n.Host, n.Port, n.loaded)
	}
	return nil
}

// keepDisk has the directory locked if changes are kept there, and not otherwise: what is written there
// by hand, now and then, must not keep other servers away for good.
func (n *Node) keepDisk() error {
	keeps := n.tuning.Load().keeps()
	n.opening.Lock()
	was := n.keeps
	n.opening.Unlock()
	if keeps == was {
		return nil
	}
	if keeps {
		if err := n.useDisk(); err != nil {
			return err
		}
	} else {
		n.leaveDisk()
	}
	n.opening.Lock()
	n.keeps = keeps
	n.opening.Unlock()
	return nil
}

// useDisk opens the disk, if it is not open, and locks the directory until leaveDisk.
func (n *Node) useDisk() (err error) {
	n.opening.Lock()
	defer n.opening.Unlock()
	switch {
	case n.disk.Load() == nil:
		err = n.openDisk()
	case n.uses == 0:
		err = n.disk.Load().Lock()
	}
	if err == nil {
		n.uses++
	}
	return err
}

// leaveDisk gives the directory free when nothing uses it.
func (n *Node) leaveDisk() {
	n.opening.Lock()
	defer n.opening.Unlock()
	if n.uses--; n.uses > 0 {
		return
	}
	if err := n.disk.Load().Unlock(); err != nil {
		n.Logger.Error("cannot give the directory free", "dir", n.Dir, "error", err)
	}
}

// openDisk opens the disk. opening is held.
func (n *Node) openDisk() error {
	d, err := disk.Open(disk.Options{Dir: n.Dir, Fsync: n.fsync, Logger: n.Logger, Now: n.Now})
	if err != nil {
		return err
	}
	n.feed.Lock()
	defer n.feed.Unlock()
	n.log.Disk = d
	n.disk.Store(d)
	return nil
}

// load fills the store and the set of policies from the disk. It returns the place of what it found,
// or at.
func (n *Node) load(at stream.Position) (stream.Position, error) {
	if err := n.useDisk(); err != nil {
		return at, err
	}
	started, loading := time.Now(), n.feed.Load()
	from, found, err := n.log.Disk.Load(n.tuning.Load().AppendOnly, loading)
	if err == nil {
		err = loading.Done()
	}
	if err != nil {
		return at, err
	}
	n.Advance(n.log.Disk.Reading())
	if from == disk.FromNothing {
		return at, nil
	}
	// A snapshot may have changes that are younger than the place that it names, and are in no
	// history. A log has none.
	n.loaded = from == disk.FromLog
	n.Logger.Info("loaded from disk", "dir", n.Dir, "records", loading.Records, "keys", n.Store.Len(),
		"took", time.Since(started).Round(time.Millisecond), "history", found.ID, "offset", found.Offset)
	return found, nil
}

// Tune changes what can be changed. If the disk does not let it, nothing is changed.
func (n *Node) Tune(t Tuning) error {
	before := n.tuning.Swap(&t)
	if t.keeps() {
		if err := n.keepDisk(); err != nil {
			n.tuning.Store(before)
			return err
		}
	}
	err := n.tune(&t, before)
	return errors.Join(err, n.keepDisk())
}

// tune has settings take effect for which the disk is there.
func (n *Node) tune(t, before *Tuning) error {
	n.feed.Lock()
	defer n.feed.Unlock()
	if t.AppendOnly != n.log.IsOn() {
		if err := n.turnLog(t.AppendOnly); err != nil {
			n.tuning.Store(before)
			return err
		}
	}
	n.feed.LimitBacklog(t.BacklogBytes)
	if len(t.SavePoints) > 0 && n.link.Load() == nil {
		n.feed.Track(false)
	}
	n.setHeld()
	n.judge()
	return nil
}

// turnLog turns the log on or off. The feed is locked.
func (n *Node) turnLog(on bool) (err error) {
	if on {
		if n.link.Load() == nil {
			n.feed.Track(false)
		}
		n.feed.Drain()
		err = n.log.Begin(n.feed.Place(), n.feed.DumpBase)
	} else {
		err = n.log.Stop()
	}
	if err != nil {
		n.Logger.Error("cannot turn the append-only file on or off", "error", err)
	}
	return err
}

// setHeld notes whether answers wait for the disk. The feed is locked.
func (n *Node) setHeld() {
	n.held.Store(n.log.IsOn() && n.fsync() == disk.SyncAlways)
}

// fsync is the setting appendfsync.
func (n *Node) fsync() disk.Policy { return disk.Policy(n.tuning.Load().Fsync) }

// run drains the store, answers commits, and tends the rest.
func (n *Node) run() {
	timer := time.NewTimer(n.interval())
	defer timer.Stop()
	tended := time.Now()
	for {
		select {
		case <-n.ended.Done():
			n.answerCommits()
			return
		case <-n.wake:
			n.answerCommits()
			continue
		case <-timer.C:
		}
		n.feed.Lock()
		n.feed.Drain()
		n.judge()
		n.feed.Unlock()
		if time.Since(tended) >= tendInterval {
			tended = time.Now()
			n.tend()
		}
		timer.Reset(n.interval())
	}
}

func (n *Node) interval() time.Duration {
	if n.replicas.Count() > 0 {
		return replicaInterval
	}
	return diskInterval
}

// tend mends the log, saves and cuts replicas off, where that is due.
func (n *Node) tend() {
	t := n.tuning.Load()
	n.feed.Lock()
	n.log.Mend(n.feed.Place(), n.feed.DumpBase, int64(t.RewritePercentage), t.RewriteMinSize)
	n.feed.Unlock()
	n.saveIfDue(t)
	n.replicas.CutOff()
}

// Close appends what is left, gives replicas a moment to take it, writes a snapshot if there
// is to be one, and closes the disk. Nothing may be changed in the store meanwhile.
func (n *Node) Close(save bool) error {
	n.role.Lock()
	defer n.role.Unlock()
	if l := n.link.Load(); l != nil {
		l.End()
	}
	n.replicas.Await(closeGrace)
	var err error
	if save {
		err = n.Save()
	}
	n.stop()
	n.replicas.Close()
	n.loops.Wait()
	if d := n.disk.Load(); d != nil {
		if trouble := n.log.Trouble(); trouble != nil {
			err = errors.Join(err, fmt.Errorf("the append-only file lacks the last changes: %w", trouble))
		}
		err = errors.Join(err, d.Close())
	}
	return err
}

// closeGrace is how long replicas have at the end to acknowledge the last changes.
const closeGrace = time.Second
