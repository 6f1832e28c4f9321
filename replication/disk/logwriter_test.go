package disk

import (
	"testing"

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
	must(t, w.d.Close())
	expect(t, dir, true, w.h.states[2], w.at)
}
