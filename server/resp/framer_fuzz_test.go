package resp

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// A naive framer, slow and plain, for well-formed and ill-formed streams alike: it starts
// from the first byte each time.
func naiveCommands(stream []byte, trusted bool) (commands [][]string, err error) {
	for {
		words, used, err := naiveCommand(stream, trusted)
		if err != nil || used == 0 {
			return commands, err
		}
		if len(words) > 0 {
			commands = append(commands, words)
		}
		stream = stream[used:]
	}
}

func naiveCommand(s []byte, trusted bool) (words []string, used int, err error) {
	number := func(at int) (n, next int, ok bool) {
		end := bytes.IndexByte(s[at:], '\r')
		if end < 0 || at+end+1 >= len(s) {
			return 0, 0, true // not there yet
		}
		text := string(s[at+1 : at+end])
		n, err := strconv.Atoi(text)
		return n, at + end + 2, err == nil && strconv.Itoa(n) == text
	}
	switch {
	case len(s) == 0:
		return nil, 0, nil
	case s[0] != '*':
		end := bytes.IndexByte(s, '\n')
		if end < 0 {
			return nil, 0, nil
		}
		split, ok := splitWords(bytes.TrimSuffix(s[:end], []byte("\r")))
		if !ok {
			return nil, 0, ProtocolError("unbalanced quotes in request")
		}
		for _, word := range split {
			words = append(words, string(word))
		}
		if len(words) > 0 && (strings.EqualFold(words[0], "post") || strings.EqualFold(words[0], "host:")) {
			return nil, 0, ErrCrossProtocol
		}
		return words, end + 1, nil
	}
	count, at, ok := number(0)
	switch {
	case ok && at == 0:
		return nil, 0, nil
	case ok && !trusted && argumentsMaxUntrusted < count && count <= argumentsMaxRedis:
		return nil, 0, ProtocolError("unauthenticated multibulk length")
	case !ok || count > argumentsMax:
		return nil, 0, ProtocolError("invalid multibulk length")
	}
	for range count {
		if at == len(s) {
			return nil, 0, nil
		}
		if end := bytes.IndexByte(s[at:], '\r'); end < 0 || at+end+1 == len(s) {
			return nil, 0, nil
		}
		if s[at] != '$' {
			return nil, 0, ProtocolError("expected '$', got '" + string(rune(printable(s[at]))) + "'")
		}
		length, next, ok := number(at)
		switch {
		case ok && !trusted && bulkBytesMaxUntrusted < length && length <= bulkBytesMaxRedis:
			return nil, 0, ProtocolError("unauthenticated bulk length")
		case !ok || length < 0 || length > bulkBytesMax:
			return nil, 0, ProtocolError("invalid bulk length")
		}
		if next == 0 || len(s) < next+length+2 {
			return nil, 0, nil
		}
		words = append(words, string(s[next:next+length]))
		at = next + length + 2
	}
	return words, at, nil
}

// FuzzFramer compares with the naive framer, for streams that come in pieces of any size,
// into a buffer of the framer's own or into one that is lent and overwritten in between.
func FuzzFramer(f *testing.F) {
	for _, seed := range append(hostileStreams,
		"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n", "PING\r\n", "*-10000000000\r0", "*-9223372036854775808\r\nPING\r\n", "*-9223372036854775809\r\n", "*12345678901\r\n", "*-1\r\n*0\r\n\r\n", "ECHO \"\\x4", "*1\r\n$1\r\na",
		"*6\r\n$8\r\nRL.CHECK\r\n$1\r\nk\r\n$12\r\ntoken_bucket\r\n$3\r\n100\r\n$2\r\n60\r\n$0\r\n\r\n",
		"*5\r\n$8\r\nRL.CHECK\r\n$8\r\nuser:123\r\n$12\r\ntoken_bucket\r\n$3\r\n100\r\n$2\r\n60\r\n*1\r\n$4\r\nPING\r\n",
	) {
		for how := range uint8(4) {
			f.Add([]byte(seed), uint16(how), how)
			f.Add([]byte(seed), uint16(math.MaxUint16), how)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16, how uint8) {
		if len(stream) > lineBytesMax {
			return
		}
		trusted, lent := how&1 != 0, how&2 != 0
		want, wantErr := naiveCommands(stream, trusted)
		cuts := &cutReader{rest: stream, size: int(cut) + 1}
		var lend []byte
		if lent {
			lend = make([]byte, 4*lentRestMax)
		}
		got, err := commandsIn(cuts, trusted, lend)
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%q, cut %d, trusted %v, lent %v: got %q, %v; want %q, %v", stream, cut, trusted, lent, got, err, want, wantErr)
		}
	})
}

// hostileStreams are the packets that harm other servers, and their like.
var hostileStreams = []string{
	"*1\r\n$9223372036854775807\r\n", "*9223372036854775807\r\n", "*18446744073709551617\r\n$4\r\nPING\r\n", "*1\r\n$4294967300\r\nPING\r\n",
	"*1\r\n$-1\r\n", "*1\r\n$-0\r\n", "*1\r\n$01\r\na\r\n", "*+1\r\n$4\r\nPING\r\n", "*01\r\n$4\r\nPING\r\n", "*1048577\r\n", "*1048576\r\n$1048576\r\n", "*1\r\n$1048577\r\n",
	"*11\r\n$1\r\na\r\n", "*1\r\n$16385\r\n", "*1\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n:4\r\n", "*1\rX$4\rXPINGXX", "*1\r\n$4\r\nPINGXXPING\r\n", "*1\n$4\nPING\n*1\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nhOsT: x\r\n", "ECHO \"abc\r\n", "ECHO 'a\\'b' \"\\x41\\n\"\r\n", "PING\x00\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"*3\r\n$4\r\nECHO\r\n$1\r\nx\r\n$2", "PING\r\nPING\r\n*1\r\n$x\r\nPING\r\n", "*2\r\n$0\r\n\r\n$1\r\na\r\n", "*1\r\n$999\r\n", "*9\r\n$1\r\n", "$4\r\nPING\r\n",
	"*:\r\n" + strings.Repeat("$1\r\na\r\n", 10), "*1\r\n$:\r\n" + strings.Repeat("a", 10) + "\r\n", "*1\r\n$1:\r\n" + strings.Repeat("a", 20) + "\r\n",
}

// cutReader hands out a stream in pieces of a size.
type cutReader struct {
	rest []byte
	size int
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.size)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
