package disk

import (
	"bytes"
	"errors"
	"testing"

	"github.com/rlserver/rlserver/replication/stream"
)

// Whatever a file holds, reading it ends, with all of it read or with the place where that
// stopped. What comes before the place is a file that reads well, to the same end.
func FuzzReadStream(f *testing.F) {
	h := newHistory(61, 5, "k")
	at := stream.Position{ID: testID(1), Offset: 77}
	increment := fileHeader{fileIncrement, at, 5}.encode()
	offset := at.Offset
	for i := range h.changes {
		var frame []byte
		frame, offset = h.frame(i, offset)
		increment = append(increment, frame...)
	}
	snapshot := fileHeader{fileSnapshot, at, 5}.encode()
	p := stream.NewPacker(stream.FrameSnapshot, at.Offset, func() int64 { return 0 }, func(b []byte, _ int64) error { snapshot = append(snapshot, b...); return nil })
	if err := errors.Join(h.states[5].dump(p), p.End()); err != nil {
		f.Fatal(err)
	}
	f.Add(increment, false, uint16(0), byte(0))
	f.Add(snapshot, true, uint16(0), byte(0))
	f.Add(increment, false, uint16(100), byte(1))
	f.Add(append(bytes.Clone(increment), make([]byte, 100)...), false, uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, file []byte, asSnapshot bool, place uint16, flip byte) {
		file = bytes.Clone(file)
		if len(file) > 0 {
			file[int(place)%len(file)] ^= flip // so that the fuzzer need not find checksums again
		}
		first := oracle{}
		s := fileState{size: int64(len(file))}
		err := s.read(bytes.NewReader(file), asSnapshot, first)
		if s.good < 0 || s.good > s.size || s.end < 0 {
			t.Fatalf("%+v", s)
		}
		var damage *DamageError
		switch {
		case err == nil && s.good != s.size:
			t.Fatalf("nothing is wrong, and yet only %d of %d bytes were read", s.good, s.size)
		case errors.As(err, &damage):
			if damage.Offset != s.good {
				t.Fatalf("damage at %d behind %d good bytes", damage.Offset, s.good)
			}
			if s.good > 0 {
				if _, err := endsInZeros(bytes.NewReader(file), s.good, s.size); err != nil {
					t.Fatal(err)
				}
			}
		case err != nil && !errors.Is(err, stream.ErrNewer):
			t.Fatal(err)
		}
		if s.good == 0 || asSnapshot && !s.ended {
			return
		}
		again := fileState{size: s.good}
		records := int64(0)
		if err := again.read(bytes.NewReader(file[:s.good]), asSnapshot, counted{ignore, &records}); err != nil {
			t.Fatalf("the good part: %v", err)
		}
		if again.good != s.good || again.end != s.end || again.records != s.records || records != s.records {
			t.Fatalf("the good part: %+v, was %+v", again, s)
		}
	})
}

// Whatever a manifest holds, it is refused or is what would be written.
func FuzzManifest(f *testing.F) {
	for _, m := range []manifest{{}, {last: 9, base: 3, increments: []incrementEntry{{3, 5}, {9, openEnd}}, stopped: 7}} {
		intact := m.encode()
		f.Add(intact[:bytes.LastIndex(intact, []byte(checksumTitle))])
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		b := append(bytes.Clone(lines), checksumLine(lines)...)
		m, err := parseManifest(b)
		if err == nil && !bytes.Equal(m.encode(), b) {
			t.Fatalf("%q became %q", b, m.encode())
		}
		if err != nil && !errors.Is(err, errManifest) && !errors.Is(err, stream.ErrNewer) {
			t.Fatal(err)
		}
	})
}
