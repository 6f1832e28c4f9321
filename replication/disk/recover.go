package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/replication/stream"
)

// DamageError is that a file does not hold what was written to it. The start stops with it,
// because the lost bytes may have told of any change.
type DamageError struct {
	Dir    string
	File   string // its name in Dir
	Offset int64  // bytes of the file before what cannot be read
	// Problem is what is wrong there.
	Problem string
	// torn says that a crash in the middle of a write leaves damage of just this kind.
	torn bool
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("replication: %s is damaged at byte %d: %s (“rlserver aof check %s” tells more; “rlserver aof repair %s” cuts it there and keeps a copy)",
		filepath.Join(e.Dir, e.File), e.Offset, e.Problem, e.Dir, e.Dir)
}

// A fileState is the result of reading a file.
type fileState struct {
	header  fileHeader
	end     int64 // the offset in the stream behind the last good frame
	reading int64 // the last of the clock that decided, µs
	frames  int64
	records int64 // in good frames
	good    int64 // bytes up to the end of the last good frame
	size    int64 // bytes of the file
	ended   bool  // a snapshot has had its end
}

// readFile reads a file of the directory and calls visit for each record. For what is wrong
// with the file the error is a *DamageError; the records before the damage have been visited.
func readFile(dir, name string, snapshot bool, visit stream.Visitor) (s fileState, err error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) && name != dumpName {
		return s, &DamageError{Dir: dir, File: name, Problem: "it is missing, but the manifest names it"}
	}
	if err != nil {
		return s, diskError(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return s, diskError(err)
	}
	s.size = info.Size()
	err = s.read(f, snapshot, visit)
	var damage *DamageError
	if errors.As(err, &damage) {
		damage.Dir, damage.File = dir, name
		if !snapshot && s.good > 0 && !damage.torn {
			var failed error
			if damage.torn, failed = endsInZeros(f, s.good, s.size); failed != nil {
				return s, failed
			}
		}
	} else if err != nil {
		err = fmt.Errorf("%w, in %s at byte %d", err, filepath.Join(dir, name), s.good)
	}
	return s, err
}

// damaged is a DamageError behind what was good.
func (s *fileState) damaged(format string, args ...any) *DamageError {
	return &DamageError{Offset: s.good, Problem: strings.TrimPrefix(fmt.Sprintf(format, args...), "replication: ")}
}

// read reads a header and frames.
func (s *fileState) read(f io.Reader, snapshot bool, visit stream.Visitor) error {
	h, err := readHeader(f)
	if errors.Is(err, errHeader) {
		return s.damaged("%v", err)
	} else if err != nil {
		return err
	}
	if snapshot != (h.kind == fileSnapshot) {
		return s.damaged("it holds %s", map[bool]string{true: "an increment", false: "a snapshot"}[snapshot])
	}
	s.header, s.end, s.reading, s.good = h, h.at.Offset, h.created, fileHeaderBytes
	records := int64(0) // those of a frame that turns out bad are none
	count := counted{visit, &records}
	frames := stream.NewFrameReader(f)
	for {
		f, err := frames.Next()
		switch {
		case errors.Is(err, io.EOF) && !snapshot:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			damage := s.damaged("it ends within a frame")
			if errors.Is(err, io.EOF) {
				damage.Problem = "it ends before its end"
			}
			damage.torn = !snapshot
			return damage
		case errors.Is(err, stream.ErrFrame):
			return s.damaged("%v", err)
		case err != nil:
			return diskError(err)
		}
		done, err := s.frame(&f, snapshot, count)
		if err != nil {
			return err
		}
		s.reading = max(s.reading, f.Reading)
		if done {
			return s.nothingBehind(frames)
		}
		s.frames++
		s.good, s.end, s.records = fileHeaderBytes+frames.At, f.End(), records
	}
}

// counted counts records, and has them visited.
type counted struct {
	visit   stream.Visitor
	records *int64
}

func (c counted) Change(change *engine.Change) error {
	*c.records++
	return c.visit.Change(change)
}

func (c counted) Entry(e stream.Entry) error {
	*c.records++
	return c.visit.Entry(e)
}

// frame reads one frame; done says that it is the end of a snapshot.
func (s *fileState) frame(f *stream.Frame, snapshot bool, visit stream.Visitor) (done bool, err error) {
	if f.Offset != s.end {
		return false, s.damaged("a frame of offset %d where %d comes next", f.Offset, s.end)
	}
	switch {
	case f.Kind == stream.FramePing && !snapshot:
		return false, nil
	case f.Kind == stream.FrameChanges && !snapshot && f.Offset > math.MaxInt64-int64(len(f.Payload)):
		return false, s.damaged("a frame of offset %d, behind which there is none", f.Offset)
	case f.Kind == stream.FrameChanges && !snapshot, f.Kind == stream.FrameSnapshot && snapshot:
		err := stream.ReadRecords(f.Payload, visit)
		if errors.Is(err, stream.ErrRecord) {
			err = s.damaged("%v", err)
		}
		return false, err
	case f.Kind == stream.FrameEnd && snapshot:
		if len(f.Payload) != 8 {
			return false, s.damaged("an end of %d bytes", len(f.Payload))
		}
		if n := binary.LittleEndian.Uint64(f.Payload); n != uint64(s.records) {
			return false, s.damaged("an end after %d records, of which %d are there", n, s.records)
		}
		return true, nil
	}
	return false, s.damaged("a frame of %s", f.Kind)
}

// nothingBehind checks that a snapshot ends with its end.
func (s *fileState) nothingBehind(frames *stream.FrameReader) error {
	s.frames++
	s.good, s.ended = fileHeaderBytes+frames.At, true
	if _, err := frames.Next(); !errors.Is(err, io.EOF) {
		return s.damaged("bytes behind its end")
	}
	return nil
}

// sectorBytes is the least that a disk writes or does not write.
const sectorBytes = 512

// endsInZeros says whether a bad frame that begins at byte start is one that a crash leaves: the
// file was made longer, and the pages from some byte of the frame on were never written. Then
// all bytes from there to the end of the file are zero, with the frame's last checksum, which is
// never zero in a good frame. If the checksum spans the border of two sectors, the part behind
// the border is zero, because a sector is the least that is written or not. Zeros with other
// bytes behind them are damage: those bytes may have been synced and acknowledged.
func endsInZeros(f io.ReaderAt, start, size int64) (bool, error) {
	var head [stream.FrameHeaderBytes]byte
	if size-start < stream.FrameHeaderBytes {
		return true, nil
	}
	if _, err := f.ReadAt(head[:], start); err != nil {
		return false, diskError(err)
	}
	end := start + stream.FrameHeaderBytes // of what must not be all there
	if h, err := stream.ParseFrameHeader(head[:]); err == nil {
		end += int64(h.Length) + stream.FrameTrailerBytes
	}
	from := max(end-stream.FrameTrailerBytes, (end-1)/sectorBytes*sectorBytes)
	for rest := bufio.NewReader(io.NewSectionReader(f, from, size-from)); ; {
		b, err := rest.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil || b != 0:
			return false, diskError(err)
		}
	}
}

// loadedLog is what reading a log found.
type loadedLog struct {
	base       int64 // bytes
	increments []loadedIncrement
	at         stream.Position
	reading    int64 // the last of the clock that decided, µs
}

type loadedIncrement struct {
	number int
	state  fileState
}

// readLog reads the files of a manifest in order. After a *DamageError, increments has those
// before the damaged file. If the last increment has a torn tail, torn tells of it, and err
// is nil.
func readLog(dir string, m *manifest, visit stream.Visitor) (l loadedLog, torn *DamageError, err error) {
	begun := false
	if m.base != 0 {
		s, err := readFile(dir, baseName(m.base), true, visit)
		if err != nil {
			return l, nil, err
		}
		l.base, l.at, l.reading, begun = s.size, stream.Position{ID: s.header.at.ID, Offset: s.end}, s.reading, true
	}
	for i, e := range m.increments {
		last := i == len(m.increments)-1
		name := incrementName(e.number)
		s, err := readFile(dir, name, false, visit)
		var damage *DamageError
		if last && errors.As(err, &damage) && damage.torn {
			torn, err = damage, nil
		}
		if err == nil {
			err = l.follows(dir, name, &s, begun, e)
		}
		if err != nil {
			return l, nil, err
		}
		l.increments = append(l.increments, loadedIncrement{e.number, s})
		l.at, l.reading, begun = stream.Position{ID: s.header.at.ID, Offset: s.end}, max(l.reading, s.reading), true
	}
	return l, torn, nil
}

// follows checks that an increment continues what was read before it, and ends where the
// manifest says. A history of another id begins wherever it likes.
func (l *loadedLog) follows(dir, name string, s *fileState, begun bool, e incrementEntry) error {
	at := s.header.at
	if begun && at.ID == l.at.ID && at.Offset != l.at.Offset {
		return &DamageError{Dir: dir, File: name, Problem: fmt.Sprintf("it begins at offset %d, but what comes before ends at %d", at.Offset, l.at.Offset)}
	}
	if s.header.kind == fileFirst && len(l.increments) > 0 {
		return &DamageError{Dir: dir, File: name, Problem: "it begins a log, but there are increments before it"}
	}
	if e.end != openEnd && s.end != e.end {
		return &DamageError{Dir: dir, File: name, Offset: s.good, Problem: fmt.Sprintf("it ends at offset %d, but the manifest says %d", s.end, e.end)}
	}
	return nil
}
