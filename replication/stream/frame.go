package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A stream is cut into frames, and the same frames go to the disk and over the wire:
//
//	length of the payload u32 | kind u8 | 0 u24 | offset i64 | crc32c of the above u32
//	payload
//	crc32c of the payload u32
//
// All numbers are little-endian. The header has a checksum of its own, so that a length is
// trusted before what it counts has been read: a damaged length can neither ask for memory
// nor make the rest of a file look like one unfinished frame.
const (
	FrameHeaderBytes  = 20
	FrameTrailerBytes = 4
	FrameExtraBytes   = FrameHeaderBytes + FrameTrailerBytes
	// frameBytesMax bounds a payload.
	frameBytesMax = 1 << 20
	// ReadBytes is what a reader asks for at a time.
	ReadBytes = 256 << 10
)

// A FrameKind says what a payload is.
type FrameKind uint8

const (
	// FrameChanges are records of the stream, and the only frames that move the offset on.
	FrameChanges FrameKind = iota + 1
	// FrameSnapshot are records of a dump. Its offset is that of the stream when it began.
	FrameSnapshot
	// FrameEnd ends a dump: a u64, the number of records that it had.
	FrameEnd
	// FramePing is empty.
	FramePing

	// FrameKindEnd is one past the last.
	FrameKindEnd
)

func (k FrameKind) String() string {
	switch k {
	case FrameChanges:
		return "changes"
	case FrameSnapshot:
		return "snapshot"
	case FrameEnd:
		return "end"
	case FramePing:
		return "ping"
	case FrameKindEnd:
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Frame is one frame as it was read.
type Frame struct {
	Kind    FrameKind
	Offset  int64  // of the payload's first byte in the stream
	Payload []byte // good until the next read
}

// End is the offset behind the frame.
func (f *Frame) End() int64 {
	if f.Kind == FrameChanges {
		return f.Offset + int64(len(f.Payload))
	}
	return f.Offset
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is never 0, so that zeros where a checksum belongs are never right: they are what
// a crash leaves of a page that was not written.
func Checksum(b []byte) uint32 {
	if sum := crc32.Checksum(b, castagnoli); sum != 0 {
		return sum
	}
	return 1<<32 - 1
}

// AppendFrame appends a frame to b. The payload is at most frameBytesMax bytes, and may be
// what stands in b behind room for a header: see packer.
func AppendFrame(b []byte, kind FrameKind, offset int64, payload []byte) []byte {
	b = appendFrameHeader(b, kind, offset, len(payload))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, Checksum(payload))
}

func appendFrameHeader(b []byte, kind FrameKind, offset int64, length int) []byte {
	if length > frameBytesMax {
		panic("replication: a payload above frameBytesMax")
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	b = append(b, byte(kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	return binary.LittleEndian.AppendUint32(b, Checksum(b[start:]))
}

// ErrGap is that frames do not begin where those before ended.
var ErrGap = errors.New("replication: frames out of order")

// ErrFrame is what a frame that cannot be right is refused with.
var ErrFrame = errors.New("replication: bad frame")

// FrameHeader is a header that has been checked.
type FrameHeader struct {
	kind   FrameKind
	Offset int64
	Length int
}

// ParseFrameHeader reads a header from its FrameHeaderBytes.
func ParseFrameHeader(b []byte) (h FrameHeader, err error) {
	sum := binary.LittleEndian.Uint32(b[FrameHeaderBytes-4:])
	if sum != Checksum(b[:FrameHeaderBytes-4]) {
		return h, fmt.Errorf("%w: the checksum of its header is wrong", ErrFrame)
	}
	length := binary.LittleEndian.Uint32(b)
	h = FrameHeader{FrameKind(b[4]), int64(binary.LittleEndian.Uint64(b[8:])), int(min(length, frameBytesMax))}
	switch {
	case length > frameBytesMax:
		err = fmt.Errorf("%w: a payload of %d bytes, and %d are the most", ErrFrame, length, frameBytesMax)
	case h.kind == 0 || h.kind >= FrameKindEnd:
		err = fmt.Errorf("%w: its kind, %d, is not known", ErrFrame, uint8(h.kind))
	case b[5]|b[6]|b[7] != 0:
		err = fmt.Errorf("%w: reserved bytes are not zero", ErrFrame)
	case h.Offset < 0:
		err = fmt.Errorf("%w: the offset %d is negative", ErrFrame, h.Offset)
	}
	return h, err
}

// A FrameReader reads frames from a file or a connection. It asks for no more than it has
// room for and returns a frame as soon as all of it is there. It takes memory for a payload only
// when the checksum of the header was right, and never more than the largest frame needs.
type FrameReader struct {
	from io.Reader
	buf  []byte
	// Invariant: buf[begin:end] has been read from the source and not been returned.
	begin, end int
	// At is how many bytes of the source are before the frame that next reads or, after an
	// error, could not read.
	At int64
}

// NewFrameReader reads frames from a source.
func NewFrameReader(from io.Reader) *FrameReader {
	return &FrameReader{from: from, buf: make([]byte, ReadBytes)}
}

// Next reads a frame. The error is io.EOF where the source ended between two frames,
// io.ErrUnexpectedEOF where it ended within one, ErrFrame for a frame that is damaged, or
// the source's own.
func (r *FrameReader) Next() (Frame, error) {
	if err := r.fill(FrameHeaderBytes); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && r.begin == r.end {
			err = io.EOF
		}
		return Frame{}, err
	}
	h, err := ParseFrameHeader(r.buf[r.begin:r.end])
	if err != nil {
		return Frame{}, err
	}
	size := FrameExtraBytes + h.Length
	if err := r.fill(size); err != nil {
		return Frame{}, err
	}
	all := r.buf[r.begin : r.begin+size]
	payload := all[FrameHeaderBytes : size-FrameTrailerBytes]
	if binary.LittleEndian.Uint32(all[size-FrameTrailerBytes:]) != Checksum(payload) {
		return Frame{}, fmt.Errorf("%w: the checksum of its payload is wrong", ErrFrame)
	}
	r.begin += size
	r.At += int64(size)
	return Frame{h.kind, h.Offset, payload}, nil
}

// Buffered says whether something was read that has not been returned.
func (r *FrameReader) Buffered() bool { return r.begin < r.end }

// emptyReadsMax bounds how often a source may return nothing and no error.
const emptyReadsMax = 100

// fill reads until n bytes are there. The first of them may move.
func (r *FrameReader) fill(n int) error {
	if r.end-r.begin >= n {
		return nil
	}
	if n > len(r.buf)-r.begin {
		into := r.buf
		if n > len(into) {
			into = make([]byte, max(n, min(2*n, FrameExtraBytes+frameBytesMax)))
		}
		r.end = copy(into, r.buf[r.begin:r.end])
		r.buf, r.begin = into, 0
	}
	for empty := 0; r.end-r.begin < n; {
		got, err := r.from.Read(r.buf[r.end:])
		r.end += got
		switch {
		case r.end-r.begin >= n:
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case got == 0:
			if empty++; empty == emptyReadsMax {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}
