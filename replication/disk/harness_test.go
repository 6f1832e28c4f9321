package disk

import (
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
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
	_, at, err = d.Load(appendOnly, o)
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
	_ = tell(w.live, &w.h.changes[w.done])
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

// changeOnly makes changes that are not appended.
func (w *writer) changeOnly(n int) {
	for range n {
		_, w.at.Offset = w.change()
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
	_, at, err := w.d.Load(true, w.live)
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

// waitForBase waits for a rewrite that is to be well.
func waitForBase(t testing.TB, d *Disk) {
	t.Helper()
	if s := waitForRewrite(t, d); s.waiting || s.rewriteErr != nil {
		t.Errorf("%+v", s)
	}
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
	all, err := fs.Glob(os.DirFS(dir), "*")
	must(t, err)
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

// An oracle is what all changes so far make of the keys and policies: a plain map. A policy is kept
// as a word of a key that begins with policyPrefix.
type oracle map[string]engine.Change

const policyPrefix = "policy:"

func isPolicy(key string) bool { return strings.HasPrefix(key, policyPrefix) }

// entryOf is what a stream tells of a policy.
func entryOf(c *engine.Change) stream.Entry {
	if c.Algorithm == 0 {
		return stream.Entry{Field: c.Key}
	}
	return stream.Entry{Field: c.Key, Value: strconv.FormatInt(c.Word, 10)}
}

// Entry applies a change of a policy.
func (o oracle) Entry(e stream.Entry) error {
	if delete(o, e.Field); e.Value != "" {
		word, err := strconv.ParseInt(e.Value, 10, 64)
		o[e.Field] = engine.Change{Key: e.Field, Algorithm: engine.TokenBucket, Word: word}
		return err
	}
	return nil
}

// Change applies a change, whose key and entries may be gone afterwards.
func (o oracle) Change(c *engine.Change) error {
	switch {
	case c.Key == "":
		maps.DeleteFunc(o, func(key string, _ engine.Change) bool { return !isPolicy(key) })
	case c.Algorithm == 0:
		delete(o, c.Key)
	default:
		k := keep(c)
		if c.Algorithm.Shape() == engine.ShapeLog {
			var entries []engine.LogEntry
			for _, e := range o[k.Key].Log.Entries {
				if e.At < k.Log.From {
					entries = append(entries, e)
				}
			}
			entries = append(entries, k.Log.Entries...)
			k.Log.Entries = slices.DeleteFunc(entries, func(e engine.LogEntry) bool { return e.At < k.Log.Oldest })
			k.Log.From = math.MinInt64
		}
		o[k.Key] = k
	}
	return nil
}

func (o oracle) equal(other oracle) bool { return maps.EqualFunc(o, other, sameChange) }

// dump is a dumper of an oracle that does not change.
func (o oracle) dump(visit stream.Visitor) error {
	for _, key := range slices.Sorted(maps.Keys(o)) {
		c := o[key]
		if err := tell(visit, &c); err != nil {
			return err
		}
	}
	return nil
}

// tell has a record visited.
func tell(visit stream.Visitor, c *engine.Change) error {
	if isPolicy(c.Key) {
		return visit.Entry(entryOf(c))
	}
	return visit.Change(c)
}

// behind is a dumper that begins when the gate is open.
func behind(gate <-chan struct{}, dump stream.Dumper) stream.Dumper {
	return func(visit stream.Visitor) error {
		<-gate
		return dump(visit)
	}
}

// A history is changes, the same for each seed, and what the keys are after each.
type history struct {
	changes []engine.Change
	states  []oracle // states[i] is after i changes
}

// testID is the id of a history of tests.
func testID(n int) string { return fmt.Sprintf("%040x", n) }

// newHistory makes changes to some keys, and to policies of their names, which begin with prefix.
// Those of a full sync that a test plays by a flush have no policies, because a flush leaves them.
func newHistory(seed uint64, n int, prefix string) *history {
	random := rand.New(rand.NewPCG(seed, 7))
	h := &history{states: []oracle{{}}}
	now := int64(1_700_000_000_000_000)
	for range n {
		now += int64(random.IntN(1000))
		c := engine.Change{Key: fmt.Sprint(prefix, random.IntN(8))}
		last := h.states[len(h.states)-1]
		kind := random.IntN(20)
		ofPolicy := kind%5 == 1 && prefix != "old" && prefix != "new"
		if ofPolicy {
			c.Key = policyPrefix + c.Key
		}
		switch {
		case kind == 0 && n > 10:
			c.Key = ""
		case kind == 1, kind == 2:
		case kind < 10 || ofPolicy:
			c.Algorithm, c.Word = engine.TokenBucket, now*1000+random.Int64N(1e9)
		default:
			c.Algorithm = engine.SlidingWindowLog
			c.Log = engine.LogChange{Period: 1e9, Oldest: now - 5000, From: now, Entries: []engine.LogEntry{{At: now, Units: 1 + random.Int64N(3)}}}
			if kind == 19 || last[c.Key].Algorithm != c.Algorithm {
				c.Log.From = math.MinInt64
			}
		}
		next := maps.Clone(last)
		_ = tell(next, &c)
		h.changes, h.states = append(h.changes, c), append(h.states, next)
	}
	return h
}

// frame is change i as one frame that begins at an offset.
func (h *history) frame(i int, offset int64) (frames []byte, end int64) {
	payload := appendRecord(nil, &h.changes[i])
	return stream.AppendFrame(nil, stream.FrameChanges, offset, 0, payload), offset + int64(len(payload))
}

// appendRecord appends the record of a change, or of a policy.
func appendRecord(b []byte, c *engine.Change) []byte {
	if isPolicy(c.Key) {
		return stream.AppendEntry(b, entryOf(c))
	}
	return stream.AppendChange(b, c)
}

// live is an oracle that is changed while it is dumped, key by key.
type live struct {
	mu sync.Mutex
	o  oracle
}

func newLive() *live { return &live{o: oracle{}} }

func (l *live) Change(c *engine.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.o.Change(c)
}

func (l *live) Entry(e stream.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.o.Entry(e)
}

func (l *live) dump(visit stream.Visitor) error {
	l.mu.Lock()
	keys := slices.Collect(maps.Keys(l.o))
	l.mu.Unlock()
	for _, key := range keys {
		l.mu.Lock()
		c, ok := l.o[key]
		l.mu.Unlock()
		if !ok {
			continue
		}
		if err := tell(visit, &c); err != nil {
			return err
		}
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// keep is a change that outlives the visit.
func keep(c *engine.Change) engine.Change {
	kept := *c
	kept.Key = strings.Clone(c.Key)
	kept.Log.Entries = slices.Clone(c.Log.Entries)
	return kept
}

func sameChange(a, b engine.Change) bool {
	if len(a.Log.Entries) == 0 && len(b.Log.Entries) == 0 {
		a.Log.Entries, b.Log.Entries = nil, nil
	}
	return reflect.DeepEqual(a, b)
}
