package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// A damageDir is a directory with a file of every kind, and what is in them.
type damageDir struct {
	dir    string
	h      *history
	at     stream.Position // the end of the log
	files  map[string][]byte
	frames map[string][]int // where the frames of a file begin, and where the last ends
	before int              // changes in the log before its last increment
}

const (
	damageBase   = "appendonly.2.base"
	damageMiddle = "appendonly.2.incr"
	damageLast   = "appendonly.3.incr"
)

// newDamageDir makes a base, an increment, another, and a snapshot.
func newDamageDir(t *testing.T) *damageDir {
	t.Helper()
	dir := t.TempDir()
	w := begun(t, dir, newHistory(21, 40, "k"))
	w.append(15)
	must(t, w.d.rewrite(w.at, w.live.dump))
	waitForRewrite(t, w.d)
	w.append(5)
	must(t, w.d.Save(w.at, w.live.dump))
	must(t, w.d.Close())
	w.d = mustOpen(t, dir)
	w.begin()
	before := w.done
	w.append(6)
	must(t, w.d.Close())
	s := &damageDir{dir: dir, h: w.h, at: w.at, before: before, files: map[string][]byte{}, frames: map[string][]int{}}
	if got := names(t, dir); got != strings.Join([]string{damageBase, damageMiddle, damageLast, manifestName, dumpName, lockName}, " ") {
		t.Fatalf("the directory has %s", got)
	}
	for _, name := range []string{damageBase, damageMiddle, damageLast, manifestName, dumpName} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		s.files[name] = b
		if name == manifestName {
			continue
		}
		starts := []int{fileHeaderBytes}
		for r := stream.NewFrameReader(bytes.NewReader(b[fileHeaderBytes:])); fileHeaderBytes+int(r.At) < len(b); {
			_, err := r.Next()
			must(t, err)
			starts = append(starts, fileHeaderBytes+int(r.At))
		}
		s.frames[name] = starts
	}
	return s
}

// frameAt says where in a file the frame begins that has byte i, 0 for the header, and how
// many frames come before.
func (s *damageDir) frameAt(name string, i int) (start int64, before int) {
	for k, f := range s.frames[name] {
		if f <= i {
			start, before = int64(f), k
		}
	}
	return start, before
}

// put writes a file as it is not, and puts it right at the end of the test's step.
func (s *damageDir) with(t *testing.T, name string, b []byte, do func()) {
	t.Helper()
	overwrite(t, filepath.Join(s.dir, name), b)
	do()
	overwrite(t, filepath.Join(s.dir, name), s.files[name])
}

// overwrite does what os.WriteFile does, but without the flush that some file systems answer
// it with.
func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer func() { _ = f.Close() }()
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Truncate(int64(len(b))))
}

// expectDamage loads and wants the damage named, by Check as well.
func (s *damageDir) expectDamage(t *testing.T, what, name string, offset int64) {
	t.Helper()
	o, _, err := loadDir(t, s.dir, name != dumpName)
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File != name || damage.Offset != offset || damage.Dir != s.dir {
		t.Fatalf("%s: got %d keys, %v; want damage of %s at %d", what, len(o), err, name, offset)
	}
	if text := err.Error(); !strings.Contains(text, filepath.Join(s.dir, name)) || !strings.Contains(text, fmt.Sprint("byte ", offset)) || !strings.Contains(text, "rlserver aof repair "+s.dir) {
		t.Fatalf("%s: %v", what, err)
	}
	r, err := Check(s.dir)
	if err != nil || !r.Damaged() {
		t.Fatalf("%s: check: %+v, %v", what, r, err)
	}
	for _, f := range r.Files {
		if f.Name == name && (f.Damage == nil || f.Damage.Offset != offset) {
			t.Fatalf("%s: check says %+v", what, f)
		}
	}
}

// expectPrefix loads the state after n frames of the last increment, with and without
// checking before.
func (s *damageDir) expectPrefix(t *testing.T, what string, n int) {
	t.Helper()
	r, err := Check(s.dir)
	if err != nil || r.Damaged() {
		t.Fatalf("%s: check: %+v, %v", what, r, err)
	}
	o, at, err := loadDir(t, s.dir, true)
	if err != nil || !o.equal(s.h.states[s.before+n]) {
		t.Fatalf("%s: %v, got\n%+v\nwant\n%+v", what, err, o, s.h.states[s.before+n])
	}
	info, err := os.Stat(filepath.Join(s.dir, damageLast))
	if err != nil || info.Size() != int64(s.frames[damageLast][n]) {
		t.Fatalf("%s: the file was cut to %d bytes, want %d: %v", what, info.Size(), s.frames[damageLast][n], err)
	}
	if again, atAgain, err := loadDir(t, s.dir, true); err != nil || !again.equal(o) || atAgain != at {
		t.Fatalf("%s: again: %v", what, err)
	}
}

// The log cut at any length is the state of some frames fewer, or is refused. No other file
// may be cut at all.
func TestEveryLength(t *testing.T) {
	t.Parallel()
	s := newDamageDir(t)
	for name, intact := range s.files {
		for n := range intact {
			what := fmt.Sprintf("%d bytes of %s", n, name)
			start, frames := s.frameAt(name, n)
			if within := n - int(start); !*every && within%4 != 0 && within != stream.FrameHeaderBytes-1 {
				continue
			}
			switch {
			case name == manifestName:
				start = 0
			case name == damageLast && start > 0:
				s.with(t, name, intact[:n], func() { s.expectPrefix(t, what, frames) })
				continue
			}
			s.with(t, name, intact[:n], func() { s.expectDamage(t, what, name, start) })
		}
	}
	expect(t, s.dir, true, s.h.states[s.before+6], s.at)
	last := len(s.files[damageLast]) - fileHeaderBytes - 6*stream.FrameExtraBytes // bytes of the six payloads
	expect(t, s.dir, false, s.h.states[s.before], stream.Position{ID: testID(1), Offset: s.at.Offset - int64(last)})
}

// Any bit that is not as it was written is found, and the place is told.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	s := newDamageDir(t)
	for name, intact := range s.files {
		for bit := range 8 * len(intact) {
			if !*every && bit%8 != 5*bit/8%8 { // else one bit of each byte, and not always the same
				continue
			}
			damaged := bytes.Clone(intact)
			damaged[bit/8] ^= 1 << (bit % 8)
			start, _ := s.frameAt(name, bit/8)
			what := fmt.Sprintf("bit %d of byte %d of %s", bit%8, bit/8, name)
			s.with(t, name, damaged, func() { s.expectDamage(t, what, name, start) })
		}
	}
}

// Bytes that were never written, behind the end of a file.
func TestBytesBehind(t *testing.T) {
	s := newDamageDir(t)
	for name, intact := range s.files {
		end := int64(len(intact))
		if name == manifestName {
			end = 0
		}
		behind := func(b ...byte) []byte { return append(bytes.Clone(intact), b...) }
		s.with(t, name, behind(bytes.Repeat([]byte("garbage "), 5)...), func() { s.expectDamage(t, "garbage behind "+name, name, end) })
		if name == damageLast {
			for _, n := range []int{1, 19, 20, 24, 4096, 300_000} {
				s.with(t, name, behind(make([]byte, n)...), func() { s.expectPrefix(t, fmt.Sprint(n, " zeros"), 6) })
			}
			s.with(t, name, append(behind(make([]byte, 5000)...), 1), func() { s.expectDamage(t, "one behind zeros", name, end) })
			continue
		}
		s.with(t, name, behind(make([]byte, 100)...), func() { s.expectDamage(t, "zeros behind "+name, name, end) })
	}
	// A frame that is right, but is another's, or comes twice.
	last := s.files[damageLast]
	frames := s.frames[damageLast]
	s.with(t, damageLast, append(bytes.Clone(last), last[frames[5]:]...), func() { s.expectDamage(t, "a frame twice", damageLast, int64(len(last))) })
	s.with(t, damageLast, append(bytes.Clone(last[:frames[2]]), last[frames[3]:]...), func() { s.expectDamage(t, "a frame too few", damageLast, int64(frames[2])) })
	s.with(t, damageLast, stream.AppendFrame(bytes.Clone(last), stream.FrameEnd, s.at.Offset, 0, make([]byte, 8)), func() { s.expectDamage(t, "an end", damageLast, int64(len(last))) })
	s.with(t, damageLast, stream.AppendFrame(bytes.Clone(last), stream.FrameChanges, s.at.Offset, 0, []byte{4}), func() { s.expectDamage(t, "a record that ends", damageLast, int64(len(last))) })
	s.with(t, damageLast, s.files[dumpName], func() { s.expectDamage(t, "a snapshot", damageLast, 0) })
	s.with(t, damageLast, s.files[damageMiddle], func() { s.expectDamage(t, "the increment before", damageLast, 0) })
	s.with(t, dumpName, last, func() { s.expectDamage(t, "an increment", dumpName, 0) })
	// A frame fewer in a file that is not the last.
	middle := s.files[damageMiddle]
	start := s.frames[damageMiddle][4]
	s.with(t, damageMiddle, middle[:start], func() { s.expectDamage(t, "a frame fewer", damageMiddle, int64(start)) })
	// A ping is nothing.
	s.with(t, damageLast, stream.AppendFrame(bytes.Clone(last), stream.FramePing, s.at.Offset, 0, nil), func() {
		expect(t, s.dir, true, s.h.states[s.before+6], s.at)
	})
}

// A crash may leave the file longer than what was written of it. From wherever in a frame
// the zeros begin, the frames before are there; unless something stands behind the zeros.
func TestZerosFromAnywhere(t *testing.T) {
	t.Parallel()
	s := newDamageDir(t)
	intact := s.files[damageLast]
	for from := fileHeaderBytes; from < len(intact); from++ {
		zeroed := bytes.Clone(intact)
		clear(zeroed[from:])
		frames := 0
		for frames < 6 && bytes.Equal(zeroed[:s.frames[damageLast][frames+1]], intact[:s.frames[damageLast][frames+1]]) {
			frames++
		}
		s.with(t, damageLast, append(zeroed, make([]byte, from%7)...), func() {
			start := s.frames[damageLast][frames]
			// A checksum in part is what no crash leaves.
			if within := from - start; within > stream.FrameHeaderBytes-4 && within < stream.FrameHeaderBytes && intact[from-1] != 0 ||
				from > s.frames[damageLast][frames+1]-4 && intact[from-1] != 0 {
				s.expectDamage(t, fmt.Sprintf("zeros from %d", from), damageLast, int64(start))
				return
			}
			s.expectPrefix(t, fmt.Sprintf("zeros from %d", from), frames)
		})
		if start, k := s.frameAt(damageLast, from); k < 5 && from+4 <= s.frames[damageLast][k+1] {
			holed := bytes.Clone(intact)
			clear(holed[from:s.frames[damageLast][k+1]])
			s.with(t, damageLast, holed, func() { s.expectDamage(t, fmt.Sprintf("a hole from %d", from), damageLast, start) })
		}
	}
}

// The border of a sector may be anywhere, within a checksum as well.
func TestZerosFromASector(t *testing.T) {
	for into := range 3 {
		for _, part := range []int{stream.FrameHeaderBytes, stream.FrameExtraBytes + 203} {
			dir := t.TempDir()
			w := begun(t, dir, newHistory(22, 10, "k"))
			w.append(2)
			size := int(w.d.stats().incrementBytes)
			border := (size/sectorBytes + 2) * sectorBytes
			// The second frame, or its header, ends a little behind the border.
			first := border + 1 + into - part - size - stream.FrameExtraBytes - 3
			for _, length := range []int{first, 200} {
				c := engine.Change{Key: strings.Repeat("k", length)}
				frame := stream.AppendFrame(nil, stream.FrameChanges, w.at.Offset, 0, stream.AppendChange(nil, &c))
				end := w.at.Offset + int64(len(frame)-stream.FrameExtraBytes)
				w.put(frame, end)
			}
			must(t, w.d.Close())
			path := filepath.Join(dir, "appendonly.1.incr")
			b, err := os.ReadFile(path)
			must(t, err)
			if clear(b[border:]); b[border-1] == 0 {
				t.Fatal("nothing stands before the border")
			}
			overwrite(t, path, b)
			if _, _, err := loadDir(t, dir, true); err != nil {
				t.Errorf("%d bytes behind the border: %v", into+1, err)
			}
		}
	}
}

// A file that is not there, and a manifest that is not there.
func TestMissingFiles(t *testing.T) {
	s := newDamageDir(t)
	for name, intact := range s.files {
		if name == dumpName {
			continue
		}
		must(t, os.Remove(filepath.Join(s.dir, name)))
		s.expectDamage(t, "without "+name, name, 0)
		must(t, os.WriteFile(filepath.Join(s.dir, name), intact, 0o600))
	}
}

// What a later version wrote is not called damaged, and is not repaired.
func TestNewerFiles(t *testing.T) {
	s := newDamageDir(t)
	newer := bytes.Clone(s.files[damageLast])
	newer[8] = 2
	binary.LittleEndian.PutUint32(newer[fileHeaderBytes-4:], stream.Checksum(newer[:fileHeaderBytes-4]))
	title := strings.Replace(string(s.files[manifestName]), "manifest 1", "manifest 2", 1)
	title = title[:strings.Index(title, checksumTitle)]
	for name, c := range map[string]struct {
		file    string
		content []byte
	}{
		"header":   {damageLast, newer},
		"record":   {damageLast, stream.AppendFrame(bytes.Clone(s.files[damageLast]), stream.FrameChanges, s.at.Offset, 0, []byte{77})},
		"manifest": {manifestName, []byte(title + checksumLine([]byte(title)))},
	} {
		s.with(t, c.file, c.content, func() {
			for what, do := range map[string]func() error{
				"load":   func() error { _, _, err := loadDir(t, s.dir, true); return err },
				"check":  func() error { _, err := Check(s.dir); return err },
				"repair": func() error { _, err := Repair(s.dir); return err },
			} {
				var damage *DamageError
				if err := do(); !errors.Is(err, stream.ErrNewer) || errors.As(err, &damage) || !strings.Contains(err.Error(), filepath.Join(s.dir, c.file)) {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
		})
	}
}

// An error of apply ends the load, with the place.
func TestLoadPassesErrorsOn(t *testing.T) {
	s := newDamageDir(t)
	full := errors.New("full")
	d := mustOpen(t, s.dir)
	defer func() { must(t, d.Close()) }()
	n := 0
	_, _, err := d.Load(true, stream.Changes(func(*engine.Change) error {
		if n++; n > 10 {
			return full
		}
		return nil
	}))
	if !errors.Is(err, full) || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("%v", err)
	}
	if err := d.continueLog(s.at); !errors.Is(err, errNotLoaded) {
		t.Errorf("continueLog after that: %v", err)
	}
}
