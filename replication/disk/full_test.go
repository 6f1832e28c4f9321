//go:build linux || darwin

package disk

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

const fullDir = "RLSERVER_TEST_FULL_DIR"

// limitFiles has no file grow beyond a size, in this process: writing more fails with EFBIG,
// after as much as there was room for, just as on a full disk.
func limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	limit.Cur = bytes
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
}

// TestFullDiskChild is a child process, which may limit its own files.
func TestFullDiskChild(t *testing.T) {
	dir := os.Getenv(fullDir)
	if dir == "" {
		t.Skip("only in a child process")
	}
	signal.Ignore(syscall.SIGXFSZ)
	unlimited := ^uint64(0) >> 1
	w := begun(t, dir, newHistory(41, 200, "k"))
	w.append(10)
	size := w.d.stats().incrementBytes

	// The same frame is refused, whatever room there is for a part of it, and taken when
	// there is room.
	frame, end := w.change()
	path := w.d.current.file.Name()
	for room := range len(frame) {
		limitFiles(t, uint64(size)+uint64(room))
		if err := w.d.append(frame, end); !errors.Is(err, syscall.EFBIG) || !errors.Is(err, errDisk) || !strings.Contains(err.Error(), path) {
			t.Fatalf("with room for %d bytes: %v", room, err)
		}
		if s := w.d.stats(); s.appendErr == nil || s.trouble != nil || s.incrementBytes != size {
			t.Fatalf("with room for %d bytes: %+v", room, s)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Fatalf("with room for %d bytes the file has %d, want %d: %v", room, info.Size(), size, err)
		}
	}
	limitFiles(t, unlimited)
	expect(t, copyDir(t, dir), true, w.h.states[10], w.at)

	// Nothing else can be made either, and nothing of it is left.
	before := names(t, dir)
	for limit, want := range map[uint64]string{0: "a header", fileHeaderBytes + 3: "a base"} {
		limitFiles(t, limit)
		if err := w.d.Save(w.at, w.live.dump); !errors.Is(err, syscall.EFBIG) || w.d.stats().saveErr == nil {
			t.Errorf("save without room for %s: %v", want, err)
		}
		if err := w.d.rewrite(w.at, w.live.dump); limit == 0 && !errors.Is(err, syscall.EFBIG) {
			t.Errorf("rewrite without room for %s: %v", want, err)
		}
		if s := waitForRewrite(t, w.d); !errors.Is(s.rewriteErr, syscall.EFBIG) || s.trouble != nil || w.d.needsRewrite(false, 1, 0) {
			t.Errorf("without room for %s: %+v", want, s)
		}
	}
	limitFiles(t, unlimited)
	if got := names(t, dir); strings.Contains(got, ".base") || strings.Contains(got, temporary) || strings.Contains(got, dumpName) || strings.Count(got, ".incr") != strings.Count(before, ".incr")+1 {
		t.Errorf("the directory has %s", got)
	}
	w.put(frame, end)
	w.append(10)

	// A log that is started without room for its base refuses, until a rewrite is well.
	must(t, w.d.stopLog())
	limitFiles(t, fileHeaderBytes)
	must(t, w.d.startLog(w.at, w.live.dump))
	waitForRewrite(t, w.d)
	waitUntil(t, func() bool { return errors.Is(w.d.stats().trouble, errNoBase) })
	frame, end = w.change()
	if err := w.d.append(frame, end); !errors.Is(err, errNoBase) || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("append without a base: %v", err)
	}
	limitFiles(t, unlimited)
	clockAhead.Add(rewriteRetryMax)
	waitUntil(t, func() bool { return w.d.needsRewrite(false, 0, 0) })
	must(t, w.d.rewrite(w.at, w.live.dump))
	w.put(frame, end)
	waitForRewrite(t, w.d)
	must(t, w.d.stats().trouble)
	w.append(3)
	w.closeAndExpect()
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFullDiskChild$", "-test.v")
	cmd.Env = append(os.Environ(), fullDir+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestFullDiskChild") {
		t.Errorf("%v\n%s", err, out)
	}
}

// onDevice has the disk append to a device instead of its file, which it returns. The device
// goes by the file's name: whatever is done by name, to remove it above all, is done to the
// file, and never to a device of the machine.
func onDevice(t *testing.T, d *Disk, name string) *os.File {
	t.Helper()
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.current.file
	d.current.file = os.NewFile(uintptr(fd), file.Name())
	return file
}

// After a sync failed nothing is appended until the log has been rewritten; then it is in
// order, and has everything. /dev/null can be written and cannot be synced.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	for _, policy := range []Policy{SyncAlways, SyncEverySecond} {
		dir := t.TempDir()
		w := newWriter(t, mustOpenAs(t, dir, policy), newHistory(42, 100, "k"))
		w.begin()
		w.append(10)
		must(t, w.d.syncCurrent())
		file := onDevice(t, w.d, "/dev/null")
		defer func() { _ = file.Close() }()

		frame, end := w.change()
		err := w.d.append(frame, end)
		if policy == SyncEverySecond {
			must(t, err)
			w.at.Offset = end
			waitUntil(t, func() bool { return w.d.stats().trouble != nil })
			frame, end = w.change()
			err = w.d.append(frame, end)
		}
		if !errors.Is(err, errUnreliable) || !errors.Is(err, errDisk) || !errors.Is(w.d.append(frame, end), errUnreliable) {
			t.Fatalf("append after a failed sync: %v", err)
		}
		if s := w.d.stats(); !errors.Is(s.trouble, errUnreliable) || s.appendErr == nil || !w.d.needsRewrite(false, 0, 0) {
			t.Fatalf("%+v", s)
		}
		gate := make(chan struct{})
		must(t, w.d.rewrite(w.at, behind(gate, w.live.dump)))
		w.put(frame, end)
		w.append(5)
		if !errors.Is(w.d.stats().trouble, errUnreliable) {
			t.Errorf("while it is rewritten: %v", w.d.stats().trouble)
		}
		close(gate)
		if s := waitForRewrite(t, w.d); s.trouble != nil || s.rewriteErr != nil || s.appendErr != nil {
			t.Errorf("after the rewrite: %+v", s)
		}
		w.append(5)
		w.closeAndExpect()
	}
}

// If the sync of a new log fails before its base is there, the new log is given up, and the
// next rewrite makes another.
func TestSyncFailsAside(t *testing.T) {
	dir := t.TempDir()
	w := begun(t, dir, newHistory(43, 100, "k"))
	w.append(10)
	old := w.at
	_ = w.d.syncFailed(w.d.current, errors.New("made up"))
	gate := make(chan struct{})
	must(t, w.d.rewrite(w.at, behind(gate, w.live.dump)))
	file := onDevice(t, w.d, "/dev/null")
	defer func() { _ = file.Close() }()
	w.append(1)
	if w.d.syncCurrent() == nil {
		t.Fatal("the sync did not fail")
	}
	frame, end := w.change()
	if err := w.d.append(frame, end); !errors.Is(err, errUnreliable) {
		t.Errorf("%v", err)
	}
	close(gate)
	waitUntil(t, func() bool { return errors.Is(w.d.stats().trouble, errNoBase) })
	expect(t, copyDir(t, dir), true, w.h.states[10], old)
	clockAhead.Add(rewriteRetryMax)
	waitUntil(t, func() bool { return w.d.needsRewrite(false, 0, 0) })
	must(t, w.d.rewrite(w.at, w.live.dump))
	w.put(frame, end)
	waitForRewrite(t, w.d)
	must(t, w.d.stats().trouble)
	w.closeAndExpect()
}

// A part of a frame that could not be cut is cut before anything else is appended.
func TestTrimIsRemembered(t *testing.T) {
	dir := t.TempDir()
	w := begun(t, dir, newHistory(44, 100, "k"))
	w.append(5)
	c := w.d.current
	frame, end := w.change()
	_, err := c.file.WriteAt(append(frame, frame...), c.bytes)
	must(t, err)
	c.ragged = true
	file := onDevice(t, w.d, "/dev/full") // can be neither written nor cut
	for range 2 {
		if err := w.d.append(frame, end); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("append: %v", err)
		}
	}
	_ = c.file.Close()
	c.file = file
	w.put(frame, end)
	w.closeAndExpect()
	if info, err := os.Stat(file.Name()); err != nil || info.Size() != c.bytes {
		t.Errorf("the file has %d bytes, want %d: %v", info.Size(), c.bytes, err)
	}
}

// everysec syncs within about a second, by itself, and no more than once.
func TestEverySecond(t *testing.T) {
	t.Parallel()
	w := newWriter(t, mustOpenAs(t, t.TempDir(), SyncEverySecond), newHistory(45, 10, "k"))
	defer func() { must(t, w.d.Close()) }()
	w.begin()
	w.append(1)
	if !w.d.stats().unsynced {
		t.Error("it was synced at once")
	}
	waitUntil(t, func() bool { return !w.d.stats().unsynced })
}
