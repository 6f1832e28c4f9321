package server

import (
	"fmt"
	"testing"
	"time"
)

// The changes of all connections that one turn of an event loop serves share one commit.
func TestOneCommitATurn(t *testing.T) {
	const connections = 50
	l := newLedger()
	s := startServed(t, 1, l, nil)
	var all []*peer
	for range connections {
		c := s.dial()
		c.ask("PING", "+PONG")
		all = append(all, c)
	}
	began, turn := make(chan struct{}), make(chan struct{})
	s.clients.all()[0].handle.(*socket).loop.post(func() { close(began); <-turn })
	<-began
	for i, c := range all {
		c.send(fmt.Sprintf("RL.CHECK k%d token_bucket 10 1d", i), "PING")
	}
	time.Sleep(50 * time.Millisecond) // all have come
	close(turn)
	for _, c := range all {
		c.expect("[:1 :10 :9 …", "+PONG")
	}
	if n := l.commits.Load(); n != 1 {
		t.Errorf("%d commits", n)
	}
}
