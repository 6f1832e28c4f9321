package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// A Framer cuts a stream of bytes into commands. It returns a command, or asks for more bytes, or
// returns a protocol error, after which the connection cannot be used. Errors are those of Redis.
//
// It keeps its place in a command that is not complete yet. So no byte is parsed twice, however
// small the pieces in which a command arrives; only Ahead looks at complete commands in advance, each
// once. It never recurses, and it makes no room for bytes that were only promised.
type Framer struct {
	// Trusted lifts the tighter bounds that hold before a client has authenticated.
	Trusted bool

	buf  []byte // buf[r:w] has been read and not handed out
	r, w int
	last int  // where the command that was handed out last starts
	lent bool // buf belongs to the caller, until Park

	// The command that is being read starts at r and is parsed up to r+parsed.
	parsed  int
	missing int      // arguments still to be read; 0: the command's header is not read yet
	bulk    int      // length of the argument that is being read; −1: not read yet
	spans   []span   // arguments so far, counted from r
	args    [][]byte // handed out; good, with the bytes under them, until the next call

	// pattern is that of the command that was handed out last, if it has one; repeats, that this
	// command has the one of the command before.
	pattern pattern
	repeats bool
	ahead   ahead

	broken error // the protocol error that was found; nothing is read after it
}

type span struct{ start, end int }

// The bounds on input. Those with the word untrusted hold before AUTH.
const (
	argumentsMax          = 1 << 20
	argumentsMaxUntrusted = 10
	bulkBytesMax          = 1 << 20
	bulkBytesMaxUntrusted = 16 << 10
	lineBytesMax          = 64 << 10 // an inline command, or one header
	QueryBytesMax         = 32 << 20 // one command in all
	// Redis's own bounds are wider. A client that has not authenticated is told that first, unless it
	// exceeds them, and so it gets the error that it gets from Redis.
	argumentsMaxRedis = math.MaxInt32
	bulkBytesMaxRedis = 512 << 20

	// A connection starts with readBytes of buffer. It returns to that after a command that
	// needed more than ReadBytesKept.
	readBytes     = 4 << 10
	ReadBytesKept = 64 << 10
	argsKept      = 64
	// lentRestMax is the most of a begun command that is copied into a lent buffer. A longer rest
	// gets a buffer of its own, which grows by doubling. Otherwise each byte of a slow stream would
	// cause a copy of all bytes before it.
	lentRestMax = 1 << 10
)

// A ProtocolError is sent to the client as it is.
type ProtocolError string

func (e ProtocolError) Error() string { return "Protocol error: " + string(e) }

// ErrCrossProtocol means that the peer speaks HTTP: most likely a browser that was tricked into it.
// The connection is closed without an answer.
var ErrCrossProtocol = errors.New("looks like HTTP: POST or Host: sent where a command was expected")

// Fill reads once. Afterwards the arguments that Next has handed out are void.
func (f *Framer) Fill(from io.Reader) error {
	n, err := from.Read(f.Room(nil))
	f.Filled(n)
	if n > 0 {
		return nil // an error that lasts is returned by the next read
	}
	return err
}

// Room returns the place for the next bytes; Filled says how many were put there. The place may be
// in a buffer that is lent to many connections in turn. A connection whose turn ends calls Park.
func (f *Framer) Room(lent []byte) []byte {
	if rest := f.buf[f.r:f.w]; lent != nil && len(rest) <= lentRestMax {
		f.r, f.w = 0, copy(lent, rest)
		f.buf, f.lent = lent, true
	} else {
		f.makeRoom()
	}
	return f.buf[f.w:]
}

// Filled adds the next n bytes of Room to the stream.
func (f *Framer) Filled(n int) { f.w += n }

// Buffered is the number of bytes that have been read and not handed out.
func (f *Framer) Buffered() int { return f.w - f.r }

// Pending is Buffered, with the command that was handed out last.
func (f *Framer) Pending() int { return f.w - f.last }

// Free is the room for more bytes.
func (f *Framer) Free() int { return len(f.buf) - f.w }

// Park gives a lent buffer back, and keeps a copy of the bytes that have not been handed out.
func (f *Framer) Park() {
	if f.lent {
		f.buf = append([]byte(nil), f.buf[f.r:f.w]...)
		f.r, f.w = 0, len(f.buf)
		f.lent = false
	}
}

// makeRoom leaves at least one free byte behind w.
func (f *Framer) makeRoom() {
	if f.r == f.w {
		f.r, f.w = 0, 0
		if len(f.buf) < readBytes || len(f.buf) > ReadBytesKept {
			f.buf = make([]byte, readBytes)
		}
	}
	if f.w < len(f.buf) {
		return
	}
	if f.r > 0 {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
		if f.w < len(f.buf) {
			return
		}
	}
	f.buf = append(f.buf, make([]byte, max(len(f.buf), readBytes))...)
}

// Next hands out the next command. found is false when more bytes are needed.
func (f *Framer) Next() (args [][]byte, found bool, err error) {
	if f.broken != nil {
		return nil, false, f.broken
	}
	f.last = f.r
	if f.repeats = f.parsed == 0 && f.repeat(); f.repeats {
		args, found = f.args, true
	} else {
		args, found, f.broken = f.read()
	}
	if found {
		f.ahead.passed(f.r - f.last)
	}
	return args, found, f.broken
}

// Unread puts the command that Next has just handed out back, to be handed out again.
func (f *Framer) Unread() { f.r, f.ahead = f.last, ahead{} }

func (f *Framer) read() (args [][]byte, found bool, err error) {
	for {
		switch {
		case f.missing > 0:
			if got, err := f.argument(); !got || err != nil {
				return nil, false, f.tooLong(err)
			}
			if f.missing == 0 {
				return f.finish(), true, nil
			}
		case f.r == f.w:
			return nil, false, nil
		case f.parsed == 0 && f.usual():
			return f.args, true, nil
		case f.buf[f.r] == '*':
			if got, err := f.begin(); !got || err != nil {
				return nil, false, err
			}
		default:
			args, got, err := f.inline()
			if !got || err != nil || len(args) > 0 {
				return args, got && err == nil, err
			}
		}
	}
}

// repeat hands out a command that differs from the one before it in nothing but its second word. For
// any other it changes nothing and returns false.
func (f *Framer) repeat() bool {
	b := f.buf[f.r:f.w]
	start, end, next, ok := f.pattern.match(b)
	if ok {
		f.args[1] = b[start:end:end]
		f.r += next
	}
	return ok
}

// usual hands out a command of the usual form: complete, within every bound, at most nine arguments
// of less than 1,000 bytes. For any other it changes nothing and returns false.
func (f *Framer) usual() bool {
	b := f.buf[f.r:f.w]
	words := usualHeader(b)
	if words == 0 {
		return false
	}
	f.dropBig(0)
	f.pattern.forget()
	args, at, second, tail := f.args[:0], usualHeaderBytes, 0, 0
	for i := range words {
		start, end := usualArgument(b, at)
		if start == 0 {
			return false
		}
		if i == 1 {
			second, tail = at, end
		}
		args = append(args, b[start:end:end])
		at = end + 2
	}
	f.args = args
	f.r += at
	if len(args) > 1 {
		f.pattern.remember(b[:at], second, tail, args)
	}
	return true
}

// usualHeaderBytes is how long the header of a command of the usual form is.
const usualHeaderBytes = 4

// usualHeader is how many words the command that b begins with has; 0 if it is not of the usual form.
func usualHeader(b []byte) (words int) {
	if len(b) < usualHeaderBytes || b[0] != '*' || b[1] < '1' || b[1] > '9' || b[2] != '\r' || b[3] != '\n' {
		return 0
	}
	return int(b[1] - '0')
}

// usualArgument says where in b the argument whose header begins at b[at:] starts and ends; start is 0
// if it is not of the usual form or not complete.
func usualArgument(b []byte, at int) (start, end int) {
	if at >= len(b) || b[at] != '$' {
		return 0, 0
	}
	length, start := usualLength(b, at+1)
	if start == 0 || start+length+2 > len(b) {
		return 0, 0
	}
	return start, start + length
}

// Repeats says whether the command that was handed out last differs from the one before it in nothing
// but its second word. A command that is handed out again after Unread repeats itself.
func (f *Framer) Repeats() bool { return f.repeats }

// tooLong is err, or an error of its own when the command that is being read exceeds its bound.
func (f *Framer) tooLong(err error) error {
	if err == nil && f.w-f.r >= QueryBytesMax {
		return ProtocolError(fmt.Sprintf("a command of more than %d bytes", QueryBytesMax))
	}
	return err
}

// begin reads the header of a command; false when more bytes are needed.
func (f *Framer) begin() (bool, error) {
	count, found, err := f.header('*', "mbulk", "invalid multibulk length")
	switch {
	case !found || err != nil:
		return false, err
	case count > argumentsMaxUntrusted && count <= argumentsMaxRedis && !f.Trusted:
		return false, ProtocolError("unauthenticated multibulk length")
	case count > argumentsMax:
		return false, ProtocolError("invalid multibulk length")
	case count <= 0: // an empty command is passed over, as in Redis
		f.r += f.parsed
		f.parsed = 0
	default:
		f.missing, f.bulk = int(count), -1
		f.spans = f.spans[:0]
	}
	return true, nil
}

// argument reads one argument of the command; false when more bytes are needed.
func (f *Framer) argument() (bool, error) {
	if f.bulk < 0 {
		length, found, err := f.header('$', "bulk", "invalid bulk length")
		switch {
		case !found || err != nil:
			return false, err
		case length > bulkBytesMaxUntrusted && length <= bulkBytesMaxRedis && !f.Trusted:
			return false, ProtocolError("unauthenticated bulk length")
		case length < 0 || length > bulkBytesMax:
			return false, ProtocolError("invalid bulk length")
		}
		f.bulk = int(length)
	}
	start := f.parsed
	if f.w-f.r-start < f.bulk+2 {
		return false, nil
	}
	f.spans = append(f.spans, span{start, start + f.bulk})
	f.parsed += f.bulk + 2 // Redis, too, accepts any two bytes as the line's end
	f.bulk = -1
	f.missing--
	return true, nil
}

// finish hands out the arguments that have been read, and prepares for the next command.
func (f *Framer) finish() [][]byte {
	f.dropBig(len(f.spans))
	f.pattern.forget()
	f.args = f.args[:0]
	for _, s := range f.spans {
		f.args = append(f.args, f.buf[f.r+s.start:f.r+s.end:f.r+s.end])
	}
	f.r += f.parsed
	f.parsed = 0
	return f.args
}

// dropBig releases the slices that a command of many arguments needed, when the next has few.
func (f *Framer) dropBig(arguments int) {
	if arguments <= argsKept && cap(f.args) > argsKept {
		f.spans, f.args = append([]span(nil), f.spans[:arguments]...), nil
	}
}

// header reads a line of a type byte and a decimal at r+parsed, and moves parsed behind it.
// As in Redis, a line is not looked at before its end has been read.
func (f *Framer) header(expected byte, kind, invalid string) (n int64, found bool, err error) {
	rest := f.buf[f.r+f.parsed : f.w]
	end := bytes.IndexByte(rest, '\r')
	if end < 0 {
		if len(rest) > lineBytesMax {
			return 0, false, ProtocolError("too big " + kind + " count string")
		}
		return 0, false, nil
	}
	if end+1 >= len(rest) {
		return 0, false, nil
	}
	if rest[0] != expected {
		return 0, false, ProtocolError(fmt.Sprintf("expected '%c', got '%c'", expected, printable(rest[0])))
	}
	number, ok := integer(rest[1:end])
	if !ok {
		return 0, false, ProtocolError(invalid)
	}
	f.parsed += end + 2
	return number, true, nil
}

// integer reads a strict decimal of 64 bits, as Redis does: an optional minus, then digits without a
// needless zero in front.
func integer(b []byte) (n int64, ok bool) {
	digits := bytes.TrimPrefix(b, []byte("-"))
	negative := len(digits) < len(b)
	switch {
	case len(digits) == 0 || digits[0] == '0' && len(b) > 1:
		return 0, false
	case len(digits) > 18:
		n, err := strconv.ParseInt(View(b), 10, 64)
		return n, err == nil && '1' <= digits[0] && digits[0] <= '9'
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// printable is what an error text shows of a byte: a space for a line's end, as in Redis.
func printable(c byte) byte {
	switch {
	case c == '\r' || c == '\n':
		return ' '
	case c < ' ' || c > '~':
		return '?'
	}
	return c
}
