package attack

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// floodWorkers connect at the same time.
const floodWorkers = 4

// floodPastMaxClients makes more connections than maxclients. The surplus is told so and closed,
// the residents go on, and when some of them close others are let in.
func floodPastMaxClients(s *siege) {
	const maxClients = 200
	surplus := size(400, 4000)
	residents := make([]*harness.Conn, maxClients-int(s.before.clients))
	for i := range residents {
		residents[i] = s.dial()
		s.ping(residents[i], "a resident before the flood")
	}
	var flooding, asking sync.WaitGroup
	var turnedAway atomic.Int64
	var ended atomic.Bool
	asking.Go(func() {
		for i := 0; !ended.Load(); i++ {
			s.ping(residents[i%len(residents)], "a resident during the flood")
			time.Sleep(time.Millisecond)
		}
	})
	for w := range floodWorkers {
		flooding.Go(func() {
			for range surplus / floodWorkers {
				if err := beTurnedAway(s.p.Addr(), w%2 == 1); err != nil {
					s.t.Error(err)
					return
				}
				turnedAway.Add(1)
			}
		})
	}
	flooding.Wait()
	ended.Store(true)
	asking.Wait()
	for _, c := range residents {
		s.ping(c, "a resident after the flood")
	}
	if rejected := s.counted("rejected_connections"); rejected != turnedAway.Load() {
		s.errorf("INFO counts %d rejected connections; %d were turned away", rejected, turnedAway.Load())
	}
	closeAll(residents[:10])
	s.waitClients(len(residents)-10, 5*time.Second)
	for range 10 {
		c := s.dial()
		s.ping(c, "a new connection")
		residents = append(residents, c)
	}
	closeAll(residents)
	s.note("%d turned away", turnedAway.Load())
}

// ping asks for a sign of life. The role of the connection stands in a failure.
func (s *siege) ping(c *harness.Conn, role string) {
	if _, err := io.WriteString(c, harness.Command("PING")); err != nil {
		s.errorf("%s: %v", role, err)
		return
	}
	if reply, err := harness.ReadReply(c.Reader); err != nil || reply != "+PONG\r\n" {
		s.errorf("%s was answered %q and %v", role, reply, err)
	}
}

// beTurnedAway connects and must be told that there are too many. One that talks before it
// listens may be reset before it has heard that, as with Redis.
func beTurnedAway(addr string, talks bool) error {
	nc, err := net.DialTimeout("tcp", addr, harness.Patience)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(harness.Patience))
	if talks {
		_, _ = io.WriteString(nc, harness.Command("PING"))
	}
	answer, err := io.ReadAll(nc)
	const want = "-ERR max number of clients reached\r\n"
	if string(answer) == want && err == nil || talks && errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("one too many was answered %q and not %q; the end: %w", answer, want, cmp.Or(err, io.EOF))
}

// leavings are the ways to connect and close: the bytes that are sent before, the answer that is
// awaited, and whether the end is a reset. One that closes with answers unread resets as well.
var leavings = []struct {
	name, say, want string
	reset           bool
}{
	{name: "at once"},
	{name: "at once, with a reset", reset: true},
	{name: "with answers unread", say: "PING\r\nPING\r\nPING\r\n" + harness.Command("COMMAND", "DOCS", "rl.check")},
	{name: "with answers unread and a reset", say: "KEYS *\r\nPING\r\n", reset: true},
	{name: "in the middle of a command", say: "*3\r\n$4\r\nECHO\r\n$10\r\nhalf"},
	{name: "in the middle of a command, with a reset", say: "*5\r\n$8\r\nRL.CHE", reset: true},
	{name: "after an answer", say: "PING\r\n", want: "+PONG\r\n"},
	{name: "after an answer, with a reset", say: harness.Command("RL.PEEK", "leaver", "token_bucket", "10", "60"), want: "*6\r\n:1\r\n:10\r\n:10\r\n:0\r\n:0\r\n:0\r\n", reset: true},
	{name: "with QUIT", say: harness.Command("QUIT"), want: "+OK\r\n"},
	{name: "as a monitor", say: harness.Command("MONITOR"), want: "+OK\r\n", reset: true},
}

// connectAndLeave has visitors come and go in every way. Nothing is left of them.
func connectAndLeave(s *siege) {
	visits := size(2000, 100_000)
	var leaving sync.WaitGroup
	began := time.Now()
	for w := range floodWorkers {
		leaving.Go(func() {
			// An end without a reset keeps its port for a minute, and an address has some ten
			// thousands of them. So every worker has addresses of its own.
			for i := range visits / floodWorkers {
				source := net.IPv4(127, 0, byte(w+1), byte(i%8+1))
				if err := visitAndLeave(s.p.Addr(), source, i%len(leavings)); err != nil {
					s.errorf("visit %d, which leaves %s: %v", i, leavings[i%len(leavings)].name, err)
					return
				}
			}
		})
	}
	leaving.Wait()
	s.note("%d visits, %.0f/s", visits, float64(visits)/time.Since(began).Seconds())
	s.waitClients(0, 5*time.Second)
	if got := s.counted("total_connections_received"); got < int64(visits) {
		s.errorf("INFO counts %d connections; there were %d visits", got, visits)
	}
}

func visitAndLeave(addr string, source net.IP, manner int) error {
	way := leavings[manner]
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: source}, Timeout: 10 * time.Second}
	nc, err := dialer.Dial("tcp", addr)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		nc, err = net.DialTimeout("tcp", addr, dialer.Timeout) // a system where only 127.0.0.1 is this machine
	}
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(harness.Patience))
	if way.reset {
		_ = nc.(*net.TCPConn).SetLinger(0)
	}
	if _, err := io.WriteString(nc, way.say); err != nil {
		return err
	}
	got := make([]byte, len(way.want))
	n, err := io.ReadFull(nc, got)
	if err == nil && string(got) != way.want {
		err = errors.New("not " + strconv.Quote(way.want))
	}
	if err != nil {
		return fmt.Errorf("%q was answered %q: %w", way.say, got[:n], err)
	}
	return nil
}
