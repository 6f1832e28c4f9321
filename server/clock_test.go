package server

import (
	"sync"
	"testing"
	"time"
)

// The clock is put forward to a reading and never back, whatever is heard at the same time, and no
// connection is idle for longer by that.
func TestAdvance(t *testing.T) {
	s := newTestServer(newStore(t))
	c := newTestSession(s)
	began := s.Now()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range int64(100) {
				before, reading := s.Now(), began+n*time.Hour.Microseconds()+int64(i)
				s.Advance(reading)
				if now := s.Now(); now < before || now < reading {
					t.Errorf("the clock is %d after %d and a reading of %d", now, before, reading)
				}
			}
		})
	}
	all.Wait()
	idle := time.Duration(s.Now()-c.active.Load()) * time.Microsecond
	if ahead := time.Duration(s.Now()-began) * time.Microsecond; ahead < 99*time.Hour || ahead > 100*time.Hour || idle > time.Hour {
		t.Errorf("the clock is %v ahead, and a session that has just begun was idle for %v", ahead, idle)
	}
}
