package disk

import (
	"flag"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/replication/stream"
)

// What tests of the disk share: to open one, to write a history to it, and to look at what is
// there afterwards.

// every has the tests of damage try every bit and every length: make soak-disk.
var every = flag.Bool("every", false, "try every bit and every length of damaged files")

// TestMain has directories of tests in memory, where the system has such a place: no test is about
// how long a disk takes to sync. Benchmarks are.
func TestMain(m *testing.M) {
	const memory = "/dev/shm"
	flag.Parse()
	if info, err := os.Stat(memory); err == nil && info.IsDir() && flag.Lookup("test.bench").Value.String() == "" {
		_ = os.Setenv("TMPDIR", memory)
	}
	os.Exit(m.Run())
}

// clockAhead is how far the clock of the tests is ahead (µs), so that nothing waits for it.
var clockAhead atomic.Int64

func testOptions(dir string, policy Policy) Options {
	return Options{Dir: dir, Fsync: func() Policy { return policy }, Logger: slog.New(slog.DiscardHandler), Now: func() int64 { return time.Now().UnixMicro() + clockAhead.Load() }}
}

func mustOpenAs(t testing.TB, dir string, policy Policy) *Disk {
	t.Helper()
	d, err := Open(testOptions(dir, policy))
	must(t, err)
	return d
}

func mustOpen(t testing.TB, dir string) *Disk {
	t.Helper()
	return mustOpenAs(t, dir, SyncNo)
}

// loadDir opens a directory, loads, and closes it.
func loadDir(t testing.TB, dir string, appendOnly bool) (o oracle, at stream.Position, err error) {
	t.Helper()
	d, err := Open(testOptions(dir, SyncNo))
	if err != nil {
		return nil, at, err
	}
	o = oracle{}
	_, at, err = d.Load(appendOnly, o.apply)
	must(t, d.Close())
	return o, at, err
}

// A writer appends a history to a disk.
type writer struct {
	t    testing.TB
	d    *Disk
	h    *history
	done int // changes that were made
	at   stream.Position
	live *live
}

func newWriter(t testing.TB, d *Disk, h *history) *writer {
	return &writer{t: t, d: d, h: h, at: stream.Position{ID: testID(1), Offset: 0}, live: newLive()}
}

// begun is a writer to a directory, whose log is on.
func begun(t testing.TB, dir string, h *history) *writer {
	t.Helper()
	w := newWriter(t, mustOpen(t, dir), h)
	w.begin()
	return w
}

// closeAndExpect closes the disk, and finds all changes there.
func (w *writer) closeAndExpect() {
	w.t.Helper()
	must(w.t, w.d.Close())
	expect(w.t, w.d.Dir, true, w.h.states[w.done], w.at)
}

// change changes the state and returns the frame that tells of it.
func (w *writer) change() (frame []byte, end int64) {
	_ = w.live.apply(&w.h.changes[w.done])
	frame, end = w.h.frame(w.done, w.at.Offset)
	w.done++
	return frame, end
}

func (w *writer) append(n int) {
	w.t.Helper()
	for range n {
		w.put(w.change())
	}
}

// put appends a frame.
func (w *writer) put(frame []byte, end int64) {
	w.t.Helper()
	must(w.t, w.d.append(frame, end))
	w.at.Offset = end
}

// begin loads what is there, which may be nothing, and turns the log on.
func (w *writer) begin() {
	w.t.Helper()
	_, at, err := w.d.Load(true, w.live.apply)
	must(w.t, err)
	if at.ID != "" && at != w.at {
		w.t.Fatalf("loaded up to %v, want %v", at, w.at)
	}
	must(w.t, w.d.continueLog(w.at))
}

func waitForRewrite(t testing.TB, d *Disk) diskStats {
	t.Helper()
	waitUntil(t, func() bool { return !d.stats().rewriting })
	d.files.Lock() // until the rewrite has removed the files that it replaces
	defer d.files.Unlock()
	return d.stats()
}

func expect(t testing.TB, dir string, appendOnly bool, want oracle, at stream.Position) {
	t.Helper()
	got, gotAt, err := loadDir(t, dir, appendOnly)
	must(t, err)
	if !got.equal(want) {
		t.Fatalf("loaded\n%+v\nwant\n%+v", got, want)
	}
	if gotAt != at {
		t.Fatalf("loaded up to %v, want %v", gotAt, at)
	}
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// waitUntil returns when something is so. If it never is, the test binary's timeout ends the
// test: how long it takes on a busy machine decides nothing.
func waitUntil(t testing.TB, is func() bool) {
	t.Helper()
	for !is() {
		time.Sleep(time.Millisecond)
	}
}
