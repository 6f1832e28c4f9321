package attack

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// dripBytes has many connections send a command a byte at a time. Each is answered in the
// end.
func dripBytes(s *siege) {
	// Connections are spread over this many bytes, so that they are not all at the same one.
	const staggered, writers = 20, 4
	n, lasting := size(300, 3000), span(1500*time.Millisecond, 20*time.Second)
	conns := make([]*harness.Conn, n)
	packets := make([]string, n)
	passes := 0
	for i := range conns {
		conns[i] = s.dial()
		packets[i] = harness.Command("RL.CHECK", "drip:"+strconv.Itoa(i), "token_bucket", "10", "366d", "COST", "3")
		passes = max(passes, len(packets[i])+staggered)
	}
	var dripping sync.WaitGroup
	began := time.Now()
	for w := range writers {
		dripping.Go(func() {
			for pass := range passes {
				for i := w; i < n; i += writers {
					// Spread over the whole time: bytes that come all at once would be no drip.
					turn := time.Duration(float64(lasting) * float64(pass*n+i) / float64(passes*n))
					if early := time.Until(began.Add(turn)); early > time.Millisecond {
						time.Sleep(early)
					}
					at := pass - i%staggered
					if at < 0 || at >= len(packets[i]) {
						continue
					}
					if _, err := io.WriteString(conns[i], packets[i][at:at+1]); err != nil {
						s.errorf("connection %d at byte %d: %v", i, at, err)
						return
					}
				}
			}
		})
	}
	dripping.Wait()
	parallel(conns, func(i int, c *harness.Conn) {
		if reply, err := harness.ReadReply(c.Reader); err != nil || !strings.HasPrefix(reply, "*6\r\n:1\r\n:10\r\n:7\r\n:0\r\n") {
			s.errorf("connection %d was answered %q and %v", i, reply, err)
		}
	})
	grown := s.watch.peak().rss - s.before.rss
	s.note("%d connections, %d KB each", n, grown/int64(n)>>10)
	if most := int64(n)*connectionBytesMax + harness.ResidentGrowthMax(); grown > most {
		s.errorf("%d connections with half a command took %d bytes; want at most %d", n, grown, most)
	}
	closeAll(conns)
}

// connectionBytesMax is what a connection may take that has sent a few bytes.
const connectionBytesMax = 32 << 10

// pipelineFirst has connections send very many checks before they read an answer. They get
// all of them, in order: a server that stopped reading until its answers are taken would wait
// for a client that waits for it.
func pipelineFirst(s *siege) {
	n, checks := size(1, 4), size(100_000, 300_000)
	// A unit comes back after five minutes.
	const burst = 10_000_000
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dial()
		_ = conns[i].SetDeadline(time.Now().Add(time.Minute))
	}
	var mu sync.Mutex
	slowest := time.Duration(0)
	parallel(conns, func(i int, c *harness.Conn) {
		began := time.Now()
		question := harness.Command("RL.CHECK", "pipeline:"+strconv.Itoa(i), "token_bucket", "101000", "366d", "BURST", strconv.Itoa(burst))
		if sent, err := io.WriteString(c, strings.Repeat(question, checks)); err != nil {
			s.errorf("connection %d: after %d of %d bytes, and no answer read: %v", i, sent, checks*len(question), err)
			return
		}
		for k := range checks {
			want := fmt.Sprintf("*6\r\n:1\r\n:%d\r\n:%d\r\n:0\r\n", burst, burst-1-k)
			if reply, err := harness.ReadReply(c.Reader); err != nil || !strings.HasPrefix(reply, want) {
				s.errorf("connection %d: answer %d is %q and %v; want %q…", i, k, reply, err, want)
				return
			}
		}
		mu.Lock()
		defer mu.Unlock()
		slowest = max(slowest, time.Since(began))
	})
	s.note("%d × %d checks in %.1f s", n, checks, slowest.Seconds())
	closeAll(conns)
}
