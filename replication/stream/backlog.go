package stream

import (
	"sort"
	"strings"
)

// A backlog keeps the end of the stream, for replicas: each reads from where it is, and one
// that has fallen behind the backlog's begin has lost its place. So what waits for replicas is
// bounded for all of them together, and a slow one delays no other. Pieces are never changed.
type backlog struct {
	pieces []piece
	bytes  int64 // of all pieces
	limit  int64 // that are kept, at the least the newest piece
	// Invariant: pieces follow each other, from begin to the end of the stream.
	begin, end int64
}

// A piece is some frames.
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
		h, err := ParseFrameHeader(frames)
		if err != nil {
			return nil, offset, false // no frame that was made here is damaged
		}
		at += int64(h.Length)
		frames = frames[FrameExtraBytes+h.Length:]
		if at > offset {
			return nil, offset, false
		}
	}
	return frames, p.end, true
}

// LimitBacklog bounds the backlog, in bytes. Locked.
func (f *Feed) LimitBacklog(bytes int64) { f.backlog.limit = bytes }

// Serve keeps a backlog from now on. Locked.
func (f *Feed) Serve() {
	if !f.serving {
		f.serving = true
		f.backlog.restart(f.at.Offset)
	}
}

// Join drains, and finds the place from which a replica reads on that has a history up to an
// offset. It lacks nothing but what the backlog holds, or it needs a full sync. Locked.
func (f *Feed) Join(id string, offset int64) (at Position, full bool) {
	f.Serve()
	f.Drain()
	known := id == f.at.ID || id == f.past.ID && offset <= f.past.Offset
	if !known || !f.backlog.holds(offset) {
		return f.at, true
	}
	return Position{f.at.ID, offset}, false
}

// Holds says whether a replica that has the stream up to an offset can read on.
func (f *Feed) Holds(offset int64) bool {
	f.Lock()
	defer f.Unlock()
	return f.backlog.holds(offset)
}

// Read is backlog.from, as long as the history has this id. grown is closed when there is more.
func (f *Feed) Read(id string, offset int64) (frames []byte, end int64, grown <-chan struct{}, ok bool) {
	f.Lock()
	defer f.Unlock()
	frames, end, ok = f.backlog.from(offset)
	return frames, end, f.grown, ok && f.at.ID == id
}

// Info tells what INFO shows of the stream, by Redis's names.
func (f *Feed) Info(add func(name string, value any)) {
	f.Lock()
	defer f.Unlock()
	past, second := f.past.ID, f.past.Offset
	if past == "" {
		past, second = strings.Repeat("0", IDBytes), -1
	}
	active := 0
	if f.serving {
		active = 1
	}
	add("master_replid", f.at.ID)
	add("master_replid2", past)
	add("master_repl_offset", f.at.Offset)
	add("second_repl_offset", second)
	add("repl_backlog_active", active)
	add("repl_backlog_size", f.backlog.limit)
	add("repl_backlog_first_byte_offset", f.backlog.begin)
	add("repl_backlog_histlen", f.backlog.end-f.backlog.begin)
}
