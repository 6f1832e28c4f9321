package replication

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Node keeps a store's changes beyond the process: on disk, and on replicas; or it is itself
// the replica of another.
type Node struct {
	Options
	feed   *feed
	tuning atomic.Pointer[Tuning]
	held   atomic.Bool // answers wait for the disk
	wake   chan struct{}
	stop   context.CancelFunc
	ended  context.Context
	// listening is closed when the server listens.
	listening chan struct{}
	loops     sync.WaitGroup // the loop, the link to a primary, waits

	// role is held by whoever changes what this node is.
	role   sync.Mutex
	link   atomic.Pointer[primaryLink] // to the primary; nil on a primary
	loaded bool                        // the feed's position is that of the store
	// generation counts how often the store's state was replaced, so that a dump that began
	// before notices.
	generation atomic.Uint64
	applying   sync.Mutex // held while a primary's frame is in the store and not in the feed

	commits  commits
	replicas replicas
	refused  atomic.Pointer[string] // what Refuse was told last
	troubled string                 // what was last logged to be wrong with the disk; guarded by the feed's mu
	opening  sync.Mutex             // of the disk
	saving   saving
}

// New opens the disk if there is something to load or to write, fills the store, and begins to
// follow what it was told to. What is on disk and cannot be right is a *DamageError.
func New(o Options) (*Node, error) {
	n := &Node{Options: o, wake: make(chan struct{}, 1), listening: make(chan struct{})}
	n.ended, n.stop = context.WithCancel(context.Background())
	n.tuning.Store(&o.Tuning)
	n.feed = newFeed(o.Store, o.Logger)
	n.feed.backlog.limit = o.Tuning.BacklogBytes
	n.replicas.changed = make(chan struct{})
	if err := n.start(); err != nil {
		n.stop()
		if d := n.feed.log.disk; d != nil {
			err = errors.Join(err, d.close())
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
	wanted := t.AppendOnly || len(t.SavePoints) > 0
	if wanted || n.hasFiles() {
		if err := n.load(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	replica := n.Host != ""
	if !replica {
		// What was loaded may be younger than the stream's end, so nobody can continue from there.
		f.at.id = newID()
		if wanted {
			f.track(true)
		}
	}
	f.packer.offset = f.at.offset
	f.end.Store(f.at.offset)
	f.backlog.restart(f.at.offset)
	if t.AppendOnly {
		if err := f.log.disk.continueLog(f.at); err != nil {
			return err
		}
		f.log.on = true
	}
	n.setHeld()
	if replica {
		n.becomeReplica(n.Host, n.Port, n.loaded)
	}
	return nil
}

// hasFiles says whether an earlier process has left something in the directory.
func (n *Node) hasFiles() bool {
	for _, name := range []string{dumpName, manifestName} {
		if _, err := os.Stat(filepath.Join(n.Dir, name)); err == nil {
			return true
		}
	}
	return false
}

// openDisk opens the disk, if it is not open.
func (n *Node) openDisk() error {
	n.opening.Lock()
	defer n.opening.Unlock()
	if n.feed.log.disk != nil {
		return nil
	}
	d, err := openDisk(diskOptions{dir: n.Dir, fsync: policyOf(n.tuning.Load().Fsync), logger: n.Logger, now: n.Now})
	if err != nil {
		return err
	}
	n.feed.mu.Lock()
	defer n.feed.mu.Unlock()
	n.feed.log.disk = d
	return nil
}

// disk is the disk, or nil if none is open.
func (n *Node) disk() *disk {
	n.opening.Lock()
	defer n.opening.Unlock()
	return n.feed.log.disk
}

// load fills the store from the disk.
func (n *Node) load() error {
	if err := n.openDisk(); err != nil {
		return err
	}
	started, keys := time.Now(), int64(0)
	now := n.Now() - staleMicros
	found, at, err := n.feed.log.disk.load(n.tuning.Load().AppendOnly, func(c *engine.Change) error {
		keys++
		return n.Store.Apply(c, now)
	})
	if err != nil {
		return err
	}
	if found {
		// What a snapshot has may be younger than the place that it names, and be in nobody's
		// history: only a log is read up to where it ends.
		n.feed.at, n.loaded = at, n.feed.log.disk.loaded.from == fromLog
		n.Logger.Info("loaded from disk", "dir", n.Dir, "records", keys, "keys", n.Store.Len(),
			"took", time.Since(started).Round(time.Millisecond), "history", at.id, "offset", at.offset)
	}
	return nil
}

// policyOf is the policy with a name.
func policyOf(name string) fsyncPolicy {
	switch name {
	case "always":
		return fsyncAlways
	case "no":
		return fsyncNo
	}
	return fsyncEverySec
}

// Tune changes what can be changed. If the disk does not let it, nothing is changed.
func (n *Node) Tune(t Tuning) error {
	before := n.tuning.Swap(&t)
	if t.AppendOnly || len(t.SavePoints) > 0 {
		if err := n.openDisk(); err != nil {
			n.tuning.Store(before)
			return err
		}
	}
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.AppendOnly != f.log.on {
		if err := n.turnLog(t.AppendOnly); err != nil {
			n.tuning.Store(before)
			return err
		}
	}
	f.backlog.limit = t.BacklogBytes
	if d := f.log.disk; d != nil {
		d.setPolicy(policyOf(t.Fsync))
	}
	if len(t.SavePoints) > 0 && n.link.Load() == nil {
		f.track(false)
	}
	n.setHeld()
	n.judge()
	return nil
}

// turnLog turns the log on or off. The feed's mu is held.
func (n *Node) turnLog(on bool) error {
	w := &n.feed.log
	var err error
	if on {
		if n.link.Load() == nil {
			n.feed.track(false)
		}
		n.feed.drain()
		err = w.disk.startLog(n.feed.at, n.dumpBase)
	} else {
		err = w.disk.stopLog()
	}
	if err == nil || !on {
		w.on, w.pending, w.lost, w.remaking = on, nil, false, false
	}
	if err != nil {
		n.Logger.Error("cannot turn the append-only file on or off", "error", err)
	}
	return err
}

// setHeld notes whether answers wait for the disk.
func (n *Node) setHeld() {
	t := n.tuning.Load()
	n.held.Store(n.feed.log.on && policyOf(t.Fsync) == fsyncAlways)
}

// dump walks all keys.
func (n *Node) dump(visit func(*engine.Change) error) error {
	return n.dumpSteps(visit, dumpKeys, func() (int, error) { return dumpKeys, nil })
}

// dumpBase is dump for a base of the log. What it has seen is in the stream when it returns, and
// so in the increment that goes with the base: a log that is read to its end is the state at
// that place of the history, and nothing younger.
func (n *Node) dumpBase(visit func(*engine.Change) error) error {
	if err := n.dump(visit); err != nil {
		return err
	}
	n.applying.Lock() // a frame that is applied in part is in the stream when it is applied
	defer n.applying.Unlock()
	n.feed.settle()
	return nil
}

// dumpSteps is dump with a first step of so many keys. between is called after each step and
// tells how many the next one is to have.
func (n *Node) dumpSteps(visit func(*engine.Change) error, keys int, between func() (keys int, err error)) error {
	generation := n.generation.Load()
	for cursor := uint64(0); ; {
		var err error
		cursor = n.Store.Dump(cursor, keys, n.Now()-staleMicros, func(c *engine.Change) {
			if err == nil {
				err = visit(c)
			}
		})
		switch {
		case err != nil:
			return err
		case n.ended.Err() != nil:
			return errClosing
		case n.generation.Load() != generation:
			return errReplaced
		}
		if keys, err = between(); err != nil || cursor == 0 {
			return err
		}
		runtime.Gosched()
	}
}

// Errors of a Node.
var (
	errClosing  = errors.New("replication: the server is stopping")
	errReplaced = errors.New("replication: the state was replaced by that of a primary")
)

// run drains, answers who waits for the disk, and looks after the rest.
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
		n.feed.mu.Lock()
		n.feed.drain()
		n.judge()
		n.feed.mu.Unlock()
		if time.Since(tended) >= tendInterval {
			tended = time.Now()
			n.tend()
		}
		timer.Reset(n.interval())
	}
}

func (n *Node) interval() time.Duration {
	if n.replicas.len() > 0 {
		return replicaInterval
	}
	return diskInterval
}

// tend does what has to be done now and then.
func (n *Node) tend() {
	t := n.tuning.Load()
	n.feed.mu.Lock()
	n.feed.log.mend(n.feed.at, n.dumpBase, int64(t.RewritePercentage), t.RewriteMinSize)
	n.feed.mu.Unlock()
	n.saveIfDue(t)
	n.replicas.cutOff(n.feed, t.Timeout)
}

// Close appends what is left, gives replicas a moment to take it, writes a snapshot if there
// is to be one, and closes the disk. Nothing may be changed in the store meanwhile.
func (n *Node) Close(save bool) error {
	n.role.Lock()
	defer n.role.Unlock()
	if l := n.link.Load(); l != nil {
		l.end()
	}
	n.replicas.await(n.feed.settle(), closeGrace)
	var err error
	if save {
		err = n.Save()
	}
	n.stop()
	n.replicas.close()
	n.loops.Wait()
	if d := n.disk(); d != nil {
		if w := &n.feed.log; w.on && w.trouble() != nil {
			err = errors.Join(err, fmt.Errorf("the append-only file lacks the last changes: %w", w.trouble()))
		}
		err = errors.Join(err, d.close())
	}
	return err
}

// closeGrace is how long replicas have at the end to take the last changes.
const closeGrace = time.Second
