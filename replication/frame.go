package replication

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
	frameHeaderBytes  = 20
	frameTrailerBytes = 4
	frameExtraBytes   = frameHeaderBytes + frameTrailerBytes
	// frameBytesMax bounds a payload.
	frameBytesMax = 1 << 20
	// readBytes is what a reader asks for at a time.
	readBytes = 256 << 10
)

// A frameKind says what a payload is.
type frameKind uint8

const (
	// frameChanges are records of the stream, and the only frames that move the offset on.
	frameChanges frameKind = iota + 1
	// frameSnapshot are records of a dump. Its offset is that of the stream when it began.
	frameSnapshot
	// frameEnd ends a dump: a u64, the number of records that it had.
	frameEnd
	// framePing is empty.
	framePing

	frameKindEnd // one past the last
)

func (k frameKind) String() string {
	switch k {
	case frameChanges:
		return "changes"
	case frameSnapshot:
		return "snapshot"
	case frameEnd:
		return "end"
	case framePing:
		return "ping"
	case frameKindEnd:
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A frame is one frame as it was read.
type frame struct {
	kind    frameKind
	offset  int64  // of the payload's first byte in the stream
	payload []byte // good until the next read
}

// end is the offset behind the frame.
func (f *frame) end() int64 {
	if f.kind == frameChanges {
		return f.offset + int64(len(f.payload))
	}
	return f.offset
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is never 0, so that zeros where a checksum belongs are never right: they are what
// a crash leaves of a page that was not written.
func checksum(b []byte) uint32 {
	if sum := crc32.Checksum(b, castagnoli); sum != 0 {
		return sum
	}
	return 1<<32 - 1
}

// appendFrame appends a frame to b. The payload is at most frameBytesMax bytes, and may be
// what stands in b behind room for a header: see packer.
func appendFrame(b []byte, kind frameKind, offset int64, payload []byte) []byte {
	b = appendFrameHeader(b, kind, offset, len(payload))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, checksum(payload))
}

func appendFrameHeader(b []byte, kind frameKind, offset int64, length int) []byte {
	if length > frameBytesMax {
		panic("replication: a payload above frameBytesMax")
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	b = append(b, byte(kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// errGap is that frames do not begin where those before ended.
var errGap = errors.New("replication: frames out of order")

// errFrame is what a frame that cannot be right is refused with.
var errFrame = errors.New("replication: bad frame")

// frameHeader is a header that has been checked.
type frameHeader struct {
	kind   frameKind
	offset int64
	length int
}

// parseFrameHeader reads a header from its frameHeaderBytes.
func parseFrameHeader(b []byte) (h frameHeader, err error) {
	sum := binary.LittleEndian.Uint32(b[frameHeaderBytes-4:])
	if sum != checksum(b[:frameHeaderBytes-4]) {
		return h, fmt.Errorf("%w: the checksum of its header is wrong", errFrame)
	}
	length := binary.LittleEndian.Uint32(b)
	h = frameHeader{frameKind(b[4]), int64(binary.LittleEndian.Uint64(b[8:])), int(min(length, frameBytesMax))}
	switch {
	case length > frameBytesMax:
		err = fmt.Errorf("%w: a payload of %d bytes, and %d are the most", errFrame, length, frameBytesMax)
	case h.kind == 0 || h.kind >= frameKindEnd:
		err = fmt.Errorf("%w: its kind, %d, is not known", errFrame, uint8(h.kind))
	case b[5]|b[6]|b[7] != 0:
		err = fmt.Errorf("%w: reserved bytes are not zero", errFrame)
	case h.offset < 0:
		err = fmt.Errorf("%w: the offset %d is negative", errFrame, h.offset)
	}
	return h, err
}

// A frameReader reads frames from a file or a connection. It asks for no more than it has
// room for and returns a frame as soon as it is whole, and it takes memory for a payload only
// when the checksum of the header was right, and never more than the largest frame needs.
type frameReader struct {
	from io.Reader
	buf  []byte
	// Invariant: buf[begin:end] has been read from the source and not been returned.
	begin, end int
	// at is how many bytes of the source came before the frame that next reads or, after an
	// error, could not read.
	at int64
}

func newFrameReader(from io.Reader) *frameReader {
	return &frameReader{from: from, buf: make([]byte, readBytes)}
}

// next reads a frame. The error is io.EOF where the source ended between two frames,
// io.ErrUnexpectedEOF where it ended within one, errFrame for a frame that is damaged, or
// the source's own.
func (r *frameReader) next() (frame, error) {
	if err := r.fill(frameHeaderBytes); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && r.begin == r.end {
			err = io.EOF
		}
		return frame{}, err
	}
	h, err := parseFrameHeader(r.buf[r.begin:r.end])
	if err != nil {
		return frame{}, err
	}
	size := frameExtraBytes + h.length
	if err := r.fill(size); err != nil {
		return frame{}, err
	}
	whole := r.buf[r.begin : r.begin+size]
	payload := whole[frameHeaderBytes : size-frameTrailerBytes]
	if binary.LittleEndian.Uint32(whole[size-frameTrailerBytes:]) != checksum(payload) {
		return frame{}, fmt.Errorf("%w: the checksum of its payload is wrong", errFrame)
	}
	r.begin += size
	r.at += int64(size)
	return frame{h.kind, h.offset, payload}, nil
}

// buffered says whether something was read that has not been returned.
func (r *frameReader) buffered() bool { return r.begin < r.end }

// emptyReadsMax bounds how often a source may return nothing and no error.
const emptyReadsMax = 100

// fill reads until n bytes are there. The first of them may move.
func (r *frameReader) fill(n int) error {
	if r.end-r.begin >= n {
		return nil
	}
	if n > len(r.buf)-r.begin {
		into := r.buf
		if n > len(into) {
			into = make([]byte, max(n, min(2*n, frameExtraBytes+frameBytesMax)))
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
