package resp

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// commandsIn runs a stream through a framer, as a connection does: with a buffer of the framer's own,
// or with one that is lent to it and overwritten between reads.
func commandsIn(stream io.Reader, trusted bool, lent []byte) (commands [][]string, err error) {
	f := Framer{Trusted: trusted}
	var before []string
	for {
		n, end := stream.Read(f.Room(lent))
		f.Filled(n)
		for {
			args, found, err := f.Next()
			if err != nil {
				return commands, err
			}
			if !found {
				break
			}
			var words []string
			for _, arg := range args {
				words = append(words, string(arg))
			}
			if f.Repeats() && !repeats(words, before) {
				return nil, fmt.Errorf("%q does not repeat %q", words, before)
			}
			commands, before = append(commands, words), words
		}
		f.Park()
		for i := range lent {
			lent[i] = '*'
		}
		switch {
		case end == io.EOF:
			return commands, nil
		case end != nil:
			return commands, end
		}
	}
}

// repeats says whether a command differs from the one before it in nothing but its second word.
func repeats(words, before []string) bool {
	return len(words) > 1 && len(words) == len(before) && words[0] == before[0] && slices.Equal(words[2:], before[2:])
}

func TestFramer(t *testing.T) {
	long := strings.Repeat("x", lineBytesMax+1)
	for _, test := range []struct {
		why, stream, want, err string
	}{
		{why: "a command", stream: "*2\r\n$4\r\nPING\r\n$2\r\nhi\r\n", want: "[[PING hi]]"},
		{why: "two in a row", stream: "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", want: "[[PING] [QUIT]]"},
		{why: "an empty argument", stream: "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", want: "[[ECHO ]]"},
		{why: "line ends within an argument", stream: "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", want: "[[ECHO \r\n\r\n]]"},
		{why: "any two bytes end an argument, as in Redis", stream: "*1\r\n$4\r\nPINGxx", want: "[[PING]]"},
		{why: "empty commands are passed over", stream: "*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n", want: "[[PING]]"},
		{why: "an unfinished command is no command", stream: "*2\r\n$4\r\nPING\r\n", want: "[]"},
		{why: "inline", stream: "PING hi\r\n  ECHO\tx \n", want: "[[PING hi] [ECHO x]]"},
		{why: "inline with quotes", stream: `ECHO "a \"b\" \x41\n" 'it\'s' ""` + "\r\n", want: "[[ECHO a \"b\" A\n it's ]]"},
		{why: "a quote that is not closed", stream: "ECHO \"a\r\n", want: "[]", err: "Protocol error: unbalanced quotes in request"},
		{why: "a closing quote inside a word", stream: "ECHO \"a\"b\r\n", want: "[]", err: "Protocol error: unbalanced quotes in request"},
		{why: "an inline command without end", stream: long, want: "[]", err: "Protocol error: too big inline request"},
		{why: "HTTP", stream: "PING\r\nPOST / HTTP/1.1\r\n", want: "[[PING]]", err: ErrCrossProtocol.Error()},
		{why: "HTTP's header", stream: "Host: x\r\n", want: "[]", err: ErrCrossProtocol.Error()},
		{why: "the count of arguments is no number", stream: "*x\r\n", want: "[]", err: "Protocol error: invalid multibulk length"},
		{why: "nor is +1", stream: "*+1\r\n", want: "[]", err: "Protocol error: invalid multibulk length"},
		{why: "nor is 01", stream: "*01\r\n", want: "[]", err: "Protocol error: invalid multibulk length"},
		{why: "more arguments than can be", stream: "*1048577\r\n", want: "[]", err: "Protocol error: invalid multibulk length"},
		{why: "makes redcon's reader spin for ever", stream: "*9223372036854775807\r\n", want: "[]", err: "Protocol error: invalid multibulk length"},
		{why: "kills a process behind redcon's reader", stream: "*1\r\n$9223372036854775807\r\n", want: "[]", err: "Protocol error: invalid bulk length"},
		{why: "a count without end", stream: "*" + long, want: "[]", err: "Protocol error: too big mbulk count string"},
		{why: "a length without end", stream: "*1\r\n$" + long, want: "[]", err: "Protocol error: too big bulk count string"},
		{why: "a negative length", stream: "*1\r\n$-1\r\n", want: "[]", err: "Protocol error: invalid bulk length"},
		{why: "longer than an argument can be", stream: "*1\r\n$1048577\r\n", want: "[]", err: "Protocol error: invalid bulk length"},
		{why: "no length", stream: "*1\r\nPING\r\n", want: "[]", err: "Protocol error: expected '$', got 'P'"},
		{why: "what was right before the error counts", stream: "*1\r\n$4\r\nPING\r\n*1\r\n!\r\n", want: "[[PING]]", err: "Protocol error: expected '$', got '!'"},
	} {
		t.Run(test.why, func(t *testing.T) {
			// The cuts between reads must make no difference.
			for name, reader := range map[string]func(io.Reader) io.Reader{
				"at once":      func(r io.Reader) io.Reader { return r },
				"byte by byte": iotest.OneByteReader,
				"by halves":    iotest.HalfReader,
			} {
				got, err := commandsIn(reader(strings.NewReader(test.stream)), true, nil)
				if fmt.Sprint(got) != test.want {
					t.Errorf("%s: commands %q, want %s", name, got, test.want)
				}
				if text := fmt.Sprint(err); err != nil && text != test.err || err == nil && test.err != "" {
					t.Errorf("%s: error %v, want %q", name, err, test.err)
				}
			}
		})
	}
}

// Before AUTH the errors are those of Redis, whose bounds afterwards are wider than ours.
func TestFramerBoundsBeforeAuth(t *testing.T) {
	const (
		manyWords = "Protocol error: unauthenticated multibulk length"
		longWord  = "Protocol error: unauthenticated bulk length"
		noWords   = "Protocol error: invalid multibulk length"
		noWord    = "Protocol error: invalid bulk length"
	)
	for _, test := range []struct{ stream, before, after string }{
		{"*11\r\n", manyWords, "<nil>"},
		{"*1048576\r\n", manyWords, "<nil>"},
		{"*1048577\r\n", manyWords, noWords},
		{"*2147483647\r\n", manyWords, noWords},
		{"*2147483648\r\n", noWords, noWords},
		{"*1\r\n$16385\r\n", longWord, "<nil>"},
		{"*1\r\n$1048577\r\n", longWord, noWord},
		{"*1\r\n$536870912\r\n", longWord, noWord},
		{"*1\r\n$536870913\r\n", noWord, noWord},
	} {
		for trusted, want := range map[bool]string{false: test.before, true: test.after} {
			if _, err := commandsIn(strings.NewReader(test.stream), trusted, nil); fmt.Sprint(err) != want {
				t.Errorf("%q, trusted %v: error %v, want %s", test.stream, trusted, err, want)
			}
		}
	}
}

// A promise costs the peer nothing, so it must cost us nothing either.
func TestFramerMakesNoRoomForPromises(t *testing.T) {
	f := Framer{Trusted: true}
	if err := f.Fill(strings.NewReader("*1048576\r\n$1048576\r\nx")); err != nil {
		t.Fatal(err)
	}
	if _, found, err := f.Next(); found || err != nil {
		t.Fatalf("found %v, error %v; want to be asked for more", found, err)
	}
	if len(f.buf) > readBytes || cap(f.spans) > 16 {
		t.Errorf("buffer of %d bytes and %d spans for 24 bytes of input", len(f.buf), cap(f.spans))
	}
}

func TestFramerBoundsOneCommand(t *testing.T) {
	var stream bytes.Buffer
	bulk := strings.Repeat("x", bulkBytesMax)
	stream.WriteString("*64\r\n")
	for range QueryBytesMax/bulkBytesMax + 1 {
		stream.WriteString("$" + strconv.Itoa(len(bulk)) + "\r\n" + bulk + "\r\n")
	}
	_, err := commandsIn(&stream, true, nil)
	if want := "Protocol error: a command of more than 33554432 bytes"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestFramerForgetsBigBuffers(t *testing.T) {
	f := Framer{Trusted: true}
	many := strings.NewReader("*2000\r\n" + strings.Repeat("$100\r\n"+strings.Repeat("x", 100)+"\r\n", 2000))
	small := strings.NewReader(strings.Repeat("*1\r\n$4\r\nPING\r\n", 3))
	for found := false; !found; _, found, _ = f.Next() {
		if err := f.Fill(many); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Fill(small); err != nil {
		t.Fatal(err)
	}
	if _, found, err := f.Next(); !found || err != nil {
		t.Fatalf("found %v, error %v", found, err)
	}
	if len(f.buf) > ReadBytesKept || cap(f.args) > argsKept {
		t.Errorf("a buffer of %d bytes and %d arguments outlive the command that needed them", len(f.buf), cap(f.args))
	}
}
