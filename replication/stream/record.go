package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/rlserver/rlserver/engine"
)

// A payload of changes is records, one behind the other:
//
//	word    1 | algorithm u8 | key | rest i64
//	log     2 | algorithm u8 | key | period uvarint | oldest i64 | entries
//	suffix  3 | algorithm u8 | key | period uvarint | oldest i64 | from varint, since oldest | entries
//	gone    4 | key
//	flush   5
//	entry   6 | field | value
//
//	key      its length uvarint, its bytes; field and value likewise
//	entries  their number uvarint, and of each:
//	         at: varint since oldest of the first, uvarint since the one before of others
//	         units: uvarint
//
// Instants of words are ns and those of logs µs since the Unix epoch, periods are ns. A log is
// all that is known of it; a suffix replaces the entries at and after from. Instants that
// stand alone are whole, because a varint of today's takes nine bytes where eight do. An entry
// is of a policy: see Entry.
const (
	recordWord   = 1
	recordLog    = 2
	recordSuffix = 3
	recordGone   = 4
	recordFlush  = 5
	recordEntry  = 6
)

const (
	// entryBytesMin is the least that an entry of a log takes.
	entryBytesMin = 2
)

// ErrRecord is what a record that cannot be right is refused with.
var ErrRecord = errors.New("replication: bad record")

// ErrNewer is what is refused that a later version of this program may know.
var ErrNewer = errors.New("replication: not known to this version of rlserver")

// AppendChange appends the record of c to b. A log of more than entriesPerRecord entries has
// to be split before: see packer.
func AppendChange(b []byte, c *engine.Change) []byte {
	switch {
	case c.Key == "":
		return append(b, recordFlush)
	case c.Algorithm == 0:
		return appendKey(append(b, recordGone), c.Key)
	case c.Algorithm.Shape() == engine.ShapeWord:
		b = appendKey(append(b, recordWord, byte(c.Algorithm)), c.Key)
		return binary.LittleEndian.AppendUint64(b, uint64(c.Word))
	}
	return appendLog(b, c, c.Log.From, c.Log.Entries)
}

// AppendEntry appends the record of e to b. It must be one that CheckEntry accepts.
func AppendEntry(b []byte, e Entry) []byte {
	if CheckEntry(e) != nil {
		panic("replication: an entry out of bounds")
	}
	b = append(binary.AppendUvarint(append(b, recordEntry), uint64(len(e.Field))), e.Field...)
	return append(binary.AppendUvarint(b, uint64(len(e.Value))), e.Value...)
}

func appendKey(b []byte, key string) []byte {
	if len(key) > engine.StateBytesMax {
		panic("replication: a key above StateBytesMax")
	}
	return append(binary.AppendUvarint(b, uint64(len(key))), key...)
}

// appendLog appends a record of a log of which the entries from on are these.
func appendLog(b []byte, c *engine.Change, from int64, entries []engine.LogEntry) []byte {
	kind := byte(recordSuffix)
	if from == math.MinInt64 {
		kind = recordLog
	}
	l := &c.Log
	b = appendKey(append(b, kind, byte(c.Algorithm)), c.Key)
	b = binary.AppendUvarint(b, uint64(l.Period))
	b = binary.LittleEndian.AppendUint64(b, uint64(l.Oldest))
	if kind == recordSuffix {
		b = binary.AppendVarint(b, from-l.Oldest)
	}
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for i, e := range entries {
		if i == 0 {
			b = binary.AppendVarint(b, e.At-l.Oldest)
		} else {
			// Invariant: entries are in the order of time.
			before := entries[i-1].At
			if e.At < before {
				panic("replication: entries of a log out of order")
			}
			b = binary.AppendUvarint(b, uint64(e.At)-uint64(before))
		}
		if e.Units < 0 {
			panic("replication: an entry of less than no units")
		}
		b = binary.AppendUvarint(b, uint64(e.Units))
	}
	return b
}

// A Visitor is told of records, one after the other.
type Visitor interface {
	// Change is told of the states of a key, or that all are forgotten. The change, its key and its
	// entries are good until it returns.
	Change(*engine.Change) error
	// Entry is told of a policy.
	Entry(Entry) error
}

// Changes visits the records of states, and passes over those of policies.
type Changes func(*engine.Change) error

// Change visits.
func (visit Changes) Change(c *engine.Change) error { return visit(c) }

// Entry passes over.
func (Changes) Entry(Entry) error { return nil }

// A recordReader takes payloads apart. It keeps the memory for entries from one to the next.
type recordReader struct {
	change  engine.Change
	entries []engine.LogEntry
	in      []byte
	size    int // of the payload
}

var recordReaders = sync.Pool{New: func() any { return new(recordReader) }}

// ReadRecords has each record of a payload visited, until the visitor returns an error, which
// ReadRecords returns. The key of a change is a view of the payload.
func ReadRecords(payload []byte, visit Visitor) error {
	r := recordReaders.Get().(*recordReader)
	defer func() {
		r.in, r.change = nil, engine.Change{}
		recordReaders.Put(r)
	}()
	return r.read(payload, visit)
}

func (r *recordReader) read(payload []byte, visit Visitor) error {
	r.in, r.size = payload, len(payload)
	for len(r.in) > 0 {
		kind := r.in[0]
		r.in = r.in[1:]
		var err error
		if kind == recordEntry {
			var e Entry
			if e, err = r.entry(); err == nil {
				err = visit.Entry(e)
			}
		} else if err = r.state(kind); err == nil {
			err = visit.Change(&r.change)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bad is the error about what stands before r.in.
func (r *recordReader) bad(what string) error {
	return fmt.Errorf("%w: %s, before byte %d of the payload", ErrRecord, what, r.size-len(r.in))
}

// state reads a record of states into r.change. r.in begins behind its kind.
func (r *recordReader) state(kind byte) error {
	r.change = engine.Change{}
	switch kind {
	case recordFlush:
		return nil
	case recordGone:
		return r.key()
	case recordWord, recordLog, recordSuffix:
	default:
		return fmt.Errorf("%w: a record of type %d", ErrNewer, kind)
	}
	if err := r.algorithm(kind); err != nil {
		return err
	}
	if err := r.key(); err != nil {
		return err
	}
	if kind == recordWord {
		return r.whole(&r.change.Word)
	}
	return r.log(kind)
}

func (r *recordReader) algorithm(kind byte) error {
	if len(r.in) == 0 {
		return r.bad("it ends within a record")
	}
	a := engine.Algorithm(r.in[0])
	r.in = r.in[1:]
	switch {
	case a&^engine.Named == 0:
		return r.bad("a state of no algorithm")
	case !a.Valid():
		return fmt.Errorf("%w: an algorithm of number %d", ErrNewer, a)
	case (a.Shape() == engine.ShapeWord) != (kind == recordWord):
		return r.bad("a state of another algorithm's shape")
	}
	r.change.Algorithm = a
	return nil
}

func (r *recordReader) key() error {
	var n uint64
	if err := r.uvarint(&n); err != nil {
		return err
	}
	switch {
	case n == 0 || n > engine.StateBytesMax:
		return r.bad("a key's length is not one of a key")
	case n > uint64(len(r.in)):
		return r.bad("it ends within a key")
	}
	r.change.Key = unsafe.String(&r.in[0], int(n))
	r.in = r.in[n:]
	return nil
}

// whole reads a number that stands alone, in eight bytes.
func (r *recordReader) whole(into *int64) error {
	if len(r.in) < 8 {
		return r.bad("it ends within a number")
	}
	*into = int64(binary.LittleEndian.Uint64(r.in))
	r.in = r.in[8:]
	return nil
}

func (r *recordReader) uvarint(into *uint64) error {
	if len(r.in) > 0 && r.in[0] < 0x80 { // most are of one byte
		*into = uint64(r.in[0])
		r.in = r.in[1:]
		return nil
	}
	v, n := binary.Uvarint(r.in)
	if n <= 0 {
		return r.bad("a number that ends too soon or is too large")
	}
	*into = v
	r.in = r.in[n:]
	return nil
}

// since reads an instant that is told as the span since another.
func (r *recordReader) since(base int64, into *int64) error {
	var u uint64
	if err := r.uvarint(&u); err != nil {
		return err
	}
	// The inverse of AppendVarint, which subtracted with wrap-around.
	*into = base + (int64(u>>1) ^ -int64(u&1))
	return nil
}

// log reads what stands behind the key of a log or suffix.
func (r *recordReader) log(kind byte) error {
	l := &r.change.Log
	var period, n uint64
	if err := r.uvarint(&period); err != nil {
		return err
	}
	l.Period = int64(period)
	if err := r.whole(&l.Oldest); err != nil {
		return err
	}
	l.From = math.MinInt64
	if kind == recordSuffix {
		if err := r.since(l.Oldest, &l.From); err != nil {
			return err
		}
	}
	if err := r.uvarint(&n); err != nil {
		return err
	}
	if n > uint64(len(r.in))/entryBytesMin { // so that what is taken for them is bounded by the payload
		return r.bad("more entries than there is room for")
	}
	if uint64(cap(r.entries)) < n {
		r.entries = make([]engine.LogEntry, n)
	}
	l.Entries = r.entries[:n]
	return r.logEntries(l)
}

func (r *recordReader) logEntries(l *engine.LogChange) error {
	var u uint64
	for i := range l.Entries {
		e := &l.Entries[i]
		if i == 0 {
			if err := r.since(l.Oldest, &e.At); err != nil {
				return err
			}
		} else {
			if err := r.uvarint(&u); err != nil {
				return err
			}
			before := l.Entries[i-1].At
			if e.At = int64(uint64(before) + u); e.At < before {
				return r.bad("entries of a log out of order")
			}
		}
		if err := r.uvarint(&u); err != nil {
			return err
		}
		if u > math.MaxInt64 {
			return r.bad("more units than can be")
		}
		e.Units = int64(u)
	}
	return nil
}
