package test

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A value is a reply, with its type: what tools look at is more than the text.
type value struct {
	kind  byte // '+', '-', ':', '$', '*', and of RESP3 '_', '#', ',', '%', '~', '='
	null  bool
	text  string
	parts []value // of '%': keys and values in turn
}

func parseValue(r *bufio.Reader) (value, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return value{}, err
	}
	if len(line) < 3 || !strings.HasSuffix(line, "\r\n") {
		return value{}, fmt.Errorf("no line of RESP: %q", line)
	}
	v := value{kind: line[0], text: line[1 : len(line)-2]}
	n, numberErr := strconv.Atoi(v.text)
	switch v.kind {
	case '+', '-', ':', '#', ',':
		return v, nil
	case '_':
		v.null = true
		return v, nil
	case '$', '=':
		if v.null = n < 0; v.null {
			return v, numberErr
		}
		body := make([]byte, n+2)
		_, err := io.ReadFull(r, body)
		v.text = string(body[:n])
		if v.kind == '=' {
			v.text = strings.TrimPrefix(v.text, "txt:")
		}
		return v, err
	case '*', '~', '%', '>':
		v.null = n < 0
		if v.kind == '%' {
			n *= 2
		}
		for range n {
			part, err := parseValue(r)
			if err != nil {
				return v, err
			}
			v.parts = append(v.parts, part)
		}
		return v, numberErr
	}
	return v, fmt.Errorf("no type of RESP: %q", line)
}

// ask sends a command and reads its reply.
func (c *rawConn) ask(words ...string) value {
	c.t.Helper()
	c.send(command(words...))
	return c.value()
}

func (c *rawConn) value() value {
	c.t.Helper()
	v, err := parseValue(c.r)
	if err != nil {
		c.t.Fatalf("reading a reply: %v", err)
	}
	return v
}

// mustSay asks and compares the reply's text.
func (c *rawConn) mustSay(want string, words ...string) {
	c.t.Helper()
	if got := c.ask(words...); got.text != want || got.parts != nil {
		c.t.Errorf("%q: %c%q %v, want %q", words, got.kind, got.text, got.parts, want)
	}
}

// mustFail asks and wants an error that holds want.
func (c *rawConn) mustFail(want string, words ...string) {
	c.t.Helper()
	if got := c.ask(words...); got.kind != '-' || !strings.Contains(got.text, want) {
		c.t.Errorf("%q: %c%q, want an error with %q", words, got.kind, got.text, want)
	}
}

func (v value) texts() []string {
	var list []string
	for _, part := range v.parts {
		list = append(list, part.text)
	}
	return list
}

// pairs reads a map, in RESP2 or RESP3.
func (v value) pairs() map[string]value {
	m := map[string]value{}
	for i := 0; i+1 < len(v.parts); i += 2 {
		m[v.parts[i].text] = v.parts[i+1]
	}
	return m
}

// eventually looks again and again until it holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); waitALittle() {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 10 s: %s", what)
		}
	}
}

// number reads an integer reply.
func (v value) number(t testing.TB) int64 {
	t.Helper()
	n, err := strconv.ParseInt(v.text, 10, 64)
	if v.kind != ':' || err != nil {
		t.Fatalf("%c%q is no integer", v.kind, v.text)
	}
	return n
}

// fill makes n keys that last for hours, in one write.
func (c *rawConn) fill(prefix, algorithm string, n int) {
	c.t.Helper()
	var all strings.Builder
	for i := range n {
		all.WriteString(command("RL.CHECK", prefix+strconv.Itoa(i), algorithm, "1", "1h"))
	}
	c.send(all.String())
	for range n {
		if reply := c.value(); len(reply.parts) != 6 || reply.parts[0].text != "1" {
			c.t.Fatalf("filling: %+v", reply)
		}
	}
}
