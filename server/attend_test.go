package server

import "testing"

// Replies that wait are dropped as others are, and what they tell of is done.
func TestSilentRepliesThatWait(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		c.send("CLIENT REPLY SKIP", check, check)
		c.expect(taken(8))
		c.send("CLIENT REPLY OFF", check, "SAVE", "WAIT 1 0", peek, "MULTI", check, "KEYS *", "EXEC", "CLIENT REPLY ON")
		eventually(t, "the wait", func() bool { return l.waitsUnderWay() == 1 })
		l.acknowledge(1)
		c.expect("+OK")
		c.ask(peek, "[:1 :10 :6 …")
		l.stick()
		c.send("CLIENT REPLY SKIP", check, peek) // nothing is told of the change, so nothing waits
		c.expect("[:1 :10 :5 …")
		l.release(nil)
	})
}
