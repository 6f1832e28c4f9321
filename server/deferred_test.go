package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// taken is the reply to a check of ten units a day that leaves so many; only the beginning,
// because the rest is of the clock.
func taken(left int) string { return fmt.Sprintf("[:1 :10 :%d …", left) }

const (
	check  = "RL.CHECK k sliding_window_log 10 1d"
	peek   = "RL.PEEK k sliding_window_log 10 1d"
	denied = "RL.CHECK k sliding_window_log 10 1d COST 11"
)

// An answer that tells of a change leaves when the change is on disk, and the answers to later
// commands follow. An answer that tells of no change does not wait.
func TestAnswersWaitForTheDisk(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c, other := s.dial(), s.dial()
		l.stick()
		c.send(peek, check, "PING", peek, denied, "UNLINK none", "ECHO x", check)
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		c.expectNothing()
		other.send(peek, denied, "RL.RESET none", "DBSIZE") // nothing is changed
		other.expect("[:1 :10 :8 …", "[:0 :10 :8 …", ":0", ":1")
		for _, change := range []string{"RL.REFUND k sliding_window_log 10 1d", "UNLINK k", "FLUSHALL", "FLUSHDB", check, "DEL k"} {
			other.send(change)
			other.expectNothing()
			l.release(nil)
			other.read()
			l.stick()
		}
		c.expect("[:1 :10 :10 …", taken(9), "+PONG", "[:1 :10 :9 …", "[:0 :10 :9 …", ":0", "x", taken(8))
		c.ask(denied, "[:0 :10 :10 …")
		l.release(nil)

		before := l.commits.Load()
		l.holds.Store(false)
		c.ask(check, taken(9))
		if n := l.commits.Load() - before; n != 0 {
			t.Errorf("%d commits though answers do not wait", n)
		}
	})
}

// While an answer waits, no more is read, and it goes on afterwards.
func TestNothingOvertakesAHeldAnswer(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		l.stick()
		c.send(check)
		eventually(t, "a commit", func() bool { return l.held() == 1 })
		c.send("PING")
		c.send(check, "PING")
		c.expectNothing()
		l.release(nil)
		c.expect(taken(9), "+PONG", taken(8), "+PONG")
	})
}

// Of the changes that are not on disk nothing is answered as done; the other answers stay.
func TestFailedCommit(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		const failure = "-MISCONF Errors writing to the AOF file: no space left"
		l.release(errors.New("no space\nleft"))
		c.send(check, peek, denied, "ECHO x", check, "DEL k", "DEL k")
		c.expect(failure, "[:1 :10 :9 …", "[:0 :10 :9 …", "x", failure, failure, ":0")
		c.ask("FLUSHALL", failure)
		for name, want := range map[string]uint64{"rl.check": 2, "rl.peek": 0, "echo": 0, "del": 1, "flushall": 1} {
			if got := s.table.findByLabel(name).stats.Load().failed.Load(); got != want {
				t.Errorf("%s has failed %d times, want %d", name, got, want)
			}
		}
		if got := s.stats.errors.all()["MISCONF"].Load(); got != 4 {
			t.Errorf("%d errors, want 4", got)
		}
		l.release(nil)
		c.send(check, "PING")
		c.expect(taken(9), "+PONG")
	})
}

// Each of many connections gets all of its answers in order.
func TestHeldAnswersUnderLoad(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		const connections, rounds, ahead = 20, 20, 10
		l := newLedger()
		s := startServed(t, loops, l, nil)
		var working sync.WaitGroup
		for i := range connections {
			c := s.dial()
			working.Go(func() {
				left := rounds * ahead
				for range rounds {
					var batch []string
					for range ahead {
						batch = append(batch, fmt.Sprintf("RL.CHECK k%d token_bucket %d 366d", i, rounds*ahead))
					}
					c.send(batch...)
					for range ahead {
						left--
						if got, want := c.read(), fmt.Sprintf("[:1 :%d :%d ", rounds*ahead, left); !strings.HasPrefix(got, want) {
							t.Errorf("connection %d: %q, want %q", i, got, want)
							return
						}
					}
				}
			})
		}
		working.Wait()
		t.Logf("%d commits for %d batches of %d checks", l.commits.Load(), connections*rounds, ahead)
	})
}

// More replies than are kept before they are flushed wait as well, in parts.
func TestManyHeldAnswers(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		const checks = 40_000 // some two megabytes of replies
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		l.stick()
		go func() {
			batch := make([]string, 1000)
			for i := range batch {
				batch[i] = "RL.CHECK k token_bucket 1000000 366d"
			}
			for range checks / len(batch) {
				c.send(batch...)
			}
		}()
		eventually(t, "a commit", func() bool { return l.held() == 1 })
		c.expectNothing()
		l.release(nil)
		for i := range checks {
			if got, want := c.read(), fmt.Sprintf("[:1 :1000000 :%d ", 1_000_000-1-i); !strings.HasPrefix(got, want) {
				t.Fatalf("reply %d is %q, want %q", i, got, want)
			}
		}
	})
}

// Commands that step aside from the event loop wait as others do.
func TestSlowChangesWait(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		many := "DEL k" + strings.Repeat(" none", fastArgumentsMax)
		l.stick()
		c.send(check, "KEYS *", check, many, "KEYS *", check, "KEYS *")
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		c.expectNothing()
		answered := make(chan struct{})
		go func() { // how many commits there are depends on how the commands were read
			for {
				select {
				case <-answered:
					return
				case <-time.After(time.Millisecond):
					l.releaseHeld()
				}
			}
		}()
		c.expect(taken(9), "[k]", taken(8), ":1", "[]", taken(9), "[k]")
		close(answered)
	})
}

// After the answer to CONFIG SET, changes wait, also those of the same batch.
func TestWaitingBeginsWithConfigSet(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		c.ask("CONFIG SET appendonly yes", "+OK")
		l.stick()
		c.ask(check, taken(9))
		c.send("CONFIG SET appendfsync always", check)
		c.expectNothing()
		l.release(nil)
		c.expect("+OK", taken(8))
		c.send("CONFIG SET appendfsync everysec", check)
		c.expect("+OK", taken(7))
	})
}

// A peer can leave, or be killed, while its answers wait.
func TestPeersLeaveWhileHeld(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		l.stick()
		admin := s.dial()
		admin.ask("PING", "+PONG")
		var gone []*peer
		for range 3 {
			c := s.dial()
			c.send(check)
			gone = append(gone, c)
		}
		eventually(t, "the commits", func() bool {
			admin.send(peek)
			return strings.HasPrefix(admin.read(), "[:1 :10 :7 ") && l.held() > 0
		})
		_ = gone[0].Close()
		_ = gone[1].Conn.(interface{ SetLinger(int) error }).SetLinger(0)
		_ = gone[1].Close()
		admin.ask("CLIENT KILL ADDR "+gone[2].LocalAddr().String()+" SKIPME yes", ":1")
		admin.ask(denied, "[:0 :10 :7 …")
		l.release(nil)
		eventually(t, "the connections to end", func() bool { return s.sessions.len() == 1 })
		if got := gone[2].read(); !strings.HasPrefix(got, "(") {
			t.Errorf("the killed connection was answered %q", got)
		}
		admin.ask(check, taken(6))
	})
}

// Half a connection is enough to be answered on.
func TestHalfClosedPeerIsAnswered(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		l.stick()
		c := s.dial()
		c.send(check, "QUIT")
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
		c.expectNothing()
		l.release(nil)
		c.expect(taken(9), "+OK", "(EOF)")
	})
}

// Answers that wait when the server is told to end are still given.
func TestShutdownWhileHeld(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		l.stick()
		held, aside := s.dial(), s.dial()
		held.send(check, "PING")
		aside.send("KEYS *", "RL.CHECK j token_bucket 10 1d", "KEYS *")
		eventually(t, "the commits", func() bool { return l.held() == 2 })
		s.stop()
		time.Sleep(300 * time.Millisecond) // longer than connections that drain are given
		select {
		case err := <-s.ended:
			t.Fatalf("the server has ended with %v", err)
		default:
		}
		held.expectNothing()
		l.release(nil)
		held.expect(taken(9), "+PONG", "(EOF)")
		aside.expect("[…", "[:1 :10 :9 …", "[…", "(EOF)")
		s.hasEnded()
	})
}

// storeOf is a store with so many keys of half a kilobyte.
func storeOf(t *testing.T, keys int) *engine.Store {
	t.Helper()
	store := newStore(t)
	limit, err := engine.NewLimit(10, 24*time.Hour, 0)
	for i := range keys {
		if err == nil {
			_, err = store.Check(fmt.Sprintf("%0500d", i), engine.TokenBucket, limit, 1, time.Now().UnixMicro())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// A moodyStore panics at a question about a certain key, and waits for gate at another.
type moodyStore struct {
	*engine.Store
	gate chan struct{}
}

func (m moodyStore) Ask(o engine.Op, key string, a engine.Algorithm, l *engine.Limit, cost, now int64, d *engine.Decision) error {
	switch key {
	case "panic":
		panic("as asked")
	case "gate":
		<-m.gate // the test knows now that this question is asked
		<-m.gate
	}
	return m.Store.Ask(o, key, a, l, cost, now, d)
}

// A panic does not send what has to wait for the disk.
func TestPanicWhileHeld(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, moodyStore{newStore(t), nil})
		l.stick()
		c := s.dial()
		c.send(check, "RL.CHECK panic token_bucket 10 60", "PING")
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		c.expectNothing()
		l.release(nil)
		c.expect(taken(9), "-"+errPanic, "(EOF)")
		s.dial().ask(check, taken(8))
	})
}

// Neither does one in a connection that has been a monitor.
func TestPanicWhileHeldBehindMonitor(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, moodyStore{newStore(t), nil})
		c := s.dial()
		c.ask("MONITOR", "+OK")
		c.ask("RESET", "+RESET")
		l.stick()
		c.send(check, "RL.CHECK panic token_bucket 10 60", "PING")
		eventually(t, "the commit", func() bool { return l.held() == 1 })
		c.expectNothing()
		l.release(errors.New("full"))
		c.expect("-MISCONF …", "-"+errPanic, "(EOF)")
	})
}

// A connection that has been a monitor waits too.
func TestMonitorWaits(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		c.send(check, "MONITOR")
		c.expect(taken(9), "+OK")
		c.ask("RESET", "+RESET")
		l.stick()
		c.send(check, "PING")
		c.expectNothing()
		l.release(nil)
		c.expect(taken(8), "+PONG")
		l.release(errors.New("full"))
		c.ask(check, "-MISCONF …")
	})
}

// Replies before a change go on to be sent while the change waits for the disk, and a connection
// that is to leave its event loop loses nothing.
func TestUnsentRepliesBeforeHeldOnes(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		const keys, lists = 2000, 8 // of half a kilobyte: more than the system takes
		l := newLedger()
		s := startServed(t, loops, l, storeOf(t, keys))
		l.stick()
		c := s.dial()
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		batch := make([]string, lists)
		for i := range batch {
			batch[i] = "KEYS *"
		}
		c.send(append(batch, check, "MONITOR", "RESET")...)
		if loops > 0 {
			eventually(t, "replies to be kept", func() bool { return s.wire.Unsent() > 0 })
		}
		for i := range lists {
			if got := c.read(); len(got) < 500*keys {
				t.Fatalf("list %d has %d bytes", i, len(got))
			}
		}
		c.expectNothing()
		l.release(nil)
		c.expect(taken(9), "+OK")
		for got := ""; got != "+RESET"; got = c.read() { // behind what the monitor has seen
			if strings.HasPrefix(got, "(") {
				t.Fatal(got)
			}
		}
		c.ask(check, taken(8))
	})
}
