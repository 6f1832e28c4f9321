package attack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// readVital looks at the server over a connection.
func readVital(c *harness.Conn) vital {
	c.T.Helper()
	v, err := parseVital(harness.InfoFields(c.Ask("INFO", "everything").Text))
	if err != nil {
		c.T.Fatalf("INFO: %v", err)
	}
	return v
}

// recovers waits until the server is back to about what it was, when the connection was the only
// one, and wants no handler to have panicked.
func (v vital) recovers(c *harness.Conn) {
	c.T.Helper()
	var now vital
	harness.Eventually(c.T, "the server is what it was", func() bool {
		now = readVital(c)
		return now.differsFrom(v) == "" && now.rss <= v.rss+harness.ResidentGrowthMax()
	})
	if now.panics != 0 {
		c.T.Errorf("%d handlers panicked", now.panics)
	}
}

// converse sends bytes and that no more come, and returns everything that is answered. A
// connection that ends in anything but EOF fails the test.
func converse(c *harness.Conn, packet string) string {
	c.T.Helper()
	var sending sync.WaitGroup
	sending.Go(func() { // the answers may have to be read before all is sent
		_, _ = io.WriteString(c, packet) // a server that has hung up takes no more
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	})
	all, err := io.ReadAll(c.Reader)
	if err != nil {
		c.T.Errorf("%.60q was answered %.200q and then %v, not EOF", packet, all, err)
	}
	sending.Wait()
	return string(all)
}

// authenticated is a connection that has given the password.
func authenticated(p *harness.Process, password string) *harness.Conn {
	c := p.Dial()
	c.MustSay("OK", "AUTH", password)
	return c
}

func protocolError(text string) string { return "-ERR Protocol error: " + text + "\r\n" }

// The packets that harm other servers, before and after AUTH. The answer is all that comes
// until EOF: after an error nothing else.
func TestHostilePackets(t *testing.T) {
	p := harness.StartServer(t, "--requirepass", "secret")
	control := authenticated(p, "secret")
	before := readVital(control)
	const noAuth = "-NOAUTH Authentication required.\r\n"
	manyKeys := append([]string{"EXISTS"}, strings.Split(strings.Repeat("k ", 9999)+"k", " ")...)
	echo := func(n int) string { return harness.Command("ECHO", strings.Repeat("x", n)) }
	for _, packet := range []struct{ name, bytes, stranger, friend string }{
		{"redcon's crash", "*1\r\n$9223372036854775807\r\n", protocolError("invalid bulk length"), protocolError("invalid bulk length")},
		{"redcon's hang", "*9223372036854775807\r\n", protocolError("invalid multibulk length"), protocolError("invalid multibulk length")},
		{"a count that wraps", "*18446744073709551617\r\n$4\r\nPING\r\n", protocolError("invalid multibulk length"), protocolError("invalid multibulk length")},
		{"a length that wraps", "*1\r\n$4294967300\r\nPING\r\n", protocolError("invalid bulk length"), protocolError("invalid bulk length")},
		{"a negative length", "*1\r\n$-1\r\n", protocolError("invalid bulk length"), protocolError("invalid bulk length")},
		{"a promise of 1 MB and more", "*1\r\n$1048577\r\n", protocolError("unauthenticated bulk length"), protocolError("invalid bulk length")},
		{"a promise of 1 MB", "*2\r\n$1048576\r\nxx", protocolError("unauthenticated bulk length"), ""},
		{"a promise of 16 KB and more", "*2\r\n$4\r\nECHO\r\n$16385\r\n", protocolError("unauthenticated bulk length"), ""},
		{"a promise of 16 KB", "*2\r\n$4\r\nECHO\r\n$16384\r\nx", "", ""},
		{"16 KB", echo(16384), noAuth, "$16384\r\n" + strings.Repeat("x", 16384) + "\r\n"},
		{"1 MB", echo(1 << 20), protocolError("unauthenticated bulk length"), "$1048576\r\n" + strings.Repeat("x", 1<<20) + "\r\n"},
		{"a million arguments promised", "*1048576\r\n", protocolError("unauthenticated multibulk length"), ""},
		{"more than a million arguments", "*1048577\r\n", protocolError("unauthenticated multibulk length"), protocolError("invalid multibulk length")},
		{"10,000 arguments", harness.Command(manyKeys...), protocolError("unauthenticated multibulk length"), ":0\r\n"},
		{"11 arguments", harness.Command(manyKeys[:11]...), protocolError("unauthenticated multibulk length"), ":0\r\n"},
		{"10 arguments", harness.Command(manyKeys[:10]...), noAuth, ":0\r\n"},
		{"11 arguments behind AUTH", harness.Command("AUTH", "secret") + harness.Command(manyKeys[:11]...), "+OK\r\n:0\r\n", "+OK\r\n:0\r\n"},
		{"nested arrays", "*1\r\n*1\r\n*1\r\n$4\r\nPING\r\n", protocolError("expected '$', got '*'"), protocolError("expected '$', got '*'")},
		{"deeply nested arrays", strings.Repeat("*1\r\n", 100_000), protocolError("expected '$', got '*'"), protocolError("expected '$', got '*'")},
		{"empty commands", strings.Repeat("*0\r\n", 100_000) + "*-1\r\n", "", ""},
		{"empty lines", strings.Repeat("\r\n\n", 100_000), "", ""},
		{"integers for arguments", "*1\r\n:4\r\n", protocolError("expected '$', got ':'"), protocolError("expected '$', got ':'")},
		{"an empty command name", harness.Command(""), "-ERR unknown command '', with args beginning with: \r\n", "-ERR unknown command '', with args beginning with: \r\n"},
		{"70 KB in a line", strings.Repeat("a ", 35_000) + "\r\n", protocolError("too big inline request"), protocolError("too big inline request")},
		{"70 KB without an end", strings.Repeat("a", 70_000), protocolError("too big inline request"), protocolError("too big inline request")},
		{"a header of 70 KB", "*" + strings.Repeat("1", 70_000), protocolError("too big mbulk count string"), protocolError("too big mbulk count string")},
		{"a length of 70 KB", "*1\r\n$" + strings.Repeat("1", 70_000), protocolError("too big bulk count string"), protocolError("too big bulk count string")},
		{"an open quote", "ECHO \"abc\r\n", protocolError("unbalanced quotes in request"), protocolError("unbalanced quotes in request")},
		{"POST", "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nPING\r\n", "", ""},
		{"GET with Host", "GET / HTTP/1.1\r\nhOsT: 127.0.0.1\r\n\r\nPING\r\n", "-ERR unknown command 'GET', with args beginning with: '/' 'HTTP/1.1' \r\n", "-ERR unknown command 'GET', with args beginning with: '/' 'HTTP/1.1' \r\n"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "", ""},
		{"half a command", "*3\r\n$4\r\nECHO\r\n$1\r\nx\r\n$2", "", ""},
		{"an error behind commands", harness.Command("QUITS") + "PING\r\n*1\r\n$x\r\nPING\r\n", "-ERR unknown command 'QUITS', with args beginning with: \r\n" + noAuth + protocolError("invalid bulk length"), "-ERR unknown command 'QUITS', with args beginning with: \r\n+PONG\r\n" + protocolError("invalid bulk length")},
	} {
		if got := converse(p.Dial(), packet.bytes); got != packet.stranger {
			t.Errorf("%s, before AUTH:\n got %.300q\nwant %.300q", packet.name, got, packet.stranger)
		}
		if got := converse(authenticated(p, "secret"), packet.bytes); got != packet.friend {
			t.Errorf("%s, after AUTH:\n got %.300q\nwant %.300q", packet.name, got, packet.friend)
		}
	}
	before.recovers(control)
}

// A command that comes a byte at a time is answered as one that comes whole.
func TestHostileDrip(t *testing.T) {
	c := harness.StartServer(t).Dial()
	before := readVital(c)
	check := harness.Command("RL.CHECK", "drip", "token_bucket", "10", "366d", "BURST", "10", "COST", "3")
	for _, drip := range []struct{ bytes, want string }{
		{check, "*6\r\n:1\r\n:10\r\n:7\r\n:0\r\n:9486720000\r\n:0\r\n"},
		{"PING\r\n", "+PONG\r\n"},
		{harness.Command("ECHO", strings.Repeat("z", 20_000)), "$20000\r\n" + strings.Repeat("z", 20_000) + "\r\n"},
	} {
		for i := range len(drip.bytes) {
			c.Send(drip.bytes[i : i+1])
		}
		if got := c.Reply(); got != drip.want {
			t.Errorf("%.60q was answered %.100q; want %.100q", drip.bytes, got, drip.want)
		}
	}
	before.recovers(c)
}

// Connections that promise much, send little and stay take no memory for the promise.
func TestHostilePromises(t *testing.T) {
	const connections = 200
	p := harness.StartServer(t)
	c := p.Dial()
	before := readVital(c)
	var promisers []*harness.Conn
	for i := range connections {
		promiser := p.Dial()
		promiser.Send([]string{"*1048576\r\n", "*2\r\n$1048576\r\n", "*1048576\r\n$1048576\r\n", "*1\r\n$1048576\r\nxxx"}[i%4])
		promisers = append(promisers, promiser)
	}
	harness.Eventually(t, "all promises to be taken", func() bool { return c.InfoNumber("connected_clients") == connections+1 })
	if after := readVital(c); after.rss > before.rss+harness.ResidentGrowthMax() {
		t.Errorf("%d promises took %d bytes", connections, after.rss-before.rss)
	}
	for _, promiser := range promisers {
		_ = promiser.Close()
	}
	before.recovers(c)
}

// Streams of random bytes and of random pieces of the protocol end in answers, errors or
// EOF, and nothing worse. Every stream follows from its seed.
func TestHostileRandomStreams(t *testing.T) {
	const streams, piecesMax = 400, 200
	const seed = 1
	p := harness.StartServer(t)
	c := p.Dial()
	before := readVital(c)
	random := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{
		"*", "$", "\r\n", "\r", "\n", "*1\r\n", "*2\r\n", "*5\r\n", "*-1\r\n", "$4\r\n", "$0\r\n\r\n", "$-1\r\n", "PING", "PING\r\n", "$4\r\nPING\r\n",
		"$8\r\nRL.CHECK\r\n", "$1\r\nk\r\n", "$12\r\ntoken_bucket\r\n", "$2\r\n10\r\n", "RL.CHECK k leaky_bucket 5 1ms COST 2\r\n", "\"", "'", "\\x", "\x00", " ",
		"99999999999999999999", "1048576", ":1\r\n", "+OK\r\n", "%2\r\n", "~1\r\n", "HELLO 3\r\n", "SCAN 0\r\n", "COMMAND DOCS\r\n", "MONITOR\r\n", "RESET\r\n", "AUTH x\r\n",
	}
	for i := range streams {
		var stream bytes.Buffer
		for range random.IntN(piecesMax) {
			if i%2 == 0 {
				stream.WriteByte(byte(random.Uint32()))
			} else {
				stream.WriteString(pieces[random.IntN(len(pieces))])
			}
		}
		conn := p.Dial()
		_ = conn.SetDeadline(time.Now().Add(harness.Patience))
		_, _ = conn.Write(stream.Bytes())
		_ = conn.Conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn.Reader); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("stream %d of seed %d, %q: %v", i, seed, stream.Bytes(), err)
		}
		_ = conn.Close()
	}
	before.recovers(c)
}

// Keys are bytes: what looks like protocol in them stays in them.
func TestHostileKeys(t *testing.T) {
	c := harness.StartServer(t).Dial()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, key := range []string{string(every), "\r\n", "\x00", "*1\r\n$4\r\nQUIT\r\n", "-ERR\r\n", "\xff\xfe\xfd", "%s%n", "../../etc/passwd", " ", "'\"\\"} {
		c.Send(harness.Command("RL.CHECK", key, "leaky_bucket", "10", "1h") + harness.Command("KEYS", "*") + harness.Command("EXISTS", key, key+"x") + harness.Command("TYPE", key) + harness.Command("RL.RESET", key))
		want := "*6\r\n:1\r\n:10\r\n:9\r\n:0\r\n:360000\r\n:0\r\n" + fmt.Sprintf("*1\r\n$%d\r\n%s\r\n:1\r\n+leaky_bucket\r\n:1\r\n", len(key), key)
		if got := c.Reply() + c.Reply() + c.Reply() + c.Reply() + c.Reply(); got != want {
			t.Errorf("key %q:\n got %q\nwant %q", key, got, want)
		}
	}
}
