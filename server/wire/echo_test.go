package wire

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An echo is an Owner whose sessions answer every command with its first word. The replies to
// "short" and "long" wait until the test calls release.
type echo struct {
	mu     sync.Mutex
	conns  []*Conn
	awaits [][]Session // the calls of Await
}

type echoSession struct {
	echo *echo
	conn *Conn
}

func (e *echo) Open(c *Conn) (Session, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns = append(e.conns, c)
	return echoSession{e, c}, ""
}

func (e *echo) Await(waiting []Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.awaits = append(e.awaits, slices.Clone(waiting))
}

func (e *echo) Conns() []*Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.conns)
}

// waits are the calls of Await so far.
func (e *echo) waits() [][]Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.awaits)
}

// release ends the wait of a session, or of several of one call of Await.
func release(sessions ...Session) {
	var conns []*Conn
	for _, s := range sessions {
		conns = append(conns, s.(echoSession).conn)
	}
	Ready(conns...)
}

func (echoSession) BeginBatch() {}
func (echoSession) EndBatch()   {}

func (s echoSession) Run(args [][]byte, _ []byte) Outcome {
	if string(args[0]) == "long" && s.conn.Wait() != NoWait {
		return NotYet
	}
	s.conn.Trust(true)
	s.conn.BulkString(string(args[0]))
	switch string(args[0]) {
	case "short":
		s.conn.Defer(ShortWait)
	case "long":
		s.conn.Defer(LongWait)
	}
	return Done
}

func (s echoSession) Resume(early []byte)        { s.conn.Raw(early) }
func (echoSession) GiveUp() bool                 { return false }
func (echoSession) ProtocolError(e error) string { return e.Error() }
func (echoSession) Panicked(problem any)         { panic(problem) }

func (s echoSession) Closed() {
	s.echo.mu.Lock()
	defer s.echo.mu.Unlock()
	s.echo.conns = slices.DeleteFunc(s.echo.conns, func(c *Conn) bool { return c == s.conn })
}

// serveEcho serves on a listener until the test ends.
func serveEcho(t *testing.T, loops int, listener net.Listener) (*Server, *echo) {
	t.Helper()
	e := &echo{}
	s := NewServer(e, slog.New(slog.DiscardHandler))
	s.SetOutputLimit(1 << 20)
	s.listeners = []net.Listener{listener}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, loops, func() time.Duration { return 10 * time.Second }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, e
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// A client sends commands of one word, and reads their echo.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func newClient(t *testing.T, nc net.Conn, err error) *client {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(words ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.Join(words, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(words ...string) {
	c.t.Helper()
	for _, word := range words {
		want := fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
			c.t.Fatalf("got %.50q, %v; want %.50q", got, err, want)
		}
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, name string, condition func() bool) {
	t.Helper()
	for start := time.Now(); !condition(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatal("waited in vain for " + name)
		}
	}
}

// A connection with TLS reads during a long wait, and loses nothing. When the peer leaves during
// one, the connection ends.
func TestLongWaitWithTLS(t *testing.T) {
	inner := listenTCP(t)
	_, e := serveEcho(t, 1, tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}))
	nc, err := tls.Dial("tcp", inner.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	c := newClient(t, nc, err)
	big := strings.Repeat("x", 30_000)
	wait := func(n int) Session {
		t.Helper()
		eventually(t, "the wait", func() bool { return len(e.waits()) == n })
		return e.waits()[n-1][0]
	}
	for i := range 3 {
		c.send("before", "short", "between", "long", "after")
		release(wait(3*i + 1)) // for the short one
		c.expect("before", "short", "between")
		s := wait(3*i + 2)
		c.send("meanwhile", big, "short")
		release(s)
		c.expect("long")
		release(wait(3*i + 3))
		c.expect("after", "meanwhile", big, "short")
	}
	c.send("long")
	s := wait(10)
	_ = nc.Close()
	eventually(t, "the end of the connection", func() bool { return len(e.Conns()) == 0 })
	release(s) // is too late, and does no harm
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
