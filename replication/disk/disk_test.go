package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rlserver/rlserver/replication/stream"
)

// What was appended is there after a restart, with every policy, over many restarts, and
// with rewrites in between, of which none leaves a file behind.
func TestLogComesBack(t *testing.T) {
	for _, policy := range []Policy{SyncAlways, SyncEverySecond, SyncNo} {
		dir := t.TempDir()
		h := newHistory(11, 400, "k")
		w := newWriter(t, nil, h)
		for round := range 10 {
			w.d = mustOpenAs(t, dir, policy)
			w.begin()
			w.append(10)
			if round%3 == 1 {
				must(t, w.d.rewrite(w.at, w.live.dump))
				w.append(10)
				if s := waitForRewrite(t, w.d); s.rewriteErr != nil || s.baseBytes == 0 {
					t.Fatalf("%+v", s)
				}
			}
			w.append(7)
			w.closeAndExpect()
		}
		if got, want := names(t, dir), "appendonly.11.base appendonly.11.incr appendonly.12.incr appendonly.13.incr appendonly.manifest rlserver.lock"; got != want {
			t.Errorf("the directory has %s, want %s", got, want)
		}
	}
}

// A server that is started often leaves no files behind.
func TestEmptyIncrementsGo(t *testing.T) {
	dir := t.TempDir()
	w := begun(t, dir, newHistory(1, 20, "k"))
	w.append(3)
	for range 5 {
		must(t, w.d.Close())
		w.d = mustOpen(t, dir)
		w.begin()
	}
	w.closeAndExpect()
	if got := names(t, dir); strings.Count(got, ".incr") != 2 {
		t.Errorf("the directory has %s", got)
	}
}

// While a base is written from states that change, appending goes on, and what comes back is
// what was appended.
func TestRewriteUnderLoad(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(12, 6000, "k")
	w := begun(t, dir, h)
	for w.done < len(h.changes) {
		w.append(1)
		if w.done%1000 == 1 { // the base is written while the next thousand are appended
			waitForRewrite(t, w.d)
			must(t, w.d.rewrite(w.at, w.live.dump))
		} else if err := w.d.rewrite(w.at, w.live.dump); err != nil && !errors.Is(err, ErrAlreadyRunning) {
			t.Fatal(err)
		}
		if w.done%500 == 0 {
			must(t, w.d.continueLog(stream.Position{ID: testID(2 + w.done), Offset: w.at.Offset + 1}))
			w.at = stream.Position{ID: testID(2 + w.done), Offset: w.at.Offset + 1}
		}
	}
	if s := waitForRewrite(t, w.d); s.rewrites < 6 || s.rewriteErr != nil {
		t.Errorf("%+v", s)
	}
	w.closeAndExpect()
}

// What startLog makes counts from when its base is in force, and not before.
func TestStartAndStopLog(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(13, 60, "k")
	w := newWriter(t, mustOpen(t, dir), h)
	if from, _, err := w.d.Load(false, w.live); from != FromNothing || err != nil {
		t.Fatal(from, err)
	}
	frame, end := w.h.frame(0, 0)
	for name, err := range map[string]error{
		"append": w.d.append(frame, end), "rewrite": w.d.rewrite(w.at, w.live.dump),
		"stopLog": w.d.stopLog(), "replaceLog": w.d.replaceLog(w.at, w.live.dump),
	} {
		if !errors.Is(err, errLogOff) {
			t.Errorf("%s while the log is off: %v", name, err)
		}
	}
	w.changeOnly(5)
	gate := make(chan struct{})
	must(t, w.d.startLog(w.at, behind(gate, w.live.dump)))
	if err := w.d.startLog(w.at, w.live.dump); !errors.Is(err, errLogOn) {
		t.Errorf("startLog while it is on: %v", err)
	}
	w.append(5)
	if s := w.d.stats(); !s.waiting || !s.rewriting || w.d.needsRewrite(false, 100, 0) {
		t.Errorf("%+v", s)
	}
	copied := copyDir(t, dir)
	expect(t, copied, true, oracle{}, stream.Position{})
	close(gate)
	waitForBase(t, w.d)
	w.append(5)
	must(t, w.d.stopLog())
	logAt := w.at
	expect(t, copyDir(t, dir), true, h.states[15], logAt)

	// Off, a snapshot is younger than the log.
	w.changeOnly(5)
	must(t, w.d.Save(w.at, w.live.dump))
	copied = copyDir(t, dir)
	expect(t, copied, true, h.states[20], w.at)
	expect(t, copied, false, h.states[20], w.at)
	must(t, w.d.Close())

	// The log goes on from the snapshot, and then goes before it.
	w.d = mustOpen(t, dir)
	w.live = newLive()
	w.begin()
	w.append(5)
	w.closeAndExpect()
	// Without the log the snapshot is loaded, and then the log is old.
	if got, _, err := loadDir(t, dir, false); err != nil || !got.equal(h.states[20]) {
		t.Errorf("%+v, %v", got, err)
	}
	expect(t, dir, true, h.states[25], w.at)
	d := mustOpen(t, dir)
	must(t, d.Save(w.at, oracle{}.dump))
	must(t, d.Close())
	expect(t, dir, true, oracle{}, w.at)
}

// After a full sync the old state stays in force until the new one is complete.
func TestReplaceLog(t *testing.T) {
	dir := t.TempDir()
	h, other := newHistory(14, 40, "old"), newHistory(15, 40, "new")
	w := begun(t, dir, h)
	w.append(20)
	oldAt := w.at
	gate := make(chan struct{})
	never := behind(gate, w.live.dump)
	must(t, w.d.rewrite(w.at, never))

	n := newWriter(t, w.d, other)
	n.at = stream.Position{ID: testID(99), Offset: 1 << 40}
	n.changeOnly(10)
	must(t, n.d.replaceLog(n.at, never)) // and again, before that is done
	must(t, n.d.replaceLog(n.at, behind(gate, n.live.dump)))
	n.append(5)
	expect(t, copyDir(t, dir), true, h.states[20], oldAt)
	close(gate)
	waitForBase(t, n.d)
	n.append(5)
	n.closeAndExpect()
	if got := names(t, dir); strings.Count(got, "appendonly") != 3 {
		t.Errorf("the directory has %s", got)
	}
}

// A history that gets another name while the base after a full sync is being written goes on,
// and comes into force with that base; if there is none, none of it is left.
func TestContinueAside(t *testing.T) {
	for _, failure := range []error{nil, errors.New("made up")} {
		dir := t.TempDir()
		w := begun(t, dir, newHistory(17, 40, "k"))
		w.append(10)
		old := w.at
		gate := make(chan struct{})
		w.at = stream.Position{ID: testID(2), Offset: 1 << 40}
		must(t, w.d.replaceLog(w.at, func(visit stream.Visitor) error {
			<-gate
			return errors.Join(failure, w.live.dump(visit))
		}))
		for id := 3; id < 6; id++ {
			w.append(2)
			w.at.ID = testID(id)
			must(t, w.d.continueLog(w.at))
		}
		w.append(2)
		expect(t, copyDir(t, dir), true, w.h.states[10], old)
		close(gate)
		s, want := waitForRewrite(t, w.d), 6 // a manifest, a base, and four increments
		if failure != nil {
			waitUntil(t, func() bool { return errors.Is(w.d.stats().trouble, errNoBase) })
			want = 2 // a manifest, and the increment from before
		} else if s.waiting || s.rewriteErr != nil {
			t.Errorf("%+v", s)
		}
		if got := names(t, dir); strings.Count(got, "appendonly") != want {
			t.Errorf("the directory has %s", got)
		}
		if failure != nil {
			must(t, w.d.Close())
			expect(t, dir, true, w.h.states[10], old)
			continue
		}
		w.append(2)
		w.closeAndExpect()
	}
}

// A rewrite of a state that was replaced comes to nothing, even when all of it is written.
func TestReplacedAtTheLastMoment(t *testing.T) {
	dir := t.TempDir()
	w := begun(t, dir, newHistory(16, 40, "old"))
	w.append(20)
	oldAt := w.at
	gate, replaced := make(chan struct{}), make(chan error, 1)
	defer func() { crashPoint = func(string) {} }()
	var once sync.Once
	crashPoint = func(step string) {
		if step == "synced "+baseName(2)+temporary {
			once.Do(func() {
				replaced <- w.d.replaceLog(stream.Position{ID: testID(2), Offset: 0}, behind(gate, oracle{}.dump))
			})
		}
	}
	must(t, w.d.rewrite(w.at, w.live.dump))
	must(t, <-replaced)
	// The first rewrite is over when its file is gone: only what waits at the gate is being written.
	waitUntil(t, func() bool { return !strings.Contains(names(t, dir), baseName(2)+temporary) })
	if s := w.d.stats(); !s.waiting || !s.rewriting || s.rewrites != 0 {
		t.Errorf("%+v", s)
	}
	expect(t, copyDir(t, dir), true, w.h.states[20], oldAt)
	close(gate)
	waitForRewrite(t, w.d)
	must(t, w.d.Close())
	expect(t, dir, true, oracle{}, stream.Position{ID: testID(2), Offset: 0})
}

// The second process is told which one has the directory.
func TestOneProcessADirectory(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, dir)
	for name, open := range map[string]func() error{
		"open":   func() error { _, err := Open(testOptions(dir, SyncNo)); return err },
		"check":  func() error { _, err := Check(dir); return err },
		"repair": func() error { _, err := Repair(dir); return err },
	} {
		if err := open(); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), ", process ") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, d.Close())
	must(t, mustOpen(t, dir).Close())
	if _, err := Open(testOptions(filepath.Join(dir, "none"), SyncNo)); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

// Frames that do not follow are refused, because a log with a gap cannot be read.
func TestAppendRefusesGaps(t *testing.T) {
	w := newWriter(t, mustOpen(t, t.TempDir()), newHistory(1, 20, "k"))
	defer func() { must(t, w.d.Close()) }()
	w.begin()
	w.append(2)
	frame, end := w.h.frame(2, w.at.Offset+1)
	for name, frames := range map[string][]byte{"gap": frame, "garbage": []byte("garbage"), "more garbage": make([]byte, 100)} {
		if err := w.d.append(frames, end); !errors.Is(err, stream.ErrGap) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.append(2)
}

func TestNeedsRewrite(t *testing.T) {
	w := newWriter(t, mustOpen(t, t.TempDir()), newHistory(1, 100, "k"))
	defer func() { must(t, w.d.Close()) }()
	w.begin()
	w.append(10)
	grown := w.d.stats().incrementBytes
	for _, c := range []struct {
		percent, bytes int64
		want           bool
	}{{0, 0, false}, {100, grown, true}, {100, grown + 1, false}} {
		if got := w.d.needsRewrite(false, c.percent, c.bytes); got != c.want {
			t.Errorf("at %d bytes without a base, %+v", grown, c)
		}
	}
	must(t, w.d.rewrite(w.at, w.live.dump))
	waitForRewrite(t, w.d)
	if w.d.needsRewrite(false, 1000, 0) {
		t.Errorf("just after a rewrite: %+v", w.d.stats())
	}
	for w.d.stats().incrementBytes < w.d.stats().baseBytes*2 {
		w.append(1)
	}
	if !w.d.needsRewrite(false, 190, 0) || w.d.needsRewrite(false, 100_000, 0) {
		t.Errorf("twice the base: %+v", w.d.stats())
	}
}
