package server

import (
	"testing"
	"time"
)

// waiting counts the sessions that wait for a long reply, or for the end of a pause.
func (s *served) waiting() (n int) {
	for _, c := range s.sessions.all() {
		if c.blocked.Load() {
			n++
		}
	}
	return n
}

// While writes are paused, commands that write are held and the rest is answered. The replies in front
// of a held command leave; those behind it come in order when the pause ends.
func TestPauseWrites(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		s := startServed(t, loops, newLedger(), nil)
		c, other, third := s.dial(), s.dial(), s.dial()
		c.ask("CLIENT PAUSE 3600000 WRITE", "+OK")
		c.ask(peek, "[:1 :10 :10 …")
		other.send("PING", check, "PING", peek)
		other.expect("+PONG")
		third.send("MULTI", "PING", "PUBLISH a x")
		third.expect("+OK", "+QUEUED")
		other.expectNothing()
		third.expectNothing()
		eventually(t, "two held connections", func() bool { return s.waiting() == 2 })
		c.ask("MULTI", "+OK")
		c.ask("TYPE k", "+QUEUED")
		c.ask("EXEC", "[+none]") // it writes nothing
		c.ask("CLIENT UNPAUSE", "+OK")
		other.expect(taken(9), "+PONG", "[:1 :10 :9 …")
		third.expect("+QUEUED")
		third.ask("EXEC", "[+PONG :0]")
		other.ask(check, taken(8))
		if s.gates.gate.Load() != nil {
			t.Error("there is a gate after the pause")
		}
	})
}

// A pause of everything holds everything, also what would end it, until its time has come. The later
// end and the stricter kind count.
func TestPauseAll(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		s := startServed(t, loops, newLedger(), nil)
		c, other := s.dial(), s.dial()
		c.send("PING", "CLIENT PAUSE 1", "CLIENT PAUSE 300 WRITE", "CLIENT PAUSE 2", "CLIENT UNPAUSE")
		c.expect("+PONG", "+OK") // and then it holds what sets the longer pause
		c.expect("+OK", "+OK", "+OK")
		began := time.Now()
		c.ask("CLIENT PAUSE 300 WRITE", "+OK")
		c.ask("CLIENT PAUSE 1 ALL", "+OK")
		other.send("PING")
		other.expect("+PONG")
		if took := time.Since(began); took < 300*time.Millisecond {
			t.Errorf("a pause of 300 ms ended after %v", took)
		}
	})
}

// A pause holds for long neither the end of the server nor that of a peer.
func TestEndWhilePaused(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		s := startServed(t, loops, newLedger(), nil)
		c, leaving, killed, held := s.dial(), s.dial(), s.dial(), s.dial()
		c.ask("CLIENT PAUSE 3600000 WRITE", "+OK")
		for _, p := range []*peer{leaving, killed, held} {
			p.send(check)
		}
		eventually(t, "held connections", func() bool { return s.waiting() == 3 })
		_ = leaving.Close()
		c.ask("CLIENT KILL ADDR "+killed.LocalAddr().String(), ":1")
		eventually(t, "their end", func() bool { return s.sessions.len() == 2 })
		s.stop()
		held.expect(taken(9))
		s.hasEnded()
	})
}

// Replies that wait for the disk leave before a command is held.
func TestPauseWhileAnswersWait(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c, other := s.dial(), s.dial()
		l.stick()
		other.send(check)
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		c.ask("CLIENT PAUSE 3600000 WRITE", "+OK")
		other.send(check, peek)
		l.release(nil)
		other.expect(taken(9))
		other.expectNothing()
		c.ask("CLIENT UNPAUSE", "+OK")
		other.expect(taken(8), "[:1 :10 :8 …")
	})
}
