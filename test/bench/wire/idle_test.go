package wire

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/bench"
	"github.com/rlserver/rlserver/test/harness"
)

// idleRest is how long connections rest before what they keep is measured: servers give
// back what an idle connection's last command needed within a few seconds, if they do.
const idleRest = 5 * time.Second

func rest() {
	if !testing.Short() {
		time.Sleep(idleRest)
	}
}

// printIdle measures what a connection takes of a server's memory that has asked one PING
// and then says nothing. The kernel's own memory for a connection is not in it.
func printIdle(t testing.TB, out io.Writer, connections int) {
	t.Helper()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	rows := bench.NewTable("idle connections, each after one PING", "", "connections", "memory of each, at once", "after 5 s")
	for _, server := range []struct {
		name  string
		start func(testing.TB, ...string) *harness.Process
	}{{"rlserver", harness.StartServer}, {"Redis", harness.StartRedis}} {
		var atOnce, later []float64
		for range rounds {
			first, second := idle(t, server.start(t), connections)
			atOnce, later = append(atOnce, first), append(later, second)
		}
		rows.Add("%s|%d|%.0f bytes|%.0f bytes", server.name, connections, bench.Median(atOnce), bench.Median(later))
	}
	rows.Print(out)
}

// idle opens connections and returns what each takes, in bytes: at once and after a rest.
func idle(t testing.TB, p *harness.Process, connections int) (atOnce, later float64) {
	t.Helper()
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			_ = nc.Close()
		}
		_ = p.Stop(syscall.SIGTERM)
	}()
	// The first ones bring in code and tables that serve all.
	const earlier = 10
	connect := func() {
		nc, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatalf("after %d connections: %v", len(open), err)
		}
		open = append(open, nc)
		if err := askPing(nc); err != nil {
			t.Fatalf("after %d connections: %v", len(open), err)
		}
	}
	for range earlier {
		connect()
	}
	pid := p.Cmd.Process.Pid
	before := harness.ResidentNow(t, pid)
	for range connections {
		connect()
	}
	growth := func() float64 { return float64(harness.ResidentNow(t, pid)-before) / float64(connections) }
	atOnce = growth()
	rest()
	return atOnce, growth()
}

// askPing asks once and waits for the answer.
func askPing(nc net.Conn) error {
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Write([]byte(harness.Command("PING"))); err != nil {
		return err
	}
	_, err := harness.ReadReply(bufio.NewReaderSize(nc, 16))
	return err
}
