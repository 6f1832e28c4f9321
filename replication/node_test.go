package replication

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/disk"
	"github.com/rlserver/rlserver/replication/link"
	"github.com/rlserver/rlserver/replication/stream"
)

// startNode starts a node of a new store, which is closed at the test's end.
func startNode(t *testing.T, dir string, tune func(*Options)) *Node {
	t.Helper()
	store, err := engine.NewStore(engine.Options{})
	must(t, err)
	o := Options{
		Store: store, Entries: &texts{}, Logger: slog.New(slog.DiscardHandler), Now: func() int64 { return time.Now().UnixMicro() }, Advance: func(int64) {}, Dir: dir,
		Announced: func() (string, int) { return "", 1 }, Refuse: func(string) {}, RoleChanged: func(bool) {},
		Tuning: Tuning{Fsync: "everysec", BacklogBytes: 1 << 20, MinReplicasLag: time.Second, Tuning: link.Tuning{Timeout: time.Minute}},
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

// take takes a unit from a key.
func (n *Node) take(t *testing.T, key string) {
	t.Helper()
	limit, err := engine.NewLimit(1000, time.Hour, 1000)
	must(t, err)
	if d, err := n.Store.Check(key, engine.TokenBucket, limit, 1, n.Now()); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
}

// waitFor returns when something is so. The test binary's timeout is the only bound.
func waitFor(is func() bool) {
	for !is() {
		time.Sleep(time.Millisecond)
	}
}

func waitForRewriteOf(n *Node) {
	waitFor(func() (over bool) {
		n.Info("persistence", func(name string, value any) { over = over || name == "aof_rewrite_in_progress" && value == 0 })
		return over
	})
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// A snapshot that ends and a commit that is judged do not wait for each other.
func TestSaveWhileCommitting(t *testing.T) {
	n := startNode(t, t.TempDir(), func(o *Options) {
		o.Tuning.AppendOnly, o.Tuning.Fsync = true, "always"
		o.Tuning.SavePoints = []SavePoint{{After: time.Hour, Changes: 1 << 40}}
	})
	var saved atomic.Bool
	go func() {
		defer saved.Store(true)
		for i := range 60 {
			if err := n.Save(); err != nil {
				t.Error(err)
			}
			n.take(t, fmt.Sprint("key:", i))
		}
	}()
	for !saved.Load() {
		_ = n.Tune(*n.tuning.Load()) // which judges
	}
}

// What a snapshot has may be younger than the place in the history that it names, so a replica
// that was started from one cannot say that it has that history up to there, and no more.
func TestSnapshotContinuesNothing(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, dir, func(o *Options) { o.Tuning.AppendOnly = true })
	n.take(t, "before")
	n.feed.Drained()
	visits := 0
	must(t, n.disk.Load().Save(n.feed.Place(), func(visit stream.Visitor) error {
		if visits++; visits == 1 {
			n.take(t, "meanwhile") // by a primary that is cut off from its replicas
		}
		return n.feed.Dump(visit)
	}))
	must(t, n.Close(false))

	again := startNode(t, dir, func(o *Options) { o.Host, o.Port = "127.0.0.1", 1 })
	if _, ok := again.Store.Lookup("meanwhile", again.Now()); !ok {
		t.Fatal("the snapshot has nothing that is younger than its place")
	}
	if again.link.Load().End() {
		t.Error("the replica asks to continue from the snapshot's place, and has what came behind it")
	}
}

// A base may be younger than the place in the history at which it stands. The log has, when the
// base is in force, what the base has: a server that starts with the log is where the log ends.
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
	before := n.feed.Drained()
	meanwhile.Store(true)
	must(t, n.Rewrite())
	waitForRewriteOf(n)

	again := startNode(t, copyOf(t, dir), func(o *Options) { o.Host, o.Port, o.Tuning.AppendOnly = "127.0.0.1", 1, true })
	if _, ok := again.Store.Lookup("meanwhile", again.Now()); !ok {
		t.Fatal("the base has nothing that is younger than its place")
	}
	if !again.link.Load().End() || again.feed.Offset() <= before {
		t.Errorf("it does not continue, or at %d, where the base stands, and has what came behind it", before)
	}
}

// A snapshot that failed is tried again, whether or not the next one is due, because changes
// are refused until it is well.
func TestFailedSnapshotIsTriedAgain(t *testing.T) {
	n := startNode(t, t.TempDir(), func(o *Options) { o.Tuning.SavePoints = []SavePoint{{After: time.Hour, Changes: 1000}} })
	n.feed.Lock()
	n.saving.err, n.saving.tried = stream.ErrClosing, time.Now().Add(-saveRetry)
	n.feed.Unlock()
	n.tend()
	waitFor(func() bool {
		n.feed.Lock()
		defer n.feed.Unlock()
		return n.saving.err == nil
	})
}

// The directory is locked while changes are kept there, and while a snapshot is written or loaded. It
// is free otherwise.
func TestDirectoryIsFree(t *testing.T) {
	dir := t.TempDir()
	isFree := func() bool {
		other, err := disk.Open(disk.Options{Dir: dir, Fsync: func() disk.Policy { return disk.SyncNo }, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			must(t, other.Close())
		}
		return err == nil
	}
	n := startNode(t, dir, func(*Options) {})
	n.take(t, "k")
	for range 2 {
		must(t, n.Save())
		if !isFree() {
			t.Fatal("SAVE has left the directory locked")
		}
	}
	must(t, n.BackgroundSave())
	waitFor(isFree)
	for _, keeping := range []func(*Tuning){
		func(t *Tuning) { t.AppendOnly = true }, func(t *Tuning) { t.SavePoints = []SavePoint{{time.Hour, 1}} },
	} {
		off := *n.tuning.Load()
		on := off
		keeping(&on)
		must(t, n.Tune(on))
		must(t, n.Save())
		if isFree() {
			t.Fatal("the directory is free although changes are kept there")
		}
		must(t, n.Tune(off))
		if !isFree() {
			t.Fatal("the directory is locked although changes are not kept there any more")
		}
	}
	if n.LastSave() == 0 {
		t.Error("the time of the last snapshot is forgotten")
	}
	must(t, n.Close(false))
	n = startNode(t, dir, func(*Options) {})
	if n.Store.Len() != 1 || !isFree() {
		t.Errorf("%d keys were loaded, and the directory is free: %v", n.Store.Len(), isFree())
	}
	// Another process has it: nothing is kept, and the settings are as they were.
	other := startNode(t, dir, func(o *Options) { o.Tuning.AppendOnly = true })
	on := *n.tuning.Load()
	on.AppendOnly = true
	for _, err := range []error{n.Save(), n.BackgroundSave(), n.Tune(on)} {
		if err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("with the directory in use: %v", err)
		}
	}
	must(t, other.Close(false))
	must(t, n.Tune(on))
	must(t, n.Close(true))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
