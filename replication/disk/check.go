package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// A Report is what Check found in a directory, and what Repair would do or did about it.
type Report struct {
	Dir   string
	Files []FileReport // the manifest, the log in its order, the snapshot
	// Cuts is what has to go for the rest to be read, in the order of Files.
	Cuts []Cut

	NewManifest bool     // Repair writes, or wrote, the manifest
	manifest    manifest // as it is, or as it has to be
}

// A FileReport is about one file.
type FileReport struct {
	Name     string
	Kind     string // "manifest", "base", "increment" or "snapshot"
	Bytes    int64
	ID       string // of the history that the file begins in; "" if that cannot be read
	From, To int64  // offsets in the stream: of the beginning, and behind the last good frame
	Created  time.Time
	Frames   int64 // good ones
	Records  int64 // in them
	Damage   *DamageError
	// Torn says that the damage is what a crash leaves of the last write. The start cuts it.
	Torn bool
}

// A Cut is bytes that Repair moves from a file to another.
type Cut struct {
	File   string
	Offset int64 // of the first; with 0 all of the file goes
	Bytes  int64
	Why    string
	// Copy is the name of the file that they are kept in; "" before that was made.
	Copy string
	// end is how many records are left in a snapshot, which ends with their number, and from is
	// where in the stream it stands; end is -1 for an increment. reading is the last of the clock.
	end, from, reading int64
}

// Damaged says whether a start would stop.
func (r *Report) Damaged() bool {
	return slices.ContainsFunc(r.Files, func(f FileReport) bool { return f.Damage != nil && !f.Torn })
}

// Check reads what a server keeps in a directory and reports what is there, without changing
// it. No server may be using the directory.
func Check(dir string) (*Report, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unlockFile(lock) }() // the lock ends with the process at the latest
	return check(dir)
}

func check(dir string) (*Report, error) {
	r := &Report{Dir: dir}
	m, found, err := readManifest(dir)
	var damage *DamageError
	switch {
	case errors.As(err, &damage):
		if m, err = rebuildManifest(dir); err != nil {
			return nil, err
		}
		r.NewManifest = true
	case err != nil:
		return nil, err
	}
	if found || damage != nil {
		f := FileReport{Name: manifestName, Kind: "manifest", Damage: damage}
		if info, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
			f.Bytes = info.Size()
		}
		r.Files = append(r.Files, f)
	}
	if err := r.log(m); err != nil {
		return nil, err
	}
	if r.NewManifest {
		if err := r.setAside(); err != nil {
			return nil, err
		}
	}
	_, err = r.file(dumpName, "snapshot", true)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return r, err
}

// ignore visits records that are only counted.
var ignore = stream.Changes(func(*engine.Change) error { return nil })

// file reads and reports one file, and what has to be cut from it.
func (r *Report) file(name, kind string, snapshot bool) (s fileState, err error) {
	s, err = readFile(r.Dir, name, snapshot, ignore)
	var damage *DamageError
	if err != nil && !errors.As(err, &damage) {
		return s, err
	}
	f := FileReport{Name: name, Kind: kind, Bytes: s.size, ID: s.header.at.ID, From: s.header.at.Offset, To: s.end,
		Frames: s.frames, Records: s.records, Damage: damage}
	if s.good > 0 {
		f.Created = time.UnixMicro(s.header.created)
	}
	r.Files = append(r.Files, f)
	if damage != nil {
		r.cut(&s, damage)
	}
	return s, nil
}

// cut plans a cut behind what is good.
func (r *Report) cut(s *fileState, damage *DamageError) {
	c := Cut{File: damage.File, Offset: damage.Offset, Bytes: s.size - damage.Offset, Why: damage.Problem, end: -1}
	if s.header.kind == fileSnapshot && !s.ended {
		c.end, c.from, c.reading = s.records, s.header.at.Offset, s.reading
	}
	r.Cuts = append(r.Cuts, c)
}

// log checks the files of a manifest, and finds the manifest of what can be kept of them: a
// base without what is damaged, which is without some keys; increments up to the first
// damage, because what comes behind a gap was never the state of any server.
func (r *Report) log(m manifest) error {
	r.manifest = m
	r.manifest.increments = nil
	var l loadedLog
	begun := false
	if m.base != 0 {
		s, err := r.file(baseName(m.base), "base", true)
		if err != nil {
			return err
		}
		if begun = s.good > 0; begun {
			l.at = stream.Position{ID: s.header.at.ID, Offset: s.end}
		} else {
			r.manifest.base, r.NewManifest = 0, true
		}
	}
	broken := false // there was damage in an increment before
	for i, e := range m.increments {
		name, last := incrementName(e.number), i == len(m.increments)-1
		s, err := r.file(name, "increment", false)
		if err != nil {
			return err
		}
		f := &r.Files[len(r.Files)-1]
		if f.Torn = last && f.Damage != nil && f.Damage.torn; !broken && (f.Damage == nil || f.Torn) {
			var damage *DamageError
			if err := l.follows(r.Dir, name, &s, begun, e); errors.As(err, &damage) {
				f.Damage, f.Torn = damage, false
				r.cut(&s, damage)
			}
		}
		switch {
		case broken && f.Damage == nil:
			r.cut(&s, &DamageError{File: name, Problem: "it follows damage"})
			continue
		case broken:
			r.Cuts[len(r.Cuts)-1] = Cut{File: name, Bytes: s.size, Why: "it follows damage", end: -1}
			continue
		}
		if f.Damage != nil && !f.Torn {
			broken, r.NewManifest = true, true
			e.end = openEnd
		}
		if s.good > 0 && (f.Damage == nil || f.Damage.Offset > 0) {
			r.manifest.increments = append(r.manifest.increments, e)
		}
		l.increments = append(l.increments, loadedIncrement{e.number, s})
		l.at, begun = stream.Position{ID: s.header.at.ID, Offset: s.end}, true
	}
	return nil
}

// rebuildManifest finds out which files are the log when no manifest says so. The highest
// complete base is the one that was in force or was just about to be; where there is none,
// the log began with the lowest increment. Increments behind it follow up to one that begins
// a log of its own, whose base was never finished.
func rebuildManifest(dir string) (m manifest, err error) {
	names, err := logFiles(dir)
	if err != nil {
		return m, err
	}
	var bases, increments []int
	for _, name := range names {
		n, base, _ := parseName(name)
		m.last = max(m.last, n)
		if base {
			bases = append(bases, n)
		} else {
			increments = append(increments, n)
		}
	}
	slices.Sort(bases)
	slices.Sort(increments)
	complete := false
	for _, n := range bases {
		_, err := readFile(dir, baseName(n), true, ignore)
		if err == nil || !complete {
			m.base, complete = n, err == nil
		}
	}
	for _, n := range increments {
		if n < m.base {
			continue
		}
		s, _ := readFile(dir, incrementName(n), false, ignore)
		// Nothing can be told of what follows a file without a header.
		if k := len(m.increments); k > 0 && (s.header.kind == fileFirst || m.increments[k-1].end == openEnd) {
			break
		}
		e := incrementEntry{n, s.end}
		if s.good == 0 {
			e.end = openEnd
		}
		m.increments = append(m.increments, e)
	}
	if k := len(m.increments); k > 0 {
		m.increments[k-1].end = openEnd
	}
	return m, nil
}

// setAside plans to keep those files that the new manifest does not name, and that the next
// start would remove.
func (r *Report) setAside() error {
	names, err := logFiles(r.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		planned := slices.ContainsFunc(r.Cuts, func(c Cut) bool { return c.File == name && c.Offset == 0 })
		if planned || slices.Contains(r.manifest.files(), name) {
			continue
		}
		info, err := os.Stat(filepath.Join(r.Dir, name))
		if err != nil {
			return diskError(err)
		}
		r.Cuts = append(r.Cuts, Cut{File: name, Bytes: info.Size(), Why: "it is no part of the log", end: -1})
	}
	return nil
}
