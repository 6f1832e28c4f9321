package replication

import (
	"sort"
	"strings"
)

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

// limitBacklog bounds the backlog, in bytes. Locked.
func (f *feed) limitBacklog(bytes int64) { f.backlog.limit = bytes }

// serve keeps a backlog from now on. Locked.
func (f *feed) serve() {
	if !f.serving {
		f.serving = true
		f.backlog.restart(f.at.offset)
	}
}

// join drains, and finds the place from which a replica reads on that has a history up to an
// offset. It lacks nothing but what the backlog holds, or it needs a full sync. Locked.
func (f *feed) join(id string, offset int64) (at position, full bool) {
	f.serve()
	f.drain()
	known := id == f.at.id || id == f.past.id && offset <= f.past.offset
	if !known || !f.backlog.holds(offset) {
		return f.at, true
	}
	return position{f.at.id, offset}, false
}

// holds says whether a replica that has the stream up to an offset can read on.
func (f *feed) holds(offset int64) bool {
	f.Lock()
	defer f.Unlock()
	return f.backlog.holds(offset)
}

// read is backlog.from, as long as the history has this id. grown is closed when there is more.
func (f *feed) read(id string, offset int64) (frames []byte, end int64, grown <-chan struct{}, ok bool) {
	f.Lock()
	defer f.Unlock()
	frames, end, ok = f.backlog.from(offset)
	return frames, end, f.grown, ok && f.at.id == id
}

// info tells what INFO shows of the stream, by Redis's names.
func (f *feed) info(add func(name string, value any)) {
	f.Lock()
	defer f.Unlock()
	past, second := f.past.id, f.past.offset
	if past == "" {
		past, second = strings.Repeat("0", idBytes), -1
	}
	active := 0
	if f.serving {
		active = 1
	}
	add("master_replid", f.at.id)
	add("master_replid2", past)
	add("master_repl_offset", f.at.offset)
	add("second_repl_offset", second)
	add("repl_backlog_active", active)
	add("repl_backlog_size", f.backlog.limit)
	add("repl_backlog_first_byte_offset", f.backlog.begin)
	add("repl_backlog_histlen", f.backlog.end-f.backlog.begin)
}
