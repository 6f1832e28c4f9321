package test

import (
	"bufio"
	"net"
	"syscall"
	"testing"
	"time"
)

// idleRest is how long connections rest before what they keep is measured: servers give
// back what an idle connection's last command needed within a few seconds, if they do.
const idleRest = 5 * time.Second

// printIdle measures what a connection takes of a server's memory that has asked one PING
// and then says nothing. The kernel's own memory for a connection is not in it.
func printIdle(t *testing.T) {
	t.Helper()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	rows := newTable("idle connections, each after one PING", "", "connections", "bytes of RSS each, at once", "after 5 s")
	for _, c := range []*contestant{rlPing, redisPing} {
		var atOnce, later []float64
		for range rounds {
			first, second := c.idle(t, manyConnections)
			atOnce, later = append(atOnce, first), append(later, second)
		}
		rows.add("%s|%d|%.0f|%.0f", c.name, manyConnections, median(atOnce), median(later))
	}
	rows.print(t.Output())
}

// idle opens connections and returns what each takes, in bytes: at once and after a rest.
func (c *contestant) idle(t *testing.T, connections int) (atOnce, later float64) {
	t.Helper()
	p := c.launch(t)
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			_ = nc.Close()
		}
		_ = p.stop(syscall.SIGTERM)
	}()
	// The first ones bring in code and tables that serve all.
	const earlier = 10
	connect := func() {
		nc, err := net.Dial("tcp", p.addr())
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
	pid := p.cmd.Process.Pid
	before := residentNow(t, pid)
	for range connections {
		connect()
	}
	growth := func() float64 { return float64(residentNow(t, pid)-before) / float64(connections) }
	atOnce = growth()
	time.Sleep(idleRest)
	return atOnce, growth()
}

// askPing asks once and waits for the answer.
func askPing(nc net.Conn) error {
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Write([]byte(command("PING"))); err != nil {
		return err
	}
	_, err := readReply(bufio.NewReaderSize(nc, 16))
	return err
}
