package attack

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rlserver/rlserver/test/harness"
)

// fewDescriptors is how many a starved server may have open.
const fewDescriptors = 64

// startWithFewDescriptors starts rlserver, and takes descriptors away from it: had it known, it would
// have lowered maxclients.
func startWithFewDescriptors(t testing.TB) *harness.Process {
	t.Helper()
	p := harness.StartServer(t, strings.Fields(*attackFlags)...)
	few := unix.Rlimit{Cur: fewDescriptors, Max: fewDescriptors}
	if err := unix.Prlimit(p.Cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	// starvedShareMax of a core is what a server may use up, besides what it used before, while
	// it refuses connections.
	starvedShareMax = 0.25
	// starvedLinesMax is how many lines a second its log may gain meanwhile.
	starvedLinesMax = 4
)

// exhaustDescriptors makes more connections than the server has descriptors for. Those that were
// accepted are served. The others are told so, and none waits. That costs next to nothing. When
// connections have closed, new ones are served again.
func exhaustDescriptors(s *siege) {
	n, starving := size(100, 300), span(time.Second, 10*time.Second)
	usualShare := s.share(500 * time.Millisecond)
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dial()
		_, _ = io.WriteString(conns[i], harness.Command("PING")) // it may be closed already
	}
	began := time.Now()
	served, refused := sortByFate(s, conns)
	share := s.share(starving)
	if len(served) < fewDescriptors/4 || refused < n/4 {
		s.errorf("%d are served and %d refused, of %d descriptors: this proves nothing", len(served), refused, fewDescriptors)
	}
	if share > usualShare+starvedShareMax && harness.TimesMatter {
		s.errorf("out of descriptors it uses %.2f of a core; before it used %.2f", share, usualShare)
	}
	lines := strings.Count(s.p.Log.String(), syscall.EMFILE.Error())
	if most := 10 + int(starvedLinesMax*(time.Since(began)+time.Second).Seconds()); lines == 0 || lines > most {
		s.errorf("%d lines of the log say that it is out of descriptors; want 1 to %d", lines, most)
	}
	s.note("%d served, %d refused; %.2f of a core, before %.2f; %d lines of log", len(served), refused, share, usualShare, lines)
	closeAll(conns)
	s.waitClients(0, 5*time.Second)
	for range 10 {
		c := s.dial()
		s.ping(c, "a new connection")
		_ = c.Close()
	}
}

// share is how much of a core the server uses, measured for so long.
func (s *siege) share(lasting time.Duration) float64 {
	pid := s.p.Cmd.Process.Pid
	used, began := processorTime(pid), time.Now()
	time.Sleep(lasting)
	return (processorTime(pid) - used).Seconds() / time.Since(began).Seconds()
}

// sortByFate reads the answer on each connection: a pong, or that it is refused, and then its end.
func sortByFate(s *siege, conns []*harness.Conn) (served []*harness.Conn, refused int) {
	s.t.Helper()
	replies := make([]string, len(conns))
	parallel(conns, func(i int, c *harness.Conn) {
		_ = c.SetReadDeadline(time.Now().Add(harness.Patience))
		var err error
		if replies[i], err = harness.ReadReply(c.Reader); err != nil {
			s.errorf("connection %d was not answered: %v", i, err)
		}
	})
	for i, reply := range replies {
		switch reply {
		case "+PONG\r\n":
			served = append(served, conns[i])
		case "-ERR max number of clients reached\r\n":
			refused++
			conns[i].MustBeClosed()
		default:
			s.errorf("connection %d was answered %q", i, reply)
		}
	}
	return served, refused
}
