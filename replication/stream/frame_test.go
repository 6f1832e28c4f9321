package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// Frames come back as they were, however little a source gives at a time.
func TestFramesComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	var payloads [][]byte
	offset := int64(7)
	for _, n := range []int{0, 1, 3, frameBytesMax, 0, readBytes - FrameExtraBytes, readBytes, 17, frameBytesMax - 1} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		payloads = append(payloads, payload)
		stream = AppendFrame(stream, FrameChanges, offset, 1<<50, payload)
		offset += int64(n)
	}
	for name, from := range map[string]io.Reader{
		"at once": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)),
		"with the error": iotest.DataErrReader(bytes.NewReader(stream)),
		"single bytes":   iotest.OneByteReader(bytes.NewReader(stream[:200])),
	} {
		r := NewFrameReader(from)
		offset, read := int64(7), 0
		for i := 0; ; i++ {
			f, err := r.Next()
			if err != nil {
				if name == "single bytes" && errors.Is(err, io.ErrUnexpectedEOF) && i == 3 {
					break
				}
				if !errors.Is(err, io.EOF) || i != len(payloads) {
					t.Errorf("%s: frame %d: %v", name, i, err)
				}
				break
			}
			read += FrameExtraBytes + len(f.Payload)
			if f.Kind != FrameChanges || f.Offset != offset || f.Reading != 1<<50 || !bytes.Equal(f.Payload, payloads[i]) || r.At != int64(read) {
				t.Fatalf("%s: frame %d is not what it was", name, i)
			}
			offset = f.End()
		}
		if r.in.Size() > FrameExtraBytes+frameBytesMax {
			t.Errorf("%s: the reader took %d bytes", name, r.in.Size())
		}
	}
}

// A frame with any bit flipped, or cut anywhere, is never read.
func TestFramesDamaged(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("some payload")} {
		intact := AppendFrame(nil, FrameChanges, 1<<40, 1<<50, payload)
		for bit := range 8 * len(intact) {
			damaged := bytes.Clone(intact)
			damaged[bit/8] ^= 1 << (bit % 8)
			r := NewFrameReader(bytes.NewReader(damaged))
			if f, err := r.Next(); !errors.Is(err, ErrFrame) {
				t.Fatalf("bit %d: %+v, %v", bit, f, err)
			} else if r.in.Size() != readBytes {
				t.Fatalf("bit %d: took %d bytes", bit, r.in.Size())
			}
		}
		for n := range intact {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if f, err := NewFrameReader(bytes.NewReader(intact[:n])).Next(); !errors.Is(err, want) {
				t.Fatalf("%d bytes: %+v, %v", n, f, err)
			}
		}
	}
	zeros := make([]byte, 100)
	if f, err := NewFrameReader(bytes.NewReader(zeros)).Next(); !errors.Is(err, ErrFrame) {
		t.Fatalf("zeros: %+v, %v", f, err)
	}
}

// A header whose checksum is right and that says what cannot be is refused too.
func TestFramesThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"length":   func(b []byte) { b[2] = 0xff },
		"no kind":  func(b []byte) { b[4] = 0 },
		"kind":     func(b []byte) { b[4] = byte(len(frameKinds)) },
		"reserved": func(b []byte) { b[6] = 1 },
		"negative": func(b []byte) { b[15] = 0x80 },
		"reading":  func(b []byte) { b[23] = 0x40 },
		"no epoch": func(b []byte) { b[23] = 0x80 },
	} {
		b := AppendFrame(nil, FramePing, 0, 0, nil)
		change(b)
		binary.LittleEndian.PutUint32(b[FrameHeaderBytes-4:], Checksum(b[:FrameHeaderBytes-4]))
		if f, err := NewFrameReader(bytes.NewReader(b)).Next(); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestFrameReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	if _, err := NewFrameReader(iotest.ErrReader(broken)).Next(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := NewFrameReader(noProgress{}).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v", err)
	}
}

type noProgress struct{}

func (noProgress) Read([]byte) (int, error) { return 0, nil }
