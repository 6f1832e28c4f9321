package harness

import (
	"bufio"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Conn is a connection on which a test speaks bytes.
type Conn struct {
	T testing.TB
	net.Conn
	Reader *bufio.Reader
}

// NewConn speaks bytes over a connection.
func NewConn(t testing.TB, nc net.Conn) *Conn { return &Conn{t, nc, bufio.NewReader(nc)} }

// Dial connects to the server. The connection is closed when the test ends.
func (p *Process) Dial() *Conn {
	p.T.Helper()
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(Patience))
	return NewConn(p.T, nc)
}

// DialAddr connects without leaving anything to be done when the test ends.
func DialAddr(t testing.TB, addr string) *Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(5 * time.Minute))
	return &Conn{t, nc, bufio.NewReaderSize(nc, 16<<10)}
}

// Send writes bytes, which must succeed.
func (c *Conn) Send(text string) {
	c.T.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.T.Fatalf("sending %.60q: %v", text, err)
	}
}

// Reply reads one whole reply, as bytes.
func (c *Conn) Reply() string {
	c.T.Helper()
	text, err := ReadReply(c.Reader)
	if err != nil {
		c.T.Fatalf("reading a reply: %v (so far %q)", err, text)
	}
	return text
}

// Ask sends a command and reads its reply.
func (c *Conn) Ask(words ...string) Value {
	c.T.Helper()
	c.Send(Command(words...))
	return c.Value()
}

// Value reads the next reply, which must come.
func (c *Conn) Value() Value {
	c.T.Helper()
	v, err := ParseValue(c.Reader)
	if err != nil {
		c.T.Fatalf("reading a reply: %v", err)
	}
	return v
}

// MustSay asks and compares the reply's text.
func (c *Conn) MustSay(want string, words ...string) {
	c.T.Helper()
	if got := c.Ask(words...); got.Text != want || got.Parts != nil {
		c.T.Errorf("%q: %c%q %v, want %q", words, got.Kind, got.Text, got.Parts, want)
	}
}

// MustFail asks and wants an error that holds want.
func (c *Conn) MustFail(want string, words ...string) {
	c.T.Helper()
	if got := c.Ask(words...); got.Kind != '-' || !strings.Contains(got.Text, want) {
		c.T.Errorf("%q: %c%q, want an error with %q", words, got.Kind, got.Text, want)
	}
}

// SetPolicy makes a policy of these rules.
func (c *Conn) SetPolicy(name string, rules ...string) {
	c.T.Helper()
	words := []string{"RL.POLICY", "SET", name}
	for _, rule := range rules {
		words = append(append(words, "LIMIT"), strings.Fields(rule)...)
	}
	c.MustSay("OK", words...)
}

// LongPrefix makes keys so long that some tens of thousands of them fill a store of 16 MB.
var LongPrefix = strings.Repeat("tenant:", 30)

// Fill makes n keys that last for hours, in one write.
func (c *Conn) Fill(prefix, algorithm string, n int) {
	c.T.Helper()
	var all strings.Builder
	for i := range n {
		all.WriteString(Command("RL.CHECK", prefix+strconv.Itoa(i), algorithm, "1", "1h"))
	}
	c.Send(all.String())
	for range n {
		if reply := c.Value(); len(reply.Parts) != 6 || reply.Parts[0].Text != "1" {
			c.T.Fatalf("filling: %+v", reply)
		}
	}
}

// MustBeClosed wants the connection's end, and nothing before it.
func (c *Conn) MustBeClosed() {
	c.T.Helper()
	_ = c.SetReadDeadline(time.Now().Add(Patience))
	switch b, err := c.Reader.ReadByte(); {
	case err == nil:
		c.T.Errorf("the connection is open and sends %q", b)
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET):
		c.T.Errorf("the connection is not closed: %v", err)
	}
}

// Listed reads CLIENT LIST, or CLIENT INFO, as one map of fields for each line.
func (c *Conn) Listed(words ...string) (list []map[string]string) {
	c.T.Helper()
	reply := c.Ask(append([]string{"CLIENT"}, words...)...)
	if reply.Kind != '$' && reply.Kind != '=' {
		c.T.Fatalf("CLIENT %q: %c%q", words, reply.Kind, reply.Text)
	}
	for line := range strings.Lines(reply.Text) {
		fields := map[string]string{}
		for word := range strings.SplitSeq(strings.TrimSuffix(line, "\n"), " ") {
			name, text, found := strings.Cut(word, "=")
			if !found || name == "" {
				c.T.Errorf("CLIENT %q has a word that is not name=value: %q", words, word)
			}
			fields[name] = text
		}
		list = append(list, fields)
	}
	return list
}

var monitorLinePattern = regexp.MustCompile(`^\+(\d{10})\.\d{6} \[0 (127\.0\.0\.1:\d+)\] (.*)\r\n$`)

// NextLine reads a line of MONITOR: the address that sent the command, and its words.
func (c *Conn) NextLine() (addr, words string) {
	c.T.Helper()
	line, err := c.Reader.ReadString('\n')
	if err != nil {
		c.T.Fatalf("waiting for a line of MONITOR: %v", err)
	}
	m := monitorLinePattern.FindStringSubmatch(line)
	if m == nil {
		c.T.Fatalf("%q is no line of MONITOR", line)
	}
	if at, _ := strconv.ParseInt(m[1], 10, 64); at < time.Now().Unix()-60 || at > time.Now().Unix()+1 {
		c.T.Errorf("%q is not from now", line)
	}
	return m[2], m[3]
}
