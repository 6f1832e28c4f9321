package operator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// One key for all: each reply tells by its remaining units which unit of all it took. A
// unit comes back every five minutes, which is longer than a test.
const (
	drainBurst    = 10_000_000
	drainQuestion = "RL.CHECK k token_bucket 101000 366d BURST 10000000"
	drainBatch    = 20 // checks sent at once
	drainAhead    = 4  // batches sent before the answers to the first are read
)

// A pipeliner sends batches of checks until its connection ends.
type pipeliner struct {
	conn  *net.TCPConn
	sent  int   // whole commands handed to the system
	taken []int // which unit each reply took, in order
	torn  string
	err   error // how reading ended
}

// run counts replies in total while it works.
func (p *pipeliner) run(total *atomic.Int64) {
	batch := strings.Repeat(harness.Command(strings.Fields(drainQuestion)...), drainBatch)
	tickets := make(chan struct{}, drainAhead)
	ended := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case tickets <- struct{}{}:
			case <-ended:
				return
			}
			p.sent += drainBatch // perhaps more than arrive, never less
			if _, err := io.WriteString(p.conn, batch); err != nil {
				return
			}
		}
	})
	r := bufio.NewReader(p.conn)
	for {
		reply, err := harness.ReadReply(r)
		if err != nil {
			p.torn, p.err = reply, err
			break
		}
		fields := strings.Split(reply, "\r\n")
		if len(fields) != 8 || fields[1] != ":1" {
			p.torn, p.err = reply, errors.New("not an admission")
			break
		}
		remaining, _ := strconv.Atoi(fields[3][1:])
		p.taken = append(p.taken, drainBurst-remaining)
		total.Add(1)
		if len(p.taken)%drainBatch == 0 {
			<-tickets
		}
	}
	close(ended)
	writing.Wait()
	_ = p.conn.Close()
}

// accepted is a connection that the server has let in. One that still waits to be let in
// when the server ends is reset by the system, whatever the server does.
func accepted(p *harness.Process) *harness.Conn {
	p.T.Helper()
	c := p.Dial()
	c.MustSay("PONG", "PING")
	return c
}

// A server that is told to end while 50 connections pipeline checks ends well: each
// connection gets whole answers and then EOF, and no unit is lost or given twice.
func TestShutdownUnderLoad(t *testing.T) {
	const connections, repliesBefore = 50, 20_000
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			p := harness.StartServer(t)
			idle, half := accepted(p), accepted(p)
			half.Send("*2\r\n$4\r\nECHO\r\n$10\r\nhalf")
			monitor := accepted(p)
			monitor.Send(harness.Command("MONITOR") + harness.Command("RESET"))
			if got := monitor.Reply() + monitor.Reply(); got != "+OK\r\n+RESET\r\n" {
				t.Fatalf("MONITOR and RESET were answered %q", got)
			}
			var all []*pipeliner
			var total atomic.Int64
			var working sync.WaitGroup
			for range connections {
				one := &pipeliner{conn: accepted(p).Conn.(*net.TCPConn)}
				all = append(all, one)
				working.Go(func() { one.run(&total) })
			}
			harness.Eventually(t, "the load", func() bool { return total.Load() >= repliesBefore })
			signalled := time.Now()
			if err := p.Cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			refusesConnections(t, p, signalled)
			working.Wait()
			for name, c := range map[string]*harness.Conn{"an idle connection": idle, "half a command": half, "a former monitor": monitor} {
				if rest, err := io.ReadAll(c.Reader); err != nil || len(rest) > 0 {
					t.Errorf("%s ended with %q and %v; want EOF", name, rest, err)
				}
			}
			select {
			case <-p.Done:
			case <-time.After(harness.Patience):
				t.Fatalf("it still runs %v after the signal\n%s", time.Since(signalled), p.Log)
			}
			if p.Err != nil {
				t.Errorf("it ended with %v\n%s", p.Err, p.Log)
			}
			accountsForUnits(t, all)
		})
	}
}

// refusesConnections waits until the server refuses new connections, which must be soon.
func refusesConnections(t *testing.T, p *harness.Process, signalled time.Time) {
	t.Helper()
	for {
		nc, err := net.DialTimeout("tcp", p.Addr(), time.Second)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = nc.Close()
		}
		if time.Since(signalled) > harness.Patience {
			t.Fatalf("%v after the signal connecting gives %v; want %v", time.Since(signalled), err, syscall.ECONNREFUSED)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// accountsForUnits: every connection ended at the end of a whole reply, its units in
// ascending order; none was given twice; and the units without a reply are no more than
// the checks that were not answered.
func accountsForUnits(t *testing.T, all []*pipeliner) {
	t.Helper()
	var units []int
	sent := 0
	for i, one := range all {
		if !errors.Is(one.err, io.EOF) || one.torn != "" {
			t.Errorf("connection %d ended after %d replies with %v and the torn reply %q", i, len(one.taken), one.err, one.torn)
		}
		if !slices.IsSorted(one.taken) {
			t.Errorf("connection %d was answered out of order", i)
		}
		if len(one.taken) > one.sent {
			t.Errorf("connection %d got %d replies to %d checks", i, len(one.taken), one.sent)
		}
		units = append(units, one.taken...)
		sent += one.sent
	}
	slices.Sort(units)
	answered := len(units)
	if len(slices.Compact(slices.Clone(units))) != answered {
		t.Error("a unit was given twice")
	}
	admitted, unanswered := units[answered-1], sent-answered
	t.Logf("%d checks sent, %d answered, %d units admitted for certain", sent, answered, admitted)
	if unheard := admitted - answered; unheard < 0 || unheard > unanswered {
		t.Errorf("%d units were admitted unheard of, but %d checks were not answered", unheard, unanswered)
	}
	if units[0] != 1 {
		t.Errorf("the first unit was not the first: %d", units[0])
	}
}

// stall sends so many questions, of a megabyte of answer each, in one packet, and reads
// nothing. Some ten of them fit into the system's buffers; then the server cannot write.
func stall(t *testing.T, p *harness.Process, questions int) *harness.Conn {
	t.Helper()
	control := p.Dial()
	for i := range 2000 {
		control.Send(harness.Command("RL.CHECK", fmt.Sprintf("%0500d", i), "token_bucket", "10", "366d"))
		control.Reply()
	}
	c := p.Dial()
	c.Send(strings.Repeat(harness.Command("KEYS", "*"), questions))
	harness.Eventually(t, "the connection that does not read", func() bool {
		control.Send(harness.Command("CLIENT", "LIST"))
		return strings.Contains(control.Reply(), "cmd=keys")
	})
	_ = control.Close()
	return c
}

// Commands that the server has read are answered, even when their answers could not go out
// before the signal: a peer that reads late still gets all of them, whole, and then EOF.
func TestShutdownAnswersLateReader(t *testing.T) {
	const questions = 20
	p := harness.StartServer(t)
	c := stall(t, p, questions)
	signalled := time.Now()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refusesConnections(t, p, signalled)
	time.Sleep(time.Until(signalled.Add(400 * time.Millisecond))) // longer than a peer that reads may need
	for i := range questions {
		if reply, err := harness.ReadReply(c.Reader); err != nil || !strings.HasPrefix(reply, "*2000\r\n") {
			t.Fatalf("reply %d of %d has %d bytes, begins with %.20q and ended with %v", i+1, questions, len(reply), reply, err)
		}
	}
	if rest, err := io.ReadAll(c.Reader); err != nil || len(rest) > 0 {
		t.Errorf("after the last reply came %.60q and %v; want EOF", rest, err)
	}
	select {
	case <-p.Done:
	case <-time.After(harness.Patience):
		t.Fatalf("it still runs %v after the signal\n%s", time.Since(signalled), p.Log)
	}
}

// A peer that does not read is cut off after shutdown-timeout, and the end says so.
func TestShutdownTimeout(t *testing.T) {
	p := harness.StartProcess(t, harness.Binary(t), "serve", "--port", strconv.Itoa(harness.FreePort(t)), "--shutdown-timeout", "1")
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL) })
	stall(t, p, 40)
	signalled := time.Now()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done:
	case <-time.After(harness.Patience):
		t.Fatalf("it still runs %v after the signal\n%s", time.Since(signalled), p.Log)
	}
	if took := time.Since(signalled); took < 900*time.Millisecond {
		t.Errorf("it ended after %v, before shutdown-timeout", took)
	}
	if p.Err == nil || !strings.Contains(p.Log.String(), "shutdown-timeout") {
		t.Errorf("it ended with %v and does not say that connections were cut off:\n%s", p.Err, p.Log)
	}
	if strings.Contains(p.Log.String(), "panic") || strings.Contains(p.Log.String(), "DATA RACE") {
		t.Errorf("log:\n%s", p.Log)
	}
}
