package harness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/engine"
)

// A Value is a reply, with its type: what tools look at is more than the text.
type Value struct {
	Kind  byte // '+', '-', ':', '$', '*', and of RESP3 '_', '#', ',', '%', '~', '='
	Null  bool
	Text  string
	Parts []Value // of '%': keys and values in turn
}

// ParseValue reads one reply with its type.
func ParseValue(r *bufio.Reader) (Value, error) { return parse(r, &strings.Builder{}) }

// ReadReply reads one reply as bytes, aggregates with all that they hold. With an error come the
// bytes so far.
func ReadReply(r *bufio.Reader) (string, error) {
	var raw strings.Builder
	_, err := parse(r, &raw)
	return raw.String(), err
}

// parse reads one reply of RESP2 or RESP3 and adds its bytes to raw.
func parse(r *bufio.Reader, raw *strings.Builder) (Value, error) {
	line, err := r.ReadString('\n')
	raw.WriteString(line)
	if err != nil {
		return Value{}, err
	}
	if len(line) < 3 || !strings.HasSuffix(line, "\r\n") {
		return Value{}, fmt.Errorf("no line of RESP: %q", line)
	}
	v := Value{Kind: line[0], Text: line[1 : len(line)-2]}
	n, numberErr := strconv.Atoi(v.Text)
	switch v.Kind {
	case '+', '-', ':', '#', ',':
		return v, nil
	case '_':
		v.Null = true
		return v, nil
	case '$', '=':
		if v.Null = n < 0; v.Null {
			return v, numberErr
		}
		body := make([]byte, n+2)
		_, err := io.ReadFull(r, body)
		raw.Write(body)
		v.Text = string(body[:n])
		if v.Kind == '=' {
			v.Text = strings.TrimPrefix(v.Text, "txt:")
		}
		return v, err
	case '*', '~', '%', '>':
		v.Null = n < 0
		if v.Kind == '%' {
			n *= 2
		}
		for range n {
			part, err := parse(r, raw)
			if err != nil {
				return v, err
			}
			v.Parts = append(v.Parts, part)
		}
		return v, numberErr
	}
	return v, fmt.Errorf("no type of RESP: %q", line)
}

// Texts are the texts of the parts.
func (v Value) Texts() []string {
	var list []string
	for _, part := range v.Parts {
		list = append(list, part.Text)
	}
	return list
}

// Pairs reads a map, in RESP2 or RESP3.
func (v Value) Pairs() map[string]Value {
	m := map[string]Value{}
	for i := 0; i+1 < len(v.Parts); i += 2 {
		m[v.Parts[i].Text] = v.Parts[i+1]
	}
	return m
}

// Number reads an integer reply.
func (v Value) Number(t testing.TB) int64 {
	t.Helper()
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if v.Kind != ':' || err != nil {
		t.Fatalf("%c%q is no integer", v.Kind, v.Text)
	}
	return n
}

// CommandLine makes a conversation of commands in the notation "PING a; ECHO b".
func CommandLine(line string) string {
	var packet strings.Builder
	for _, one := range strings.Split(line, "; ") {
		packet.WriteString(Command(strings.Split(one, " ")...))
	}
	return packet.String()
}

// Algorithms are the names of all algorithms.
func Algorithms() (names []string) {
	for _, a := range engine.Algorithms() {
		names = append(names, a.String())
	}
	return names
}

// Integers sends a command that must reply integers.
func Integers(t testing.TB, c *redis.Client, args ...any) []int64 {
	t.Helper()
	got, err := c.Do(context.Background(), args...).Int64Slice()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return got
}

// Command writes words as a command on the wire.
func Command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

// Integers are the parts of a reply that consists of integers.
func (v Value) Integers() ([]int64, error) {
	if v.Kind != '*' {
		return nil, fmt.Errorf("answered %c%s", v.Kind, v.Text)
	}
	var list []int64
	for _, part := range v.Parts {
		n, err := strconv.ParseInt(part.Text, 10, 64)
		if err != nil || part.Kind != ':' {
			return nil, fmt.Errorf("answered %q, which has a part that is no integer", v.Texts())
		}
		list = append(list, n)
	}
	return list, nil
}

// ExpectMixed reads n messages and, in any mixture with them, the decisions on n single units
// of a limit of n, of which some have been read before.
func ExpectMixed(t *testing.T, c *Conn, n, decisions int) {
	t.Helper()
	messages := 0
	for messages < n || decisions < n {
		switch v := c.Value(); {
		case v.Kind == '>':
			messages++
		case v.Kind == '*' && len(v.Parts) == 6:
			if decisions++; v.Parts[0].Text != "1" || v.Parts[2].Text != strconv.Itoa(n-decisions) {
				t.Fatalf("decision %d is %q", decisions, v.Texts())
			}
		default:
			t.Fatalf("neither message nor decision: %c%q", v.Kind, v.Texts())
		}
	}
}
