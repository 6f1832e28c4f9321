package stream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/rlserver/rlserver/engine"
)

// A stream is cut into frames, and the same frames go to the disk and over the wire:
//
//	length of the payload u32 | kind u8 | 0 u24 | offset i64 | reading i64 | crc32c of the above u32
//	payload
//	crc32c of the payload u32
//
// All numbers are little-endian. The header has a checksum of its own, so that a length is
// trusted before what it counts has been read: a damaged length can neither ask for memory
// nor make the rest of a file look like one unfinished frame.
//
// The reading (µs) is that of the clock that decided, when the frame was made. No decision that
// the stream tells of up to there was made later. So a server whose own clock is behind can go on
// from there.
const (
	FrameHeaderBytes  = 28
	FrameTrailerBytes = 4
	FrameExtraBytes   = FrameHeaderBytes + FrameTrailerBytes
	// frameBytesMax bounds a payload.
	frameBytesMax = 1 << 20
	// readBytes is how much a reader asks for at a time, until a larger frame comes.
	readBytes = 32 << 10
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
	// FramePing is empty: it tells the reading.
	FramePing
)

// frameKinds are the names of the kinds; no kind has the number 0.
var frameKinds = [...]string{FrameChanges: "changes", FrameSnapshot: "snapshot", FrameEnd: "end", FramePing: "ping"}

// isKnown says whether frames of this kind are made here.
func (k FrameKind) isKnown() bool { return k > 0 && int(k) < len(frameKinds) }

func (k FrameKind) String() string {
	if k.isKnown() {
		return frameKinds[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Frame is one frame as it was read.
type Frame struct {
	Kind    FrameKind
	Offset  int64  // of the payload's first byte in the stream
	Reading int64  // of the clock that decided, when the frame was made, µs since the Unix epoch
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
func AppendFrame(b []byte, kind FrameKind, offset, reading int64, payload []byte) []byte {
	b = appendFrameHeader(b, kind, offset, reading, len(payload))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, Checksum(payload))
}

func appendFrameHeader(b []byte, kind FrameKind, offset, reading int64, length int) []byte {
	if length > frameBytesMax {
		panic("replication: a payload above frameBytesMax")
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	b = append(b, byte(kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(reading))
	return binary.LittleEndian.AppendUint32(b, Checksum(b[start:]))
}

// ErrGap is that frames do not begin where those before ended.
var ErrGap = errors.New("replication: frames out of order")

// ErrFrame is what a frame that cannot be right is refused with.
var ErrFrame = errors.New("replication: bad frame")

// FrameHeader is a header that has been checked.
type FrameHeader struct {
	kind    FrameKind
	Offset  int64
	reading int64
	Length  int
}

// ParseFrameHeader reads a header from its FrameHeaderBytes.
func ParseFrameHeader(b []byte) (h FrameHeader, err error) {
	sum := binary.LittleEndian.Uint32(b[FrameHeaderBytes-4:])
	if sum != Checksum(b[:FrameHeaderBytes-4]) {
		return h, fmt.Errorf("%w: the checksum of its header is wrong", ErrFrame)
	}
	length := binary.LittleEndian.Uint32(b)
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }
	h = FrameHeader{FrameKind(b[4]), number(8), number(16), int(min(length, frameBytesMax))}
	switch {
	case length > frameBytesMax:
		err = fmt.Errorf("%w: a payload of %d bytes, and %d are the most", ErrFrame, length, frameBytesMax)
	case !h.kind.isKnown():
		err = fmt.Errorf("%w: its kind, %d, is not known", ErrFrame, uint8(h.kind))
	case b[5]|b[6]|b[7] != 0:
		err = fmt.Errorf("%w: reserved bytes are not zero", ErrFrame)
	case h.Offset < 0:
		err = fmt.Errorf("%w: the offset %d is negative", ErrFrame, h.Offset)
	case !IsReading(h.reading):
		err = fmt.Errorf("%w: the reading %d of the clock is out of range", ErrFrame, h.reading)
	}
	return h, err
}

// IsReading says whether a clock by which decisions are made can read this (µs).
func IsReading(at int64) bool { return at >= 0 && at <= engine.NowMicrosMax }

// A FrameReader reads frames from a file or a connection. It returns a frame as soon as all of it
// is there. It takes memory for a large payload only when the checksum of the header was right, and
// never more than the largest frame needs.
type FrameReader struct {
	in *bufio.Reader
	// At is how many bytes of the source are before the frame that Next reads or, after an
	// error, could not read.
	At   int64
	last int // bytes of in that are the frame that was returned last
}

// NewFrameReader reads frames from a source.
func NewFrameReader(from io.Reader) *FrameReader {
	return &FrameReader{in: bufio.NewReaderSize(from, readBytes)}
}

// Next reads a frame. The error is io.EOF where the source ended between two frames,
// io.ErrUnexpectedEOF where it ended within one, ErrFrame for a frame that is damaged, or
// the source's own.
func (r *FrameReader) Next() (Frame, error) {
	_, _ = r.in.Discard(r.last) // it is buffered, so there is no error
	r.last = 0
	header, err := r.peek(FrameHeaderBytes)
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && len(header) == 0 {
			err = io.EOF
		}
		return Frame{}, err
	}
	h, err := ParseFrameHeader(header)
	if err != nil {
		return Frame{}, err
	}
	size := FrameExtraBytes + h.Length
	all, err := r.peek(size)
	if err != nil {
		return Frame{}, err
	}
	payload := all[FrameHeaderBytes : size-FrameTrailerBytes]
	if binary.LittleEndian.Uint32(all[size-FrameTrailerBytes:]) != Checksum(payload) {
		return Frame{}, fmt.Errorf("%w: the checksum of its payload is wrong", ErrFrame)
	}
	r.last = size
	r.At += int64(size)
	return Frame{h.kind, h.Offset, h.reading, payload}, nil
}

// Buffered says whether something was read that has not been returned.
func (r *FrameReader) Buffered() bool { return r.in.Buffered() > r.last }

// peek reads until n bytes are there, and returns those that are.
func (r *FrameReader) peek(n int) ([]byte, error) {
	if n > r.in.Size() { // the larger reader begins with what the smaller one has read
		r.in = bufio.NewReaderSize(r.in, min(4*n, FrameExtraBytes+frameBytesMax))
	}
	b, err := r.in.Peek(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
