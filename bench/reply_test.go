package bench

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestReply(t *testing.T) {
	for _, c := range []struct{ text, shows string }{
		{"+PONG\r\n", "PONG"},
		{"-ERR no\r\n", "ERR no"},
		{":0\r\n", "0"},
		{":-12\r\n", "-12"},
		{":9223372036854775807\r\n", "9223372036854775807"},
		{"$4\r\na\r\nb\r\n", "a"}, // the first line of it
		{"$0\r\n\r\n", ""},
		{"$-1\r\n", "(nil)"},
		{"*-1\r\n", "(nil)"},
		{"*0\r\n", "[]"},
		{"*6\r\n:1\r\n:100\r\n:99\r\n:0\r\n:600\r\n:0\r\n", "[1 100 99 0 600 0]"},
		{"*2\r\n:1\r\n$1\r\n5\r\n", "an array of 2"},
	} {
		var r reply
		for i := range len(c.text) {
			if size, err := r.parse([]byte(c.text[:i])); size != 0 || err != nil {
				t.Fatalf("%d bytes of %q: %d, %v", i, c.text, size, err)
			}
		}
		if size, err := r.parse([]byte(c.text + ":1\r\n")); size != len(c.text) || err != nil || r.show() != c.shows {
			t.Errorf("%q: %d, %v, %q", c.text, size, err, r.show())
		}
	}
}

// What is no reply is refused as soon as it is seen, and never waited for.
func TestNotRESP(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 400 Bad Request\r\n", "\x15\x03\x01\x00\x02\x02\x16", "\r\n", "hello", ":\r\n", ":1a\r\n", ":1\n", ":--1\r\n",
		":9223372036854775808\r\n", ":00000000000000000000000\r\n", "$1\r\nab\r\n", "$-2\r\n", "$1048577\r\n", "*9\r\n", "*1\r\n*1\r\n:1\r\n",
		"*x\r\n", "+" + strings.Repeat("x", replyLineMax+1), "+x\n", "*1\r\n%1\r\n", "_\r\n",
	} {
		var r reply
		if size, err := r.parse([]byte(text)); !errors.Is(err, errNotRESP) || size != 0 {
			t.Errorf("%.40q: %d, %v", text, size, err)
		}
	}
}

func TestKeyDigits(t *testing.T) {
	for _, n := range []int64{0, 7, 99, 1234567890, probeKey} {
		b := []byte("xxxxxxxxxxyy")
		putDigits(b, n)
		if want := keyName("", n) + "yy"; string(b) != want {
			t.Errorf("%d: %s, want %s", n, b, want)
		}
	}
}

// A parser that reads whatever comes neither fails nor takes more than there is.
func FuzzReply(f *testing.F) {
	f.Add([]byte("*2\r\n:1\r\n$3\r\nabc\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r reply
		size, err := r.parse(b)
		if size < 0 || size > len(b) || err != nil && size != 0 {
			t.Errorf("%q: %d, %v", b, size, err)
		}
		if size > 0 {
			_ = r.show()
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(int64(math.MinInt64 + 1))
	f.Fuzz(func(t *testing.T, n int64) {
		text := []byte(":" + number(n) + "\r\n")
		if got, size, err := header(text); n != math.MinInt64 && (got != n || size != len(text) || err != nil) {
			t.Errorf("%d: %d, %d, %v", n, got, size, err)
		}
	})
}
