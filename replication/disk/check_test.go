package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/replication/stream"
)

func TestCheckReportsWhatIsThere(t *testing.T) {
	s := newDamageDir(t)
	r, err := Check(s.dir)
	if err != nil || r.Damaged() || len(r.Cuts) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	var got []string
	for _, f := range r.Files {
		got = append(got, fmt.Sprint(f.Kind, " ", f.Name, " ", f.Frames, " ", f.Records))
		if f.Bytes != int64(len(s.files[f.Name])) || f.Kind != "manifest" && (f.ID != testID(1) || f.Created.IsZero()) {
			t.Errorf("%+v", f)
		}
	}
	want := []string{"manifest appendonly.manifest 0 0", fmt.Sprintf("base %s 2 %d", damageBase, len(s.h.states[15])),
		"increment " + damageMiddle + " 5 5", "increment " + damageLast + " 6 6", fmt.Sprintf("snapshot dump.rls 2 %d", len(s.h.states[20]))}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if last := r.Files[3]; last.To != s.at.Offset || last.From != r.Files[2].To {
		t.Errorf("%+v", last)
	}
	empty, err := Check(t.TempDir())
	if err != nil || len(empty.Files) != 0 || empty.Damaged() {
		t.Errorf("an empty directory: %+v, %v", empty, err)
	}
	if _, err := Check(filepath.Join(s.dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// check changes nothing, whatever is damaged.
func TestCheckChangesNothing(t *testing.T) {
	s := newDamageDir(t)
	damaged := s.files[damageMiddle][:200]
	s.with(t, damageMiddle, damaged, func() {
		if _, err := Check(s.dir); err != nil {
			t.Fatal(err)
		}
		for name, intact := range s.files {
			if name == damageMiddle {
				intact = damaged
			}
			if b, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || !bytes.Equal(b, intact) {
				t.Errorf("%s was changed: %v", name, err)
			}
		}
	})
}

// repaired repairs a copy of the directory and loads it. All bytes that were there are there
// still, in the file or in a copy of what was cut.
func (s *damageDir) repaired(t *testing.T, what, name string, content []byte, appendOnly bool) (oracle, *Report, string) {
	t.Helper()
	dir := copyDir(t, s.dir)
	if content == nil {
		must(t, os.Remove(filepath.Join(dir, name)))
	} else {
		overwrite(t, filepath.Join(dir, name), content)
	}
	r, err := Repair(dir)
	if err != nil || !r.Damaged() && content == nil {
		t.Fatalf("%s: %+v, %v", what, r, err)
	}
	after, err := Check(dir)
	if err != nil || after.Damaged() || len(after.Cuts) != 0 {
		t.Fatalf("%s: after the repair: %+v, %v", what, after, err)
	}
	o, _, err := loadDir(t, dir, appendOnly)
	if err != nil {
		t.Fatalf("%s: load after the repair: %v", what, err)
	}
	for _, c := range r.Cuts { // the start leaves copies alone
		if c.Bytes == 0 {
			continue
		}
		before := s.files[c.File]
		if c.File == name {
			before = content
		}
		kept, err := os.ReadFile(filepath.Join(dir, c.Copy))
		if err != nil || !bytes.Equal(kept, before[c.Offset:]) || int64(len(kept)) != c.Bytes {
			t.Fatalf("%s: %+v: the copy has %d bytes: %v", what, c, len(kept), err)
		}
	}
	return o, r, dir
}

// A repair leaves the state of some changes fewer, or without keys of a base that was cut.
func TestRepair(t *testing.T) {
	s := newDamageDir(t)
	flipped := func(name string, at int) []byte {
		b := bytes.Clone(s.files[name])
		b[at] ^= 0x40
		return b
	}
	for k, start := range s.frames[damageLast][:6] {
		o, r, _ := s.repaired(t, "last increment", damageLast, flipped(damageLast, start+5), true)
		if !o.equal(s.h.states[s.before+k]) || len(r.Cuts) != 1 {
			t.Errorf("frame %d of the last increment: %+v", k, r.Cuts)
		}
	}
	for k, start := range s.frames[damageMiddle][:5] {
		o, r, _ := s.repaired(t, "middle increment", damageMiddle, flipped(damageMiddle, start+22), true)
		if !o.equal(s.h.states[15+k]) || len(r.Cuts) != 2 {
			t.Errorf("frame %d of the middle increment: %+v", k, r.Cuts)
		}
	}
	for name, want := range map[string]int{damageMiddle: 15, damageLast: s.before} {
		for what, content := range map[string][]byte{"its header": flipped(name, 30), "no header": s.files[name][:10], "nothing": {}, "no file": nil} {
			if o, r, _ := s.repaired(t, what, name, content, true); !o.equal(s.h.states[want]) {
				t.Errorf("%s of %s: %+v", what, name, r.Cuts)
			}
		}
	}
	// What a base has lost is missing, and the rest is there.
	for what, content := range map[string][]byte{
		"its frame": flipped(damageBase, 100), "its header": flipped(damageBase, 1), "no end": s.files[damageBase][:s.frames[damageBase][1]],
		"no file": nil, "more behind": append(bytes.Clone(s.files[damageBase]), 1, 2, 3),
	} {
		want := oracle{}
		if what == "no end" || what == "more behind" {
			_ = s.h.states[15].dump(want)
		}
		for i := range s.h.changes[15 : s.before+6] {
			_ = tell(want, &s.h.changes[15+i])
		}
		if o, r, _ := s.repaired(t, what, damageBase, content, true); !o.equal(want) {
			t.Errorf("%s of the base: got\n%+v\nwant\n%+v\n%+v", what, o, want, r.Cuts)
		}
	}
	for what, content := range map[string][]byte{"its frame": flipped(dumpName, 100), "its header": flipped(dumpName, 1)} {
		if o, r, _ := s.repaired(t, what, dumpName, content, false); len(o) != 0 {
			t.Errorf("%s of the snapshot: %+v %+v", what, o, r.Cuts)
		}
	}
	// Nothing to repair.
	o, r, _ := s.repaired(t, "nothing", damageLast, s.files[damageLast], true)
	if !o.equal(s.h.states[s.before+6]) || len(r.Cuts) != 0 {
		t.Errorf("nothing: %+v", r)
	}
	// A torn tail is no damage, but is kept if one asks.
	torn := s.files[damageLast][:len(s.files[damageLast])-1]
	o, r, _ = s.repaired(t, "torn", damageLast, torn, true)
	if !o.equal(s.h.states[s.before+5]) || len(r.Cuts) != 1 || r.Damaged() {
		t.Errorf("torn: %+v", r)
	}
}

// A manifest that is damaged or lost is made again from the files.
func TestRepairManifest(t *testing.T) {
	s := newDamageDir(t)
	for what, content := range map[string][]byte{"cut": s.files[manifestName][:20], "empty": {}, "no file": nil} {
		o, r, dir := s.repaired(t, what, manifestName, content, true)
		if !o.equal(s.h.states[s.before+6]) || len(r.Cuts) != 0 {
			t.Errorf("%s: %+v", what, r)
		}
		if m, _, err := readManifest(dir); err != nil || !bytes.Equal(m.encode(), s.files[manifestName]) {
			t.Errorf("%s: the manifest is %+v, was %s: %v", what, m, s.files[manifestName], err)
		}
	}
	// Files that are not in force are set aside, and not taken for the log.
	leftover := fileHeader{fileFirst, stream.Position{ID: testID(7), Offset: 5}, 1}.encode()
	must(t, os.WriteFile(filepath.Join(s.dir, "appendonly.4.incr"), leftover, 0o600))
	must(t, os.WriteFile(filepath.Join(s.dir, "appendonly.1.incr"), leftover, 0o600))
	s.files["appendonly.4.incr"], s.files["appendonly.1.incr"] = leftover, leftover
	if o, r, _ := s.repaired(t, "leftovers", manifestName, nil, true); !o.equal(s.h.states[s.before+6]) || len(r.Cuts) != 2 {
		t.Errorf("leftovers: %+v", r)
	}
}

// A log that began with no keys has no base.
func TestRepairWithoutBase(t *testing.T) {
	dir := t.TempDir()
	w := begun(t, dir, newHistory(51, 30, "k"))
	w.append(5)
	must(t, w.d.continueLog(stream.Position{ID: testID(2), Offset: 1000}))
	w.at = stream.Position{ID: testID(2), Offset: 1000}
	w.append(5)
	gate := make(chan struct{})
	must(t, w.d.replaceLog(stream.Position{ID: testID(3), Offset: 0}, behind(gate, oracle{}.dump)))
	copied := copyDir(t, dir)
	close(gate)
	must(t, w.d.Close())
	must(t, os.Remove(filepath.Join(copied, manifestName)))
	if _, err := Repair(copied); err != nil {
		t.Fatal(err)
	}
	expect(t, copied, true, w.h.states[10], w.at)
}
