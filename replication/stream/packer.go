package stream

import (
	"encoding/binary"
	"sort"

	"github.com/rlserver/rlserver/engine"
)

const (
	// payloadBytes is from where on a payload takes no more records: large enough for
	// checksums to cost nothing, small enough for little to be lost with a frame.
	payloadBytes = 64 << 10
	// entriesPerRecord is how many entries of a log go into one record. With 20 bytes for
	// each, a record that begins just below payloadBytes stays below frameBytesMax.
	entriesPerRecord = 32 << 10
	// emitBytes is from where on frames are given away.
	emitBytes = 512 << 10
)

// A Packer makes frames of changes. It gives them away whole, some at a time, and keeps its
// memory. It is used by one goroutine.
type Packer struct {
	kind   FrameKind    // FrameChanges or FrameSnapshot
	offset int64        // of the next frame
	now    func() int64 // the clock that decides, µs since the Unix epoch
	// emit takes frames, good until it returns; end is the offset behind them.
	emit func(frames []byte, end int64) error
	buf  []byte
	// open is where in buf the frame begins that is being filled, -1 if none is.
	open    int
	Records uint64 // since the packer was made
}

// NewPacker makes frames of a kind from an offset on. now is the clock that decides. emit takes
// frames, good until it returns; end is the offset behind them.
func NewPacker(kind FrameKind, offset int64, now func() int64, emit func(frames []byte, end int64) error) *Packer {
	return &Packer{kind: kind, offset: offset, now: now, emit: emit, open: -1}
}

// Change packs a change. A log of many entries becomes several records, each of which is right
// after those before it. An error is emit's.
func (p *Packer) Change(c *engine.Change) error {
	if len(c.Log.Entries) <= entriesPerRecord {
		p.begin()
		p.buf = AppendChange(p.buf, c)
		return p.finish()
	}
	from, rest := c.Log.From, c.Log.Entries
	for len(rest) > 0 {
		n := splitLog(rest)
		p.begin()
		p.buf = appendLog(p.buf, c, from, rest[:n])
		if rest = rest[n:]; len(rest) > 0 {
			from = rest[0].At
		}
		if err := p.finish(); err != nil {
			return err
		}
	}
	return nil
}

// Entry packs an entry.
func (p *Packer) Entry(e Entry) error {
	p.begin()
	p.buf = AppendEntry(p.buf, e)
	return p.finish()
}

// splitLog says how many of a log's entries go into the next record. Entries of one instant
// stay together, because the record behind replaces all from its first instant on. There is
// no bound on those but LogLimitMax, the units of a log; that many fit a frame of their own.
func splitLog(entries []engine.LogEntry) int {
	if len(entries) <= entriesPerRecord {
		return len(entries)
	}
	at := entries[entriesPerRecord].At
	if n := sort.Search(entriesPerRecord, func(i int) bool { return entries[i].At >= at }); n > 0 {
		return n
	}
	return sort.Search(len(entries), func(i int) bool { return entries[i].At > at })
}

// begin makes room for a frame's header, if none is open.
func (p *Packer) begin() {
	if p.open < 0 {
		p.open = len(p.buf)
		p.buf = append(p.buf, make([]byte, FrameHeaderBytes)...)
	}
}

// finish counts a record, and closes the frame if it is large enough.
func (p *Packer) finish() error {
	p.Records++
	if len(p.buf)-p.open-FrameHeaderBytes < payloadBytes {
		return nil
	}
	p.closeFrame()
	if len(p.buf) < emitBytes {
		return nil
	}
	return p.give()
}

func (p *Packer) closeFrame() {
	if p.open < 0 {
		return
	}
	payload := p.buf[p.open+FrameHeaderBytes:]
	appendFrameHeader(p.buf[:p.open], p.kind, p.offset, p.now(), len(payload))
	p.buf = binary.LittleEndian.AppendUint32(p.buf, Checksum(payload))
	if p.kind == FrameChanges {
		p.offset += int64(len(payload))
	}
	p.open = -1
}

func (p *Packer) give() error {
	frames := p.buf
	p.buf = p.buf[:0]
	if len(frames) == 0 {
		return nil
	}
	return p.emit(frames, p.offset)
}

// Flush gives away all that was packed.
func (p *Packer) Flush() error {
	p.closeFrame()
	return p.give()
}

// End flushes with the frame that ends a dump.
func (p *Packer) End() error {
	p.closeFrame()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], p.Records)
	p.buf = AppendFrame(p.buf, FrameEnd, p.offset, p.now(), n[:])
	return p.give()
}
