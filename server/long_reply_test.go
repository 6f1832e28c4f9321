package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

// WAIT waits for the disk first, and then for replicas; what is behind it waits for it.
func TestWait(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		l.stick()
		c.send("PING", check, "WAIT 2 5000", check, "PING")
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		if l.waitsUnderWay() != 0 {
			t.Fatal("WAIT did not wait for the disk")
		}
		l.release(nil)
		c.expect("+PONG", taken(9))
		eventually(t, "WAIT", func() bool { return l.waitsUnderWay() == 1 })
		if l.lastWait != [2]int64{2, 5000} {
			t.Errorf("WAIT asked for %v", l.lastWait)
		}
		c.expectNothing()
		c.send("ECHO x") // is not lost while it waits
		c.expectNothing()
		l.acknowledge(1)
		c.expect(":1", taken(8), "+PONG", "x")
		c.ask("WAIT x 0", "-"+errNotInteger)
		c.ask("WAIT 1 x", "-"+errTimeoutInteger)
		c.ask("WAIT 1 -1", "-"+errTimeoutNegative)
		c.ask("WAIT 1 999999999999999999", "-"+errTimeoutInteger)
		c.ask("PING", "+PONG")
	})
}

// The server notices a peer that leaves while WAIT waits for ever; a killed one is gone; a server that
// ends does not wait.
func TestWaitEnds(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		admin := s.dial()
		leaves, killed, stays := s.dial(), s.dial(), s.dial()
		for _, c := range []*peer{leaves, killed, stays} {
			c.send("WAIT 1 0")
		}
		eventually(t, "WAIT", func() bool { return l.waitsUnderWay() == 3 })
		if n := s.sessions.sums().blocked; n != 3 {
			t.Errorf("%d clients are blocked", n)
		}
		_ = leaves.Close()
		eventually(t, "the peer that has left to be noticed", func() bool { return s.sessions.len() == 3 })
		admin.ask("CLIENT KILL ADDR "+killed.LocalAddr().String()+" SKIPME yes", ":1")
		eventually(t, "the killed connection to end", func() bool { return s.sessions.len() == 2 })
		s.stop()
		stays.expect(":0", "(EOF)")
		s.hasEnded()
		if n := l.abandoned.Load(); n != 3 {
			t.Errorf("%d of 3 WAITs were abandoned", n)
		}
		l.acknowledge(1)
	})
}

// A connection with TLS reads during a long wait, and loses nothing. When the peer leaves during
// one, the connection ends.
func TestWaitWithTLS(t *testing.T) {
	t.Parallel()
	l := newLedger()
	https := httptest.NewTLSServer(nil)
	https.Close() // its certificate is all that is needed of it
	s := startServed(t, 1, l, nil, func(s *Server) {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: https.TLS.Certificates})
		if err != nil {
			t.Fatal(err)
		}
		s.wire.Listeners = append(s.wire.Listeners, listener)
	})
	nc, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c, big := &peer{t, nc, bufio.NewReader(nc)}, strings.Repeat("x", 30_000)
	for i := range 3 {
		l.stick()
		c.send("PING", check, "ECHO between", "WAIT 1 0", "ECHO after")
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		l.release(nil)
		c.expect("+PONG", taken(9-2*i), "between")
		eventually(t, "WAIT", func() bool { return l.waitsUnderWay() == 1 })
		l.stick()
		c.send("ECHO meanwhile", "ECHO "+big, check)
		l.acknowledge(1)
		c.expect(":1")
		eventually(t, "the next commit", func() bool { return l.held() == 1 })
		l.release(nil)
		c.expect("after", "meanwhile", big, taken(8-2*i))
	}
	c.send("WAIT 1 0")
	eventually(t, "WAIT", func() bool { return l.waitsUnderWay() == 1 })
	_ = nc.Close()
	eventually(t, "the connection to end", func() bool { return s.sessions.len() == 0 })
	l.acknowledge(1) // is too late, and does no harm
}

// SAVE blocks its connection and no other.
func TestSaveBlocksOnlyItself(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		l.saving = make(chan struct{})
		s := startServed(t, loops, l, nil)
		c, other := s.dial(), s.dial()
		c.send("SAVE", "PING")
		other.ask("INFO server", "# Server…")
		c.expectNothing()
		close(l.saving)
		c.expect("+OK", "+PONG")
		full := newLedger()
		full.saveErr = errors.New("disk is full")
		startServed(t, loops, full, nil).dial().ask("SAVE", "-ERR disk is full")
	})
}

// Of a transaction, too, only the replies that tell of a change wait for it, and become errors;
// also behind replies that were too long to be kept.
func TestTransactionsWait(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		const keys = 1000 // of half a kilobyte
		l := newLedger()
		s := startServed(t, loops, l, moodyStore{storeOf(t, keys), nil})
		c := s.dial()
		for _, before := range []string{"PING", "KEYS *"} {
			l.stick()
			c.send("PING", "MULTI", before, check, peek, "UNLINK k", "EXEC", "PING")
			eventually(t, "the commit", func() bool { return l.held() == 1 })
			l.release(nil)
			c.expect("+PONG", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED")
			if got := c.read(); strings.Count(got, ":1 :10 :9 :0") != 2 || !strings.HasSuffix(got, " :1]") {
				t.Errorf("%s: %.40q … %q", before, got, got[max(0, len(got)-200):])
			}
			l.release(errors.New("full"))
			c.expect("+PONG")
			c.send("PING", "MULTI", before, check, peek, "UNLINK k", "EXEC", "PING")
			c.expect("+PONG", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED")
			const failure = "-MISCONF Errors writing to the AOF file: full"
			got := c.read()
			if strings.Count(got, failure) != 2 || strings.Count(got, ":1 :10 :9 :0") != 1 || !strings.HasSuffix(got, failure+"]") {
				t.Errorf("%s: %.40q … %q", before, got, got[max(0, len(got)-200):])
			}
			c.expect("+PONG")
			for _, err := range []error{nil, errors.New("full")} {
				c = s.dial()
				l.release(err)
				c.send("PING", "MULTI", before, check, "RL.CHECK panic token_bucket 10 60", "EXEC", "PING")
				c.expect("+PONG", "+OK", "+QUEUED", "+QUEUED", "+QUEUED")
				for got := ""; got != "(EOF)"; got = c.read() { // no reply tells of the check
					if strings.Contains(got, ":1 :10") {
						t.Errorf("%s, and a panic: %.40q … %q", before, got, got[max(0, len(got)-200):])
					}
				}
				l.release(nil)
				c = s.dial()
				c.ask("UNLINK k", ":1")
			}
		}
	})
}
