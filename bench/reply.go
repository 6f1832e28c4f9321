package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A reply is one reply of RESP2. Its text stands in the buffer that it was read from.
type reply struct {
	kind   byte // + - : $ * or _ for a null
	text   []byte
	values [replyValues]int64 // of an integer, or of the integers of an array
	count  int                // elements of an array
	isInt  uint               // a bit for each element of an array that is an integer
	first  []byte             // the first element of an array, if it is a text
}

// The bounds on replies. No target answers with more.
const (
	replyValues   = 8
	replyLineMax  = 64 << 10
	replyBytesMax = 1 << 20
)

// errNotRESP is the error for bytes that are no reply of RESP2, or none of a limiter.
var errNotRESP = errors.New("no RESP2")

// parse reads the reply at the start of b, and returns its length in bytes, or 0 if it is not
// complete yet.
func (r *reply) parse(b []byte) (size int, err error) {
	r.kind, r.text, r.first, r.count, r.isInt = 0, nil, nil, 0, 0
	if len(b) == 0 {
		return 0, nil
	}
	if b[0] != '*' {
		return r.element(b, 0)
	}
	n, size, err := header(b)
	if size == 0 || err != nil {
		return 0, err
	}
	if n < 0 {
		r.kind = '_'
		return size, nil
	}
	if n > replyValues {
		return 0, fmt.Errorf("%w of a limiter: an array of %d", errNotRESP, n)
	}
	for i := range int(n) {
		more, err := r.element(b[size:], i)
		if more == 0 || err != nil {
			return 0, err
		}
		if size += more; i == 0 {
			r.first = r.text
		}
	}
	r.kind, r.count = '*', int(n)
	return size, nil
}

// element reads what is no array, as the i-th element of one.
func (r *reply) element(b []byte, i int) (size int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.kind = b[0]
	switch b[0] {
	case ':':
		r.values[i], size, err = header(b)
		if size > 0 {
			r.isInt |= 1 << i
		}
		return size, err
	case '+', '-':
		r.text, size, err = line(b)
		return size, err
	case '$':
		n, size, err := header(b)
		switch {
		case size == 0 || err != nil:
			return 0, err
		case n == -1:
			r.kind = '_'
			return size, nil
		case n < 0 || n > replyBytesMax:
			return 0, fmt.Errorf("%w: a text of %d bytes", errNotRESP, n)
		case len(b) < size+int(n)+2:
			return 0, nil
		case b[size+int(n)] != '\r' || b[size+int(n)+1] != '\n':
			return 0, fmt.Errorf("%w: a text that does not end where it said", errNotRESP)
		}
		r.text = b[size : size+int(n)]
		return size + int(n) + 2, nil
	}
	return 0, errNotRESP
}

// line is a line without its first byte and its end.
func line(b []byte) (text []byte, size int, err error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) > replyLineMax:
		return nil, 0, fmt.Errorf("%w: a line without an end", errNotRESP)
	case end < 0:
		return nil, 0, nil
	case b[end-1] != '\r':
		return nil, 0, fmt.Errorf("%w: a line that ends without a carriage return", errNotRESP)
	}
	return b[1 : end-1], end + 1, nil
}

// headerMax is the longest header: a kind, a sign, 19 digits and the end of the line.
const headerMax = 23

// header reads a line with a number.
func header(b []byte) (n int64, size int, err error) {
	negative := len(b) > 1 && b[1] == '-'
	i := 1
	if negative {
		i = 2
	}
	first := i
	for ; i < len(b) && i < headerMax; i++ {
		digit := b[i] - '0'
		if digit > 9 {
			break
		}
		if n = n*10 + int64(digit); n < 0 {
			return 0, 0, fmt.Errorf("%w: a number of more than 64 bits", errNotRESP)
		}
	}
	switch {
	case i+1 >= len(b) && (i == len(b) || b[i] == '\r'):
		return 0, 0, nil
	case i == first || b[i] != '\r' || b[i+1] != '\n':
		return 0, 0, fmt.Errorf("%w: no number where one must be", errNotRESP)
	}
	if negative {
		n = -n
	}
	return n, i + 2, nil
}

// integers says whether the reply is an array of n whole numbers.
func (r *reply) integers(n int) bool {
	return r.kind == '*' && r.count == n && r.isInt == 1<<n-1
}

// time is the reply to TIME, in microseconds since the Unix epoch.
func (r *reply) time() (micros int64, ok bool) {
	seconds, err := strconv.ParseInt(string(r.first), 10, 64)
	rest, errRest := strconv.ParseInt(string(r.text), 10, 64)
	return seconds*1_000_000 + rest, r.kind == '*' && r.count == 2 && err == nil && errRest == nil
}

// show is the reply for people.
func (r *reply) show() string {
	switch r.kind {
	case '_':
		return "(nil)"
	case ':':
		return fmt.Sprint(r.values[0])
	case '*':
		if r.isInt == 1<<r.count-1 {
			return fmt.Sprint(r.values[:r.count])
		}
		return fmt.Sprintf("an array of %d", r.count)
	}
	return excerpt(r.text)
}

// excerpt is the beginning of a text, on one line.
func excerpt(text []byte) string {
	const most = 120
	first, _, _ := bytes.Cut(text, []byte("\n"))
	first = bytes.TrimRight(first, "\r ")
	for _, c := range first {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%.120q", first)
		}
	}
	return string(first[:min(len(first), most)])
}
