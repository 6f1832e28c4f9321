package replication

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// startNode starts a node of a new store, which is closed at the test's end.
func startNode(t *testing.T, dir string, tune func(*Options)) *Node {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	must(t, err)
	o := Options{
		Store: store, Logger: slog.New(slog.DiscardHandler), Now: func() int64 { return time.Now().UnixMicro() }, Dir: dir,
		ListenPort: func() int { return 1 }, Refuse: func(string) {}, RoleChanged: func(bool) {},
		Tuning: Tuning{Fsync: "everysec", BacklogBytes: 1 << 20, Timeout: time.Minute, MinReplicasLag: time.Second},
	}
	tune(&o)
	n, err := New(o)
	must(t, err)
	t.Cleanup(func() {
		if n.ended.Err() == nil {
			_ = n.Close(false)
		}
	})
	return n
}

// take takes a unit of a key.
func (n *Node) take(t *testing.T, key string) {
	t.Helper()
	limit, err := engine.NewLimit(1000, time.Hour, 1000)
	must(t, err)
	if d, err := n.Store.Check(key, engine.TokenBucket, limit, 1, n.Now()); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
}

// A snapshot that ends does not stand in the way of who waits for the disk.
func TestSaveWhileCommitting(t *testing.T) {
	n := startNode(t, t.TempDir(), func(o *Options) {
		o.Tuning.AppendOnly, o.Tuning.Fsync = true, "always"
		o.Tuning.SavePoints = []SavePoint{{After: time.Hour, Changes: 1 << 40}}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			if err := n.Save(); err != nil {
				t.Error(err)
			}
			n.take(t, fmt.Sprint("key:", i))
		}
	}()
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = n.Tune(*n.tuning.Load()) // as whoever judges
			}
		}
	}()
	// Not in the test's goroutine, whose end would wait for the node's.
	defer time.AfterFunc(30*time.Second, func() { panic("saving and judging wait for each other") }).Stop()
	<-done
}

// What a snapshot has may be younger than the place in the history that it names, so a replica
// that was started from one cannot say that it has that history up to there, and no more.
func TestSnapshotContinuesNothing(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir, func(o *Options) { o.Tuning.AppendOnly = true })
	n.take(t, "before")
	visits := 0
	must(t, n.disk().save(position{n.feed.at.id, n.feed.settle()}, func(visit func(*engine.Change) error) error {
		if visits++; visits == 1 {
			n.take(t, "meanwhile") // by a primary that is cut off from its replicas
		}
		return n.dump(visit)
	}))
	must(t, n.Close(false))

	again := startNode(t, dir, func(o *Options) { o.Host, o.Port = "127.0.0.1", 1 })
	if _, ok := again.Store.Lookup("meanwhile", again.Now()); !ok {
		t.Fatal("the snapshot has nothing that is younger than its place")
	}
	if l := again.link.Load(); l.continued {
		t.Error("the replica asks to continue from the snapshot's place, and has what came behind it")
	}
}

// A base may be younger than the place in the history at which it stands. The log has, when the
// base is in force, what it has seen: who starts with the log is where the log ends.
func TestBaseIsNotYoungerThanTheLog(t *testing.T) {
	var n *Node
	var meanwhile atomic.Bool // the next reading of the clock, by a dump, comes with a change
	dir := t.TempDir()
	n = startNode(t, dir, func(o *Options) {
		clock := o.Now
		o.Now = func() int64 {
			if meanwhile.CompareAndSwap(true, false) {
				n.take(t, "meanwhile")
			}
			return clock()
		}
		o.Tuning.AppendOnly = true
	})
	n.take(t, "before")
	before := n.feed.settle()
	meanwhile.Store(true)
	must(t, n.Rewrite())
	waitForRewrite(t, n.disk())

	again := startNode(t, copyDir(t, dir), func(o *Options) { o.Host, o.Port, o.Tuning.AppendOnly = "127.0.0.1", 1, true })
	if _, ok := again.Store.Lookup("meanwhile", again.Now()); !ok {
		t.Fatal("the base has nothing that is younger than its place")
	}
	if l := again.link.Load(); !l.continued || again.feed.at.offset <= before {
		t.Errorf("it continues (%v) at %d, where the base stands, and has what came behind it", l.continued, before)
	}
}

// A base that has seen a part of what a primary has sent waits for the rest.
func TestBaseWaitsForTheWholeFrame(t *testing.T) {
	n := startNode(t, t.TempDir(), func(o *Options) { o.Tuning.AppendOnly = true })
	n.applying.Lock()
	must(t, n.Rewrite())
	time.Sleep(50 * time.Millisecond) // for what must not happen
	if s := n.disk().stats(); s.rewrites > 0 {
		t.Error("the base was put in force within a frame")
	}
	n.applying.Unlock()
	if s := waitForRewrite(t, n.disk()); s.rewrites != 1 || s.rewriteErr != nil {
		t.Errorf("%+v", s)
	}
}

// A snapshot that failed is tried again, whether or not the next one is due, because changes
// are refused until it is well.
func TestFailedSnapshotIsTriedAgain(t *testing.T) {
	n := startNode(t, t.TempDir(), func(o *Options) { o.Tuning.SavePoints = []SavePoint{{After: time.Hour, Changes: 1000}} })
	n.saving.mu.Lock()
	n.saving.err, n.saving.tried = errClosing, time.Now().Add(-saveRetry)
	n.saving.mu.Unlock()
	for range 50 {
		if n.saving.failed() == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("changes are refused for ever, for want of changes")
}

// A log that lacks changes is in order again when it has been written anew, and no sooner; nor
// because the history has got another name meanwhile.
func TestForkOfAnIncompleteLog(t *testing.T) {
	n := startNode(t, t.TempDir(), func(o *Options) { o.Tuning.AppendOnly = true })
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log.giveUp() // as when the disk has been full for long
	n.take(t, "lost")
	f.drain()
	f.fork()
	written := make(chan struct{})
	defer close(written)
	f.log.mend(f.at, func(visit func(*engine.Change) error) error {
		<-written
		return n.dump(visit)
	}, 0, 0)
	if f.log.lost {
		t.Fatal("the log is not written anew")
	}
	if f.log.trouble() == nil {
		t.Error("changes that the files in force lack are said to be on disk")
	}
}

// Who takes over while the base after a full sync is being written says that changes are not
// on disk until that base is, and no longer.
func TestForkWhileTheBaseIsWritten(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir, func(o *Options) { o.Tuning.AppendOnly = true })
	f, written := n.feed, make(chan struct{})
	trouble := func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drain()
		return f.log.trouble()
	}
	f.replace(position{newID(), 1000}, func(visit func(*engine.Change) error) error {
		<-written
		return n.dump(visit)
	})
	f.mu.Lock()
	f.fork()
	f.mu.Unlock()
	n.take(t, "early")
	if trouble() == nil {
		t.Error("changes that no file in force has are said to be on disk")
	}
	close(written)
	waitUntil(t, func() bool { return trouble() == nil })
	if s := n.disk().stats(); s.rewrites != 1 {
		t.Errorf("%d bases were written, want 1", s.rewrites)
	}
	n.take(t, "late")
	must(t, n.Close(false))
	again := startNode(t, dir, func(o *Options) { o.Tuning.AppendOnly = true })
	if keys := again.Store.Len(); keys != 2 {
		t.Errorf("%d keys after a restart, want 2", keys)
	}
}

// A key that is forgotten while everything is sent to a replica does not come back there,
// however slowly the replica takes it.
func TestFlushDuringFullSync(t *testing.T) {
	for at := range 15 {
		flushDuringFullSync(t, at*4)
	}
}

// flushDuringFullSync flushes when the replica has so many frames.
func flushDuringFullSync(t *testing.T, at int) {
	t.Helper()
	n := startNode(t, t.TempDir(), func(*Options) {})
	for i := range 8000 {
		n.take(t, fmt.Sprint(strings.Repeat("long ", 200), i))
	}
	near, far := net.Pipe()
	go n.ServeReplica(ReplicaLink{Conn: far, IP: "127.0.0.1", Port: 1, Version: SyncVersion, ID: "?", Offset: -1})
	defer func() { _ = near.Close() }()
	for b := make([]byte, 1); b[0] != '\n'; {
		_, err := near.Read(b)
		must(t, err)
	}
	store, err := engine.NewStore(engine.Options{})
	must(t, err)
	frames, place, ended := newFrameReader(near), int64(0), false
	for i := 0; !ended || place < n.feed.settle(); i++ {
		f, err := frames.next()
		must(t, err)
		must(t, readChanges(f.payload[:len(f.payload)*bit(f.kind != frameEnd)], func(c *engine.Change) error { return store.Apply(c, 0) }))
		ended, place = ended || f.kind == frameEnd, max(place, f.end())
		if i == at { // the primary may be in the middle of a step
			n.Store.Flush()
			n.feed.settle()
		}
	}
	if keys := store.Len(); keys != n.Store.Len() {
		t.Errorf("after %d frames: the replica has %d keys, and the primary %d", at, keys, n.Store.Len())
	}
}

// A WAIT that nobody waits for any more ends, though there never are so many replicas.
func TestAbandonedWaitEnds(t *testing.T) {
	n := startNode(t, t.TempDir(), func(*Options) {})
	ended := make(chan int, 1)
	abandon := n.Wait(1, 0, func(acknowledged int) { ended <- acknowledged })
	select {
	case <-ended:
		t.Fatal("it ended by itself")
	case <-time.After(20 * time.Millisecond):
	}
	abandon()
	select {
	case got := <-ended:
		if got != 0 {
			t.Errorf("%d replicas, of none", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on for nobody")
	}
}
