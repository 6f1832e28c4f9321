package disk

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// A log that lacks changes is in order again when it has been written anew, and no sooner; nor
// because the history has got another name meanwhile.
func TestForkOfAnIncompleteLog(t *testing.T) {
	w := begun(t, t.TempDir(), newHistory(46, 10, "k"))
	l := &Writer{Disk: w.d, on: true}
	l.giveUp() // as when the disk has been full for long
	l.Append(w.change())
	w.at = stream.Position{ID: testID(2), Offset: w.at.Offset}
	l.ContinueAs(w.at)
	written := make(chan struct{})
	l.Mend(w.at, behind(written, w.live.dump), 0, 0)
	if l.lost {
		t.Fatal("the log is not written anew")
	}
	if l.Trouble() == nil {
		t.Error("changes that the files in force lack are said to be on disk")
	}
	close(written)
	waitForRewrite(t, w.d)
	must(t, l.Trouble())
	must(t, w.d.Close())
}

// After a fork while the base after a full sync is being written, changes are not said to be on
// disk until that base is.
func TestForkWhileTheBaseIsWritten(t *testing.T) {
	dir := t.TempDir()
	w := begun(t, dir, newHistory(47, 10, "k"))
	l := &Writer{Disk: w.d, on: true}
	written := make(chan struct{})
	w.at = stream.Position{ID: testID(2), Offset: 1000}
	l.Replace(w.at, behind(written, w.live.dump))
	w.at.ID = testID(3)
	l.ContinueAs(w.at)
	appendOne := func() {
		var frame []byte
		frame, w.at.Offset = w.change()
		l.Append(frame, w.at.Offset)
	}
	appendOne()
	if l.Trouble() == nil {
		t.Error("changes that no file in force has are said to be on disk")
	}
	close(written)
	if s := waitForRewrite(t, w.d); s.rewrites != 1 || s.rewriteErr != nil {
		t.Errorf("%+v", s)
	}
	must(t, l.Trouble())
	appendOne()
	w.closeAndExpect()
}

// A real store that is questioned from several goroutines comes back as it was, through rewrites
// that run meanwhile.
func TestStoreComesBack(t *testing.T) {
	t.Parallel()
	const keys, workers, asks, rewrites = 2000, 3, 20_000, 5
	dir := t.TempDir()
	store, err := engine.NewStore(engine.Options{})
	must(t, err)
	limit, err := engine.NewLimit(1000, time.Hour, 1000)
	must(t, err)
	start := time.Now().UnixMicro()
	var clock atomic.Int64
	clock.Store(start)

	d := mustOpen(t, dir)
	_, _, err = d.Load(true, ignore)
	must(t, err)
	log, at := &Writer{Disk: d}, stream.Position{ID: testID(5), Offset: 0}
	must(t, log.Resume(at))
	feed := feedOf(t, store, start, log)
	feed.Start(at)
	feed.Track(true)

	var asking sync.WaitGroup
	for worker := range workers {
		asking.Go(func() {
			random := rand.New(rand.NewPCG(71, uint64(worker)))
			for range asks {
				key := random.IntN(keys)
				a := engine.Algorithm(1 + key%3)
				op := engine.OpCheck
				if random.IntN(10) == 0 {
					op = engine.OpRefund
				}
				var decision engine.Decision
				name := fmt.Sprint("user:", key)
				if random.IntN(200) == 0 {
					store.Reset(name, clock.Add(1))
				} else if err := store.Ask(op, name, a, &limit, 1+random.Int64N(3), clock.Add(1), &decision); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range 30 * rewrites {
		feed.Drained()
		if round%30 == 10 {
			waitForRewrite(t, d)
			feed.Lock()
			must(t, log.Rewrite(feed.Place(), feed.DumpBase))
			feed.Unlock()
		}
		time.Sleep(time.Millisecond)
	}
	asking.Wait()
	feed.Drained()
	if s := waitForRewrite(t, d); s.rewriteErr != nil || s.rewrites != rewrites {
		t.Errorf("%+v", s)
	}
	must(t, log.Trouble())
	must(t, d.Close())

	want := oracle{}
	must(t, feed.Dump(want))
	back, err := engine.NewStore(engine.Options{})
	must(t, err)
	d = mustOpen(t, dir)
	loader := back.Load()
	_, loadedAt, err := d.Load(true, stream.Changes(func(c *engine.Change) error { return loader.Apply(c, start) }))
	must(t, err)
	loader.Done()
	must(t, d.Close())
	got := oracle{}
	must(t, feedOf(t, back, start, log).Dump(got))
	if loadedAt != feed.Place() || len(want) < keys/2 {
		t.Errorf("%d keys, up to %v, want %v", len(want), loadedAt, feed.Place())
	}
	if len(got) != len(want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	for key, c := range want {
		if !sameUnits(got[key], c) {
			t.Fatalf("%s is\n%+v\nwant\n%+v", key, got[key], c)
		}
	}
}

// feedOf is the stream of a store at an instant.
func feedOf(t *testing.T, store *engine.Store, now int64, log *Writer) *stream.Feed {
	t.Helper()
	return stream.NewFeed(t.Context(), store, nil, func() int64 { return now }, log)
}

// sameUnits says whether two states decide the same. Units of one instant may be told as one
// entry or several.
func sameUnits(a, b engine.Change) bool {
	if a.Algorithm.Shape() != engine.ShapeLog || a.Algorithm != b.Algorithm {
		return sameChange(a, b)
	}
	merged := func(c engine.Change) map[int64]int64 {
		m := map[int64]int64{}
		for _, e := range c.Log.Entries {
			m[e.At] += e.Units
		}
		return m
	}
	return a.Log.Period == b.Log.Period && fmt.Sprint(merged(a)) == fmt.Sprint(merged(b))
}
