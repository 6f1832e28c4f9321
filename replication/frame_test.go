package replication

import (
	"bytes"
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
	for _, n := range []int{0, 1, 3, frameBytesMax, 0, readBytes - frameExtraBytes, readBytes, 17, frameBytesMax - 1} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		payloads = append(payloads, payload)
		stream = appendFrame(stream, frameChanges, offset, payload)
		offset += int64(n)
	}
	for name, from := range map[string]io.Reader{
		"at once": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)),
		"with the error": iotest.DataErrReader(bytes.NewReader(stream)),
		"single bytes":   iotest.OneByteReader(bytes.NewReader(stream[:200])),
	} {
		r := newFrameReader(from)
		offset, read := int64(7), 0
		for i := 0; ; i++ {
			f, err := r.next()
			if err != nil {
				if name == "single bytes" && errors.Is(err, io.ErrUnexpectedEOF) && i == 3 {
					break
				}
				if !errors.Is(err, io.EOF) || i != len(payloads) {
					t.Errorf("%s: frame %d: %v", name, i, err)
				}
				break
			}
			read += frameExtraBytes + len(f.payload)
			if f.kind != frameChanges || f.offset != offset || !bytes.Equal(f.payload, payloads[i]) || r.at != int64(read) {
				t.Fatalf("%s: frame %d is not what it was", name, i)
			}
			offset = f.end()
		}
		if len(r.buf) > frameExtraBytes+frameBytesMax {
			t.Errorf("%s: the reader took %d bytes", name, len(r.buf))
		}
	}
}

// A frame with any bit flipped, or cut anywhere, is never read.
func TestFramesDamaged(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("some payload")} {
		whole := appendFrame(nil, frameChanges, 1<<40, payload)
		for bit := range 8 * len(whole) {
			damaged := bytes.Clone(whole)
			damaged[bit/8] ^= 1 << (bit % 8)
			r := newFrameReader(bytes.NewReader(damaged))
			if f, err := r.next(); !errors.Is(err, errFrame) {
				t.Fatalf("bit %d: %+v, %v", bit, f, err)
			} else if len(r.buf) != readBytes {
				t.Fatalf("bit %d: took %d bytes", bit, len(r.buf))
			}
		}
		for n := range whole {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if f, err := newFrameReader(bytes.NewReader(whole[:n])).next(); !errors.Is(err, want) {
				t.Fatalf("%d bytes: %+v, %v", n, f, err)
			}
		}
	}
	zeros := make([]byte, 100)
	if f, err := newFrameReader(bytes.NewReader(zeros)).next(); !errors.Is(err, errFrame) {
		t.Fatalf("zeros: %+v, %v", f, err)
	}
}

// A header whose checksum is right and that says what cannot be is refused too.
func TestFramesThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"length":   func(b []byte) { b[2] = 0xff },
		"no kind":  func(b []byte) { b[4] = 0 },
		"kind":     func(b []byte) { b[4] = byte(frameKindEnd) },
		"reserved": func(b []byte) { b[6] = 1 },
		"negative": func(b []byte) { b[15] = 0x80 },
	} {
		b := appendFrame(nil, framePing, 0, nil)
		change(b)
		sum := checksum(b[:16])
		b[16], b[17], b[18], b[19] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		if f, err := newFrameReader(bytes.NewReader(b)).next(); !errors.Is(err, errFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestFrameReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	if _, err := newFrameReader(iotest.ErrReader(broken)).next(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := newFrameReader(noProgress{}).next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v", err)
	}
}

type noProgress struct{}

func (noProgress) Read([]byte) (int, error) { return 0, nil }
