package attack

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// fewDescriptors is how many a starved server may have open.
const fewDescriptors = 64

// startWithFewDescriptors starts rlserver under a low bound on descriptors, which it cannot
// raise again.
func startWithFewDescriptors(t testing.TB) *harness.Process {
	t.Helper()
	script := `ulimit -n ` + strconv.Itoa(fewDescriptors) + ` && exec "$0" "$@"`
	return harness.StartServerBy(t, []string{"bash", "-c", script}, strings.Fields(*attackFlags)...)
}

const (
	// starvedShareMax of a core is what a server may use up, besides what it used before, while
	// it can accept no connection.
	starvedShareMax = 0.25
	// starvedLinesMax is how many lines a second its log may gain meanwhile.
	starvedLinesMax = 4
)

// exhaustDescriptors makes more connections than the server has descriptors for. Those that were
// accepted are served. The others wait until one of them closes, which costs next to nothing.
func exhaustDescriptors(s *siege) {
	n, starving := size(100, 300), span(1500*time.Millisecond, 10*time.Second)
	usualShare := s.share(500 * time.Millisecond)
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dial()
		conns[i].Send(harness.Command("PING"))
	}
	began := time.Now()
	share := s.share(starving)
	served, waiting, refused := sortByFate(s, conns)
	if len(served) < fewDescriptors/4 || len(waiting)+refused < n/4 {
		s.errorf("%d are served, %d wait and %d were closed, of %d descriptors: this proves nothing", len(served), len(waiting), refused, fewDescriptors)
	}
	if share > usualShare+starvedShareMax && harness.TimesMatter {
		s.errorf("out of descriptors it uses %.2f of a core; before it used %.2f", share, usualShare)
	}
	lines := strings.Count(s.p.Log.String(), syscall.EMFILE.Error())
	if most := 10 + int(starvedLinesMax*(time.Since(began)+time.Second).Seconds()); lines == 0 || lines > most {
		s.errorf("%d lines of the log say that it is out of descriptors; want 1 to %d", lines, most)
	}
	s.note("%d served, %d waited, %d closed; %.2f of a core, before %.2f; %d lines of log", len(served), len(waiting), refused, share, usualShare, lines)
	for progress := time.Now(); len(waiting) > 0; {
		closeAll(served)
		before := len(waiting)
		served, waiting, refused = sortByFate(s, waiting)
		if len(waiting) < before {
			progress = time.Now()
		} else if time.Since(progress) > harness.Patience {
			s.errorf("none of %d connections is served although others have been closed", before)
			break
		}
		if refused > 0 {
			s.errorf("%d that waited for their turn were closed when it came", refused)
		}
	}
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

// sortByFate waits for a pong on each connection: those that get it are served. A server that
// has slept until it tried again gets the time for that.
func sortByFate(s *siege, conns []*harness.Conn) (served, waiting []*harness.Conn, refused int) {
	s.t.Helper()
	fates := make([]error, len(conns))
	parallel(conns, func(i int, c *harness.Conn) {
		_ = c.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
		var reply string
		if reply, fates[i] = harness.ReadReply(c.Reader); fates[i] == nil && reply != "+PONG\r\n" {
			s.errorf("connection %d was answered %q", i, reply)
		}
	})
	for i, err := range fates {
		switch {
		case err == nil:
			served = append(served, conns[i])
		case errors.Is(err, os.ErrDeadlineExceeded):
			waiting = append(waiting, conns[i])
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
			refused++
		default:
			s.errorf("connection %d: %v", i, err)
		}
	}
	return served, waiting, refused
}
