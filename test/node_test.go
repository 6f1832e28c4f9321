package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A node is a server with a directory of its own, which a test kills and starts again on the
// same port and directory.
type node struct {
	t     testing.TB
	dir   string
	port  int
	flags []string
	// through is what runs the server; empty is nothing.
	through []string
	*process
}

// startTimeMax is the longest that a node may load what is on its disk.
const startTimeMax = 60 * time.Second

// newNode makes a node that does not run yet. It is killed when the test ends.
func newNode(t testing.TB, flags ...string) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), port: freePort(t), flags: flags}
	t.Cleanup(func() {
		if n.process != nil {
			n.kill()
			n.mustBeSane()
		}
	})
	return n
}

// startNode makes a node and starts it.
func startNode(t testing.TB, flags ...string) *node {
	t.Helper()
	n := newNode(t, flags...)
	n.start()
	return n
}

// launch starts the node and waits for nothing. More flags count for more than its own.
func (n *node) launch(more ...string) {
	n.t.Helper()
	if n.process != nil {
		n.mustBeSane()
	}
	words := slices.Concat(n.through, []string{binary, "serve", "--port", strconv.Itoa(n.port), "--dir", n.dir}, n.flags, more)
	n.process = launchProcess(n.t, words[0], words[1:]...)
}

// start starts the node and waits until it answers PING.
func (n *node) start(more ...string) {
	n.t.Helper()
	n.launch(more...)
	n.await()
}

// await waits until a node that was launched answers PING.
func (n *node) await() {
	n.t.Helper()
	for deadline := time.Now().Add(startTimeMax); ; time.Sleep(5 * time.Millisecond) {
		if reply, err := n.try("PING"); err == nil && (reply.text == "PONG" || strings.HasPrefix(reply.text, "NOAUTH")) {
			return
		}
		select {
		case <-n.done:
			n.t.Fatalf("the node ended while starting: %v\n%s", n.err, n.log)
		default:
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("the node does not answer after %v\n%s", startTimeMax, n.log)
		}
	}
}

// mustBeSane looks for what a server's log must never hold.
func (n *node) mustBeSane() {
	n.t.Helper()
	if text := n.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
		n.t.Fatalf("the log of the node on port %d:\n%s", n.port, text)
	}
}

// end stops the node by a signal and wants it to end well.
func (n *node) end(signal os.Signal) {
	n.t.Helper()
	if err := n.stop(signal); err != nil {
		n.t.Errorf("the node ended with %v\n%s", err, n.log)
	}
}

// askTimeMax bounds one question to a node.
const askTimeMax = 20 * time.Second

// try asks one question over a connection of its own.
func (n *node) try(words ...string) (value, error) { return askAt(n.addr(), words...) }

// askAt asks one question of whoever listens there.
func askAt(addr string, words ...string) (value, error) {
	nc, err := net.DialTimeout("tcp", addr, askTimeMax)
	if err != nil {
		return value{}, err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(askTimeMax))
	if _, err := io.WriteString(nc, command(words...)); err != nil {
		return value{}, err
	}
	return parseValue(bufio.NewReader(nc))
}

// ask asks one question over a connection of its own, which must be answered.
func (n *node) ask(words ...string) value {
	n.t.Helper()
	reply, err := n.try(words...)
	if err != nil {
		n.t.Fatalf("%q on port %d: %v\n%s", words, n.port, err, n.log)
	}
	return reply
}

// mustSay asks and compares the reply's text.
func (n *node) mustSay(want string, words ...string) {
	n.t.Helper()
	if got := n.ask(words...); got.text != want || got.parts != nil {
		n.t.Errorf("%q on port %d: %c%q %v, want %q\n%s", words, n.port, got.kind, got.text, got.texts(), want, n.log)
	}
}

// mustFail asks and wants an error that holds want.
func (n *node) mustFail(want string, words ...string) {
	n.t.Helper()
	if got := n.ask(words...); got.kind != '-' || !strings.Contains(got.text, want) {
		n.t.Errorf("%q on port %d: %c%q %v, want an error with %q", words, n.port, got.kind, got.text, got.texts(), want)
	}
}

// field is a field of INFO; it is empty where nobody answers.
func (n *node) field(name string) string {
	reply, err := n.try("INFO", "everything")
	if err != nil {
		return ""
	}
	return infoFields(reply.text)[name]
}

// count is a field of INFO that is a number, or −1.
func (n *node) count(name string) int64 {
	number, err := strconv.ParseInt(n.field(name), 10, 64)
	if err != nil {
		return -1
	}
	return number
}

// check takes cost units of a key and returns the six integers, or the error of the reply.
func (n *node) check(key, algorithm string, limit, cost int) ([]int64, error) {
	reply, err := n.try("RL.CHECK", key, algorithm, strconv.Itoa(limit), askPeriod, "COST", strconv.Itoa(cost))
	if err != nil {
		return nil, err
	}
	return reply.integers()
}

// remaining is how many units a key has left.
func (n *node) remaining(key, algorithm string, limit int) int64 {
	n.t.Helper()
	got, err := n.ask("RL.PEEK", key, algorithm, strconv.Itoa(limit), askPeriod).integers()
	if err != nil {
		n.t.Fatalf("RL.PEEK %s on port %d: %v\n%s", key, n.port, err, n.log)
	}
	return got[2]
}

// integers are the parts of a reply that consists of integers.
func (v value) integers() ([]int64, error) {
	if v.kind != '*' {
		return nil, fmt.Errorf("answered %c%s", v.kind, v.text)
	}
	var list []int64
	for _, part := range v.parts {
		n, err := strconv.ParseInt(part.text, 10, 64)
		if err != nil || part.kind != ':' {
			return nil, fmt.Errorf("answered %q, which has a part that is no integer", v.texts())
		}
		list = append(list, n)
	}
	return list, nil
}

// awaitField waits until a field of INFO has a value.
func (n *node) awaitField(name, want string, atMost time.Duration) {
	n.t.Helper()
	n.awaitThat(name+" is "+want, atMost, func() bool { return n.field(name) == want })
}

func (n *node) awaitThat(what string, atMost time.Duration, holds func() bool) {
	n.t.Helper()
	for began := time.Now(); !holds(); pause() {
		if time.Since(began) > atMost {
			reply, _ := n.try("INFO", "everything")
			n.t.Fatalf("port %d: not so after %v: %s\n%s\n%s", n.port, atMost, what, reply.text, n.log)
		}
	}
}

// A logManifest is what the manifest of an append-only file names.
type logManifest struct {
	base       int
	increments []int
}

// readLogManifest reads it as docs/PERSISTENCE.md describes it.
func (n *node) readLogManifest() (m logManifest) {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, "appendonly.manifest"))
	if err != nil {
		return m // it is made when the first file is
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		number, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "base":
			m.base = number
		case "increment":
			m.increments = append(m.increments, number)
		}
	}
	return m
}

// leftovers are the files of the append-only file that its manifest does not name, and
// whether a snapshot was half written: what a crash leaves.
func (n *node) leftovers() (names []string, snapshot bool) {
	n.t.Helper()
	m := n.readLogManifest()
	keep := []string{"appendonly.manifest", fmt.Sprintf("appendonly.%d.base", m.base)}
	for _, number := range m.increments {
		keep = append(keep, fmt.Sprintf("appendonly.%d.incr", number))
	}
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "dump.rls."):
			snapshot = true
		case strings.HasPrefix(name, "appendonly.") && !slices.Contains(keep, name):
			names = append(names, name)
		}
	}
	return names, snapshot
}

// lastIncrement is the path of the file that is appended to.
func (n *node) lastIncrement() string {
	n.t.Helper()
	m := n.readLogManifest()
	if len(m.increments) == 0 {
		return ""
	}
	return filepath.Join(n.dir, fmt.Sprintf("appendonly.%d.incr", slices.Max(m.increments)))
}

// kill ends the node at once, without a word to anybody.
func (n *node) kill() { _ = n.stop(syscall.SIGKILL) }
