package resp

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/tidwall/redcon"
)

// The protocols that a client can choose with HELLO.
const (
	RESP2 = 2
	RESP3 = 3
)

// A Writer encodes replies, in the protocol that the client has chosen. RESP2 has no maps, sets and
// pushes: there a map is the flat array of its pairs, and the others are arrays.
type Writer struct {
	// Buf has the replies that have not been sent yet.
	Buf []byte
	// isRESP3 belongs to the connection's goroutine, which alone changes it. Others read it.
	isRESP3 atomic.Bool
}

// Protocol is RESP2 or RESP3. Any goroutine may ask.
func (w *Writer) Protocol() int {
	if w.isRESP3.Load() {
		return RESP3
	}
	return RESP2
}

// SetProtocol changes the protocol of the replies from now on.
func (w *Writer) SetProtocol(protocol int) { w.isRESP3.Store(protocol == RESP3) }

// Simple writes a simple string, in which line ends become spaces.
func (w *Writer) Simple(s string) { w.Buf = redcon.AppendString(w.Buf, s) }

// OK writes the simple string OK.
func (w *Writer) OK() { w.Buf = redcon.AppendOK(w.Buf) }

// Error writes an error, in which line ends become spaces.
func (w *Writer) Error(s string) { w.Buf = redcon.AppendError(w.Buf, s) }

// Bulk writes a bulk string.
func (w *Writer) Bulk(b []byte) { w.Buf = redcon.AppendBulk(w.Buf, b) }

// BulkString writes a bulk string.
func (w *Writer) BulkString(s string) { w.Buf = redcon.AppendBulkString(w.Buf, s) }

// Int writes an integer.
func (w *Writer) Int(n int) { w.Buf = appendNumber(w.Buf, ':', n) }

// Int64 writes an integer.
func (w *Writer) Int64(n int64) { w.Buf = appendNumber(w.Buf, ':', n) }

// Raw writes bytes that are encoded already.
func (w *Writer) Raw(b []byte) { w.Buf = append(w.Buf, b...) }

// Null writes that there is no value.
func (w *Writer) Null() {
	if w.isRESP3.Load() {
		w.Buf = append(w.Buf, "_\r\n"...)
	} else {
		w.Buf = redcon.AppendNull(w.Buf)
	}
}

// Text writes text for people, such as INFO: verbatim in RESP3, so that redis-cli prints it as it
// is.
func (w *Writer) Text(s string) {
	if !w.isRESP3.Load() {
		w.BulkString(s)
		return
	}
	w.Buf = appendNumber(w.Buf, '=', len(s)+len("txt:"))
	w.Buf = append(append(append(w.Buf, "txt:"...), s...), "\r\n"...)
}

// Array announces n elements.
func (w *Writer) Array(n int) { w.Buf = appendNumber(w.Buf, '*', n) }

// Map announces n pairs of key and value.
func (w *Writer) Map(n int) {
	if w.isRESP3.Load() {
		w.Buf = appendNumber(w.Buf, '%', n)
	} else {
		w.Array(2 * n)
	}
}

// Strings writes an array of bulk strings.
func (w *Writer) Strings(list []string) {
	w.Array(len(list))
	for _, s := range list {
		w.BulkString(s)
	}
}

type (
	// A Map is a value with its keys and values in turn.
	Map []any
	// A Set is a value with distinct elements.
	Set []any
	// A Push is a message that is no reply.
	Push []any
	// A Simple is a simple string.
	Simple string
)

// Value writes a string, bytes, an integer, nil for no value, or a list, Map, Set or Push of values. It is
// for replies that are trees; it allocates.
func (w *Writer) Value(value any) {
	switch v := value.(type) {
	case nil:
		w.Null()
	case string:
		w.BulkString(v)
	case []byte:
		w.Bulk(v)
	case Simple:
		w.Simple(string(v))
	case int:
		w.Int(v)
	case int64:
		w.Int64(v)
	case []string:
		w.Strings(v)
	case []any:
		w.values('*', v)
	case Map:
		w.Map(len(v) / 2)
		w.each(v)
	case Set:
		w.values('~', v)
	case Push:
		w.values('>', v)
	default:
		panic(fmt.Sprintf("resp: a reply has no %T", value))
	}
}

// values writes an aggregate, whose header begins with kind. In RESP2 it is an array.
func (w *Writer) values(kind byte, list []any) {
	if !w.isRESP3.Load() {
		kind = '*'
	}
	w.Buf = appendNumber(w.Buf, kind, len(list))
	w.each(list)
}

func (w *Writer) each(list []any) {
	for _, v := range list {
		w.Value(v)
	}
}

// Integers writes an array of integers.
func (w *Writer) Integers(list ...int64) {
	b := appendNumber(w.Buf, '*', len(list))
	for _, n := range list {
		b = appendNumber(b, ':', n)
	}
	w.Buf = b
}

// appendNumber appends a line that has a number: an integer, or the header of an aggregate. kind is
// its first byte. Most numbers are small.
func appendNumber[T int | int64](b []byte, kind byte, n T) []byte {
	switch {
	case uint64(n) < 10:
		return append(b, kind, '0'+byte(n), '\r', '\n')
	case uint64(n) < 100:
		return append(b, kind, '0'+byte(n/10), '0'+byte(n%10), '\r', '\n')
	case uint64(n) < 1000:
		return append(b, kind, '0'+byte(n/100), '0'+byte(n/10%10), '0'+byte(n%10), '\r', '\n')
	}
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), '\r', '\n')
}

// View looks at bytes as a string without a copy. The arguments of a command do not change until it
// ends. A string that is kept longer is copied.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
