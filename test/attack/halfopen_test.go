package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

var halfOpenFlags = []string{"--timeout", "3", "--write-timeout", "3", "--output-buffer-limit", "1mb"}

// halfOpen has peers that are there and are not. Some say nothing any more, some vanish without a
// word to the network, some have a process that stands still, and some have said that they send no
// more. None of them stays for longer than its timeout.
func halfOpen(s *siege) {
	n := size(100, 1000)
	silent := beSilent(s, n)
	vanished := vanish(s, silent[:n/5])
	seesKeepAlive(s)
	stopped := startStopped(s, n/10)
	shutDown(s, n)
	s.waitClients(0, 3*time.Second+closingLag)
	for i, c := range silent[n/5:] {
		_ = c.SetReadDeadline(time.Now().Add(harness.Patience))
		if rest, err := io.ReadAll(c.Reader); err != nil || len(rest) > 0 {
			s.errorf("silent connection %d ended with %q and %v; want the end", i, rest, err)
		}
	}
	stopped.resume()
	closeAll(silent)
	s.note("%d silent, %d of them vanished, %d of a stopped process, %d half closed", n, vanished, n/10, n)
}

// beSilent makes connections that say something or nothing, or half of something, and then
// no more.
func beSilent(s *siege, n int) []*harness.Conn {
	s.t.Helper()
	conns := make([]*harness.Conn, n)
	for i := range conns {
		conns[i] = s.dial()
		if i%3 == 1 {
			conns[i].Send(harness.Command("PING") + "*2\r\n$4\r\nECHO\r\n$9\r\nhalf")
		}
	}
	for i := 1; i < n; i += 3 {
		if reply, err := harness.ReadReply(conns[i].Reader); err != nil || reply != "+PONG\r\n" {
			s.errorf("connection %d, before its silence, was answered %q and %v", i, reply, err)
		}
	}
	return conns
}

// vanish closes connections so that the server is told nothing, as when a machine loses its
// power: a socket in the mode for moving it to another machine ends without a packet. That
// needs privileges; without them the connections stay silent. It returns how many vanished.
func vanish(s *siege, conns []*harness.Conn) (vanished int) {
	s.t.Helper()
	const tcpRepair = 19
	for _, c := range conns {
		raw, err := c.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			s.t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpRepair, 1) })
		if err != nil {
			return vanished
		}
		_ = c.Close()
		vanished++
	}
	return vanished
}

// seesKeepAlive: every connection of the server has a timer for keepalive, which finds peers
// that vanished where no timeout is set. Linux tells it.
func seesKeepAlive(s *siege) {
	s.t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return
	}
	const established, keepAlive = "01", "02"
	server := fmt.Sprintf("0100007F:%04X", s.p.Port)
	alive, dead := 0, 0
	for line := range strings.Lines(string(table)) {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when …
		fields := strings.Fields(line)
		switch {
		case len(fields) < 6 || fields[1] != server || fields[3] != established:
		case strings.HasPrefix(fields[5], keepAlive+":"):
			alive++
		case strings.HasPrefix(fields[5], "00:"):
			dead++
		}
	}
	s.note("keepalive on %d of %d connections", alive, alive+dead)
	if dead > 0 || alive == 0 {
		s.errorf("%d connections have a timer for keepalive and %d have no timer", alive, dead)
	}
}

// shutDown makes connections that say that they send no more. They get their answers and the
// end, without any timeout; those that do not read get write-timeout.
func shutDown(s *siege, n int) {
	s.t.Helper()
	conns := make([]*harness.Conn, n)
	for i := range conns {
		if i%10 == 0 {
			conns[i] = s.dialNarrow(narrowBytes)
			conns[i].Send(strings.Repeat(harness.Command("ECHO", strings.Repeat("x", 400_000)), 2) + strings.Repeat(harness.Command("COMMAND", "DOCS"), 200))
		} else {
			conns[i] = s.dial()
			conns[i].Send("PING\r\nPING\r\n" + []string{"", "*1\r\n$4\r\nPI"}[i%2])
		}
		if err := conns[i].Conn.(*net.TCPConn).CloseWrite(); err != nil {
			s.errorf("connection %d: %v", i, err)
		}
	}
	for i, c := range conns {
		if i%10 == 0 {
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(harness.Patience))
		if answers, err := io.ReadAll(c.Reader); err != nil || string(answers) != "+PONG\r\n+PONG\r\n" {
			s.errorf("connection %d, which sends no more, was answered %q and %v", i, answers, err)
		}
	}
	s.t.Cleanup(func() { closeAll(conns) })
}

// stopped is a process of clients that stands still in the middle of its work.
type stopped struct {
	t      testing.TB
	goesOn func() error
	end    func()
}

// playReader is the process of clients that ask and read without a pause, until they are
// closed. It says when all of them have been answered once.
func playReader(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	question := harness.Command("ECHO", strings.Repeat("x", 50_000))
	var answered, working sync.WaitGroup
	answered.Add(n)
	for i := range n {
		nc, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		_ = nc.SetDeadline(time.Now().Add(attackMax))
		if i%2 == 0 {
			working.Go(func() {
				for err := error(nil); err == nil; {
					_, err = io.WriteString(nc, question)
				}
			})
		} else if _, err := io.WriteString(nc, question); err != nil { // and no more: it will be idle
			return err
		}
		working.Go(func() {
			r := bufio.NewReader(nc)
			_, _ = harness.ReadReply(r)
			answered.Done()
			_, _ = io.Copy(io.Discard, r)
		})
	}
	answered.Wait()
	fmt.Println("answered")
	working.Wait()
	return nil
}

// startStopped starts such clients, and stops their process.
func startStopped(s *siege, n int) *stopped {
	s.t.Helper()
	cmd := roleCommand("reader", s.p.Addr(), strconv.Itoa(n))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	one := &stopped{t: s.t, goesOn: func() error { return cmd.Process.Signal(syscall.SIGCONT) }}
	one.end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.t.Cleanup(one.end)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.t.Fatalf("the process to be stopped says %q and %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	return one
}

// resume lets the process go on, which finds its connections closed, and ends it.
func (one *stopped) resume() {
	if err := one.goesOn(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		one.t.Error(err)
	}
	one.end()
}
