package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// A framer cuts a stream of bytes into commands: bytes in, whole commands out, or "more",
// or a protocol error after which the connection is beyond repair. It keeps its place in a
// command that is not whole yet, so no byte is parsed twice, however small the pieces in
// which it comes; it never recurses and never makes room for bytes that it was only
// promised. Errors are those of Redis.
type framer struct {
	buf  []byte // buf[r:w] is what has been read and not handed out
	r, w int
	lent bool // buf is somebody else's, until park

	// The command that is being read starts at r and is parsed up to r+parsed.
	parsed  int
	missing int      // arguments still to come; 0: the command's header is not read yet
	bulk    int      // length of the argument that is being read; −1: not read yet
	spans   []span   // arguments so far, counted from r
	args    [][]byte // handed out; good, with what it points to, until the next call

	// trusted lifts the tighter bounds that hold before a client has authenticated.
	trusted bool
	// broken is the protocol error that was found; nothing is read after it.
	broken error
}

type span struct{ start, end int }

// The bounds. Those with the word untrusted hold before AUTH.
const (
	argumentsMax          = 1 << 20
	argumentsMaxUntrusted = 10
	bulkBytesMax          = 1 << 20
	bulkBytesMaxUntrusted = 16 << 10
	lineBytesMax          = 64 << 10 // an inline command, or the header of anything
	queryBytesMax         = 32 << 20 // one command, all in all

	// A connection starts with readBytes of buffer and falls back to it after a command
	// that needed more than readBytesKept.
	readBytes     = 4 << 10
	readBytesKept = 64 << 10
	argsKept      = 64
	// lentRestMax is the most of a begun command that is copied into a lent buffer. A longer
	// one gets a buffer of its own, which grows by doubling: or every byte that drips in
	// would have all that came before it copied.
	lentRestMax = 1 << 10
)

// errProtocol is an error of the protocol; its text goes to the client as it is.
type errProtocol string

func (e errProtocol) Error() string { return "Protocol error: " + string(e) }

// errCrossProtocol: somebody speaks HTTP to us, most likely a browser that was tricked
// into it. The connection is closed without an answer.
var errCrossProtocol = errors.New("looks like HTTP: POST or Host: sent where a command was expected")

// fill reads once. What next has handed out before is void afterwards.
func (f *framer) fill(from io.Reader) error {
	n, err := from.Read(f.room(nil))
	f.filled(n)
	if n > 0 {
		return nil // an error, if it lasts, comes again
	}
	return err
}

// room is where the next bytes are to be read to; filled tells how many came. Room may be in
// a buffer that many connections are lent in turn; the one whose turn ends calls park.
func (f *framer) room(lent []byte) []byte {
	if rest := f.buf[f.r:f.w]; lent != nil && len(rest) <= lentRestMax {
		f.r, f.w = 0, copy(lent, rest)
		f.buf, f.lent = lent, true
	} else {
		f.makeRoom()
	}
	return f.buf[f.w:]
}

func (f *framer) filled(n int) { f.w += n }

// park gives a lent buffer back, and keeps what has not been handed out.
func (f *framer) park() {
	if f.lent {
		f.buf = append([]byte(nil), f.buf[f.r:f.w]...)
		f.r, f.w = 0, len(f.buf)
		f.lent = false
	}
}

// makeRoom leaves at least one free byte behind w.
func (f *framer) makeRoom() {
	if f.r == f.w {
		f.r, f.w = 0, 0
		if len(f.buf) < readBytes || len(f.buf) > readBytesKept {
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

// next hands out the next command. whole is false when more bytes are needed.
func (f *framer) next() (args [][]byte, whole bool, err error) {
	if f.broken != nil {
		return nil, false, f.broken
	}
	args, whole, f.broken = f.read()
	return args, whole, f.broken
}

func (f *framer) read() (args [][]byte, whole bool, err error) {
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

// usual hands out a command of the usual kind: whole, within every bound, nothing odd about
// it. For anything else it changes nothing and returns false.
func (f *framer) usual() bool {
	b := f.buf[f.r:f.w]
	if len(b) < 4 || b[0] != '*' || b[1] < '1' || b[1] > '9' || b[2] != '\r' || b[3] != '\n' {
		return false
	}
	f.dropBig(0)
	args, at := f.args[:0], 4
	for range b[1] - '0' {
		length, start := usualLength(b, at)
		end := start + length
		if start == 0 || end+2 > len(b) {
			return false
		}
		args = append(args, b[start:end:end])
		at = end + 2
	}
	f.args = args
	f.r += at
	return true
}

// ahead is the second word, most likely a key, of the command behind the one that was
// handed out last; nil if that is not of the usual kind or not of five words or more.
func (f *framer) ahead() []byte {
	b := f.buf[f.r:f.w]
	if len(b) < 4 || b[0] != '*' || b[1] < '5' || b[1] > '9' {
		return nil
	}
	length, start := usualLength(b, 4)
	if start == 0 {
		return nil
	}
	length, start = usualLength(b, start+length+2)
	if start == 0 || start+length > len(b) {
		return nil
	}
	return b[start : start+length]
}

// usualLength reads the header of an argument of less than 1,000 bytes at b[at:], and returns
// where the argument starts; 0 if it is not of that kind.
func usualLength(b []byte, at int) (length, start int) {
	if at+4 > len(b) || b[at] != '$' {
		return 0, 0
	}
	for i, c := range b[at+1 : min(at+5, len(b)-1)] {
		switch {
		case '0' <= c && c <= '9' && i < 3 && (i == 0 || length > 0):
			length = length*10 + int(c-'0')
		case c == '\r' && i > 0 && b[at+2+i] == '\n':
			return length, at + 3 + i
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// tooLong is err, or an error of its own when the command that is being read has outgrown
// its bound.
func (f *framer) tooLong(err error) error {
	if err == nil && f.w-f.r >= queryBytesMax {
		return errProtocol(fmt.Sprintf("a command of more than %d bytes", queryBytesMax))
	}
	return err
}

// begin reads the header of a command; false when more bytes are needed.
func (f *framer) begin() (bool, error) {
	count, found, err := f.header('*', "mbulk", "invalid multibulk length")
	switch {
	case !found || err != nil:
		return false, err
	case count > argumentsMax:
		return false, errProtocol("invalid multibulk length")
	case count > argumentsMaxUntrusted && !f.trusted:
		return false, errProtocol("unauthenticated multibulk length")
	case count <= 0: // an empty command: passed over, as Redis does
		f.r += f.parsed
		f.parsed = 0
	default:
		f.missing, f.bulk = count, -1
		f.spans = f.spans[:0]
	}
	return true, nil
}

// argument reads one argument of the command; false when more bytes are needed.
func (f *framer) argument() (bool, error) {
	if f.bulk < 0 {
		length, found, err := f.header('$', "bulk", "invalid bulk length")
		switch {
		case !found || err != nil:
			return false, err
		case length < 0 || length > bulkBytesMax:
			return false, errProtocol("invalid bulk length")
		case length > bulkBytesMaxUntrusted && !f.trusted:
			return false, errProtocol("unauthenticated bulk length")
		}
		f.bulk = length
	}
	start := f.parsed
	if f.w-f.r-start < f.bulk+2 {
		return false, nil
	}
	f.spans = append(f.spans, span{start, start + f.bulk})
	f.parsed += f.bulk + 2 // Redis, too, takes any two bytes for the line's end
	f.bulk = -1
	f.missing--
	return true, nil
}

// finish hands out the arguments that have been read, and makes ready for the next command.
func (f *framer) finish() [][]byte {
	f.dropBig(len(f.spans))
	f.args = f.args[:0]
	for _, s := range f.spans {
		f.args = append(f.args, f.buf[f.r+s.start:f.r+s.end:f.r+s.end])
	}
	f.r += f.parsed
	f.parsed = 0
	return f.args
}

// dropBig lets go of what a command of many arguments needed, when the next has few.
func (f *framer) dropBig(arguments int) {
	if arguments <= argsKept && cap(f.args) > argsKept {
		f.spans, f.args = append([]span(nil), f.spans[:arguments]...), nil
	}
}

// header reads a line of a type byte and a decimal at r+parsed, and moves parsed behind it.
// As in Redis the line is looked at when it is there.
func (f *framer) header(expected byte, kind, invalid string) (n int, found bool, err error) {
	rest := f.buf[f.r+f.parsed : f.w]
	end := bytes.IndexByte(rest, '\r')
	if end < 0 {
		if len(rest) > lineBytesMax {
			return 0, false, errProtocol("too big " + kind + " count string")
		}
		return 0, false, nil
	}
	if end+1 >= len(rest) {
		return 0, false, nil
	}
	if rest[0] != expected {
		return 0, false, errProtocol(fmt.Sprintf("expected '%c', got '%c'", expected, printable(rest[0])))
	}
	n, ok := decimal(rest[1:end])
	if !ok {
		return 0, false, errProtocol(invalid)
	}
	f.parsed += end + 2
	return n, true, nil
}

// decimal reads a strict decimal: an optional minus, then digits without a needless zero
// in front, of a number of 64 bits, as in Redis. Of one too large for an int the sign is right.
func decimal(digits []byte) (int, bool) {
	if len(digits) > 10 {
		n, err := strconv.ParseInt(unsafeString(digits), 10, 64)
		first := bytes.TrimPrefix(digits, []byte("-"))[0]
		return int(max(min(n, math.MaxInt32), math.MinInt32)), err == nil && '1' <= first && first <= '9'
	}
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	if len(digits) == 0 || digits[0] == '0' && (len(digits) > 1 || negative) {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func printable(c byte) byte {
	if c < ' ' || c > '~' {
		return '?'
	}
	return c
}
