package wire

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// 500 connections ask at once for one unit each of a limit of 100: exactly 100 get one,
// whatever the algorithm, every time.
func TestExactlyTheLimitIsAdmitted(t *testing.T) {
	const connections, limit, rounds = 500, 100, 5
	p := harness.StartServer(t)
	conns := make([]*harness.Conn, connections)
	for i := range conns {
		conns[i] = p.Dial()
	}
	for _, a := range engine.Algorithms() {
		for round := range rounds {
			question := harness.Command("RL.CHECK", a.String()+":"+string(rune('a'+round)), a.String(), "100", "366d")
			var admitted, denied, other atomic.Int64
			var ready, done sync.WaitGroup
			start := make(chan struct{})
			ready.Add(connections)
			for _, c := range conns {
				done.Go(func() {
					ready.Done()
					<-start
					c.Send(question)
					switch reply := c.Reply(); {
					case strings.HasPrefix(reply, "*6\r\n:1\r\n:100\r\n"):
						admitted.Add(1)
					case strings.HasPrefix(reply, "*6\r\n:0\r\n:100\r\n:0\r\n"):
						denied.Add(1)
					default:
						other.Add(1)
					}
				})
			}
			ready.Wait()
			close(start)
			done.Wait()
			if admitted.Load() != limit || denied.Load() != connections-limit || other.Load() != 0 {
				t.Errorf("%v, round %d: admitted %d, denied %d, other %d; want %d, %d, 0",
					a, round, admitted.Load(), denied.Load(), other.Load(), limit, connections-limit)
			}
		}
	}
}
