package replication

import "sort"

// A backlog keeps the end of the stream, for replicas: each reads from where it is, and one
// that has fallen behind the backlog's begin has lost its place. So what waits for replicas is
// bounded for all of them together, and a slow one holds nobody up. Pieces are never changed.
type backlog struct {
	pieces []piece
	bytes  int64 // of all pieces
	limit  int64 // that are kept, at the least the newest piece
	// Invariant: pieces follow each other, from begin to the end of the stream.
	begin, end int64
}

// A piece is whole frames.
type piece struct {
	begin, end int64 // offsets
	frames     []byte
}

// restart empties the backlog: it begins at an offset.
func (b *backlog) restart(offset int64) {
	b.pieces, b.bytes, b.begin, b.end = nil, 0, offset, offset
}

// add appends frames, which the backlog keeps; end is the offset behind them.
func (b *backlog) add(frames []byte, end int64) {
	b.pieces = append(b.pieces, piece{b.end, end, frames})
	b.end = end
	b.bytes += int64(len(frames))
	drop := 0
	for b.bytes > b.limit && drop < len(b.pieces)-1 {
		b.bytes -= int64(len(b.pieces[drop].frames))
		b.pieces[drop].frames = nil
		drop++
	}
	b.pieces = b.pieces[drop:]
	b.begin = b.pieces[0].begin
}

// holds says whether the stream can be read from an offset on, as far as it goes.
func (b *backlog) holds(offset int64) bool { return offset >= b.begin && offset <= b.end }

// from is the frames from an offset on that are in one piece, and the offset behind them.
// There are none at the end. ok is false if no frame begins at the offset, or it is not held.
func (b *backlog) from(offset int64) (frames []byte, end int64, ok bool) {
	if !b.holds(offset) {
		return nil, offset, false
	}
	i := sort.Search(len(b.pieces), func(i int) bool { return b.pieces[i].end > offset })
	if i == len(b.pieces) {
		return nil, offset, offset == b.end
	}
	p := b.pieces[i]
	frames = p.frames
	for at := p.begin; at < offset; {
		h, err := parseFrameHeader(frames)
		if err != nil {
			return nil, offset, false // no frame that was made here is damaged
		}
		at += int64(h.length)
		frames = frames[frameExtraBytes+h.length:]
		if at > offset {
			return nil, offset, false
		}
	}
	return frames, p.end, true
}
