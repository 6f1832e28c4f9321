package harness

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

// AskPeriod is so long that no unit of a limit of hundreds comes back while a test runs, on
// however slow a machine.
const AskPeriod = "100d"

// A Node is a server with a directory of its own, which a test kills and starts again on the
// same port and directory.
type Node struct {
	T     testing.TB
	Dir   string
	Port  int
	Flags []string
	// through is what runs the server; empty is nothing.
	Through []string
	*Process
}

// NewNode makes a node that does not run yet. It is killed when the test ends.
func NewNode(t testing.TB, flags ...string) *Node {
	t.Helper()
	n := &Node{T: t, Dir: t.TempDir(), Port: FreePort(t), Flags: flags}
	t.Cleanup(func() {
		if n.Process != nil {
			n.Kill()
			n.mustBeSane()
		}
	})
	return n
}

// StartNode makes a node and starts it.
func StartNode(t testing.TB, flags ...string) *Node {
	t.Helper()
	n := NewNode(t, flags...)
	n.Start()
	return n
}

// Launch starts the node and waits for nothing. More flags count for more than its own.
func (n *Node) Launch(more ...string) {
	n.T.Helper()
	if n.Process != nil {
		n.mustBeSane()
	}
	words := slices.Concat(n.Through, []string{Binary(n.T), "serve", "--port", strconv.Itoa(n.Port), "--dir", n.Dir}, n.Flags, more)
	n.Process = launchProcess(n.T, words[0], words[1:]...)
}

// Start starts the node and waits until it answers PING.
func (n *Node) Start(more ...string) {
	n.T.Helper()
	n.Launch(more...)
	n.Await()
}

// Await waits until a node that was launched answers PING.
func (n *Node) Await() {
	n.T.Helper()
	for deadline := time.Now().Add(Patience); ; time.Sleep(5 * time.Millisecond) {
		if reply, err := n.Try("PING"); err == nil && (reply.Text == "PONG" || strings.HasPrefix(reply.Text, "NOAUTH")) {
			return
		}
		select {
		case <-n.Done:
			n.T.Fatalf("the node ended while starting: %v\n%s", n.Err, n.Log)
		default:
		}
		if time.Now().After(deadline) {
			n.T.Fatalf("the node does not answer after %v\n%s", Patience, n.Log)
		}
	}
}

// End stops the node by a signal and wants it to end well.
func (n *Node) End(signal os.Signal) {
	n.T.Helper()
	if err := n.Stop(signal); err != nil {
		n.T.Errorf("the node ended with %v\n%s", err, n.Log)
	}
}

// Try asks one question over a connection of its own.
func (n *Node) Try(words ...string) (Value, error) { return AskAt(n.Addr(), words...) }

// AskAt asks the server at an address one question.
func AskAt(addr string, words ...string) (Value, error) {
	nc, err := net.DialTimeout("tcp", addr, Patience)
	if err != nil {
		return Value{}, err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(Patience))
	if _, err := io.WriteString(nc, Command(words...)); err != nil {
		return Value{}, err
	}
	return ParseValue(bufio.NewReader(nc))
}

// Ask asks one question over a connection of its own, which must be answered.
func (n *Node) Ask(words ...string) Value {
	n.T.Helper()
	reply, err := n.Try(words...)
	if err != nil {
		n.T.Fatalf("%q on port %d: %v\n%s", words, n.Port, err, n.Log)
	}
	return reply
}

// MustSay asks and compares the reply's text.
func (n *Node) MustSay(want string, words ...string) {
	n.T.Helper()
	if got := n.Ask(words...); got.Text != want || got.Parts != nil {
		n.T.Errorf("%q on port %d: %c%q %v, want %q\n%s", words, n.Port, got.Kind, got.Text, got.Texts(), want, n.Log)
	}
}

// MustFail asks and wants an error that holds want.
func (n *Node) MustFail(want string, words ...string) {
	n.T.Helper()
	if got := n.Ask(words...); got.Kind != '-' || !strings.Contains(got.Text, want) {
		n.T.Errorf("%q on port %d: %c%q %v, want an error with %q", words, n.Port, got.Kind, got.Text, got.Texts(), want)
	}
}

// Field is a field of INFO; it is empty where no server answers.
func (n *Node) Field(name string) string {
	reply, err := n.Try("INFO", "everything")
	if err != nil {
		return ""
	}
	return InfoFields(reply.Text)[name]
}

// Count is a field of INFO that is a number, or −1.
func (n *Node) Count(name string) int64 {
	number, err := strconv.ParseInt(n.Field(name), 10, 64)
	if err != nil {
		return -1
	}
	return number
}

// Check takes cost units of a key and returns the six integers, or the error of the reply.
func (n *Node) Check(key, algorithm string, limit, cost int) ([]int64, error) {
	reply, err := n.Try("RL.CHECK", key, algorithm, strconv.Itoa(limit), AskPeriod, "COST", strconv.Itoa(cost))
	if err != nil {
		return nil, err
	}
	return reply.Integers()
}

// Remaining is how many units a key has left.
func (n *Node) Remaining(key, algorithm string, limit int) int64 {
	n.T.Helper()
	got, err := n.Ask("RL.PEEK", key, algorithm, strconv.Itoa(limit), AskPeriod).Integers()
	if err != nil {
		n.T.Fatalf("RL.PEEK %s on port %d: %v\n%s", key, n.Port, err, n.Log)
	}
	return got[2]
}

// AwaitField waits until a field of INFO has a value.
func (n *Node) AwaitField(name, want string) {
	n.T.Helper()
	n.AwaitThat(name+" is "+want, func() bool { return n.Field(name) == want })
}

// AwaitThat waits until a condition holds, and shows INFO and the log if it does not.
func (n *Node) AwaitThat(condition string, holds func() bool) {
	n.T.Helper()
	for began := time.Now(); !holds(); Pause() {
		if time.Since(began) > Patience {
			reply, _ := n.Try("INFO", "everything")
			n.T.Fatalf("port %d: not so after %v: %s\n%s\n%s", n.Port, Patience, condition, reply.Text, n.Log)
		}
	}
}

// A logManifest is what the manifest of an append-only file names.
type logManifest struct {
	Base       int
	increments []int
}

// ReadLogManifest reads it as docs/PERSISTENCE.md describes it.
func (n *Node) ReadLogManifest() (m logManifest) {
	n.T.Helper()
	text, err := os.ReadFile(filepath.Join(n.Dir, "appendonly.manifest"))
	if err != nil {
		return m // it is made when the first file is
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		number, _ := strconv.Atoi(words[1])
		switch words[0] {
		case "base":
			m.Base = number
		case "increment":
			m.increments = append(m.increments, number)
		}
	}
	return m
}

// Leftovers are the files of the append-only file that its manifest does not name, and
// whether a snapshot was half written: what a crash leaves.
func (n *Node) Leftovers() (names []string, snapshot bool) {
	n.T.Helper()
	m := n.ReadLogManifest()
	keep := []string{"appendonly.manifest", fmt.Sprintf("appendonly.%d.base", m.Base)}
	for _, number := range m.increments {
		keep = append(keep, fmt.Sprintf("appendonly.%d.incr", number))
	}
	entries, err := os.ReadDir(n.Dir)
	if err != nil {
		n.T.Fatal(err)
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

// LastIncrement is the path of the file that is appended to.
func (n *Node) LastIncrement() string {
	n.T.Helper()
	m := n.ReadLogManifest()
	if len(m.increments) == 0 {
		return ""
	}
	return filepath.Join(n.Dir, fmt.Sprintf("appendonly.%d.incr", slices.Max(m.increments)))
}

// LogBytes is how large the files of the append-only file are.
func (n *Node) LogBytes() (sum int64) {
	n.T.Helper()
	paths, _ := filepath.Glob(filepath.Join(n.Dir, "appendonly.*"))
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// Kill ends the node at once, by SIGKILL.
func (n *Node) Kill() { _ = n.Stop(syscall.SIGKILL) }

// AwaitSync waits until a replica has all that its primary has. Nothing may change
// meanwhile.
func AwaitSync(primary *Node, replicas ...*Node) {
	primary.T.Helper()
	for _, r := range replicas {
		r.AwaitThat("it has what the primary has", func() bool {
			// The primary is asked last: it may have drained its last changes just now.
			link, at, history := r.Field("master_link_status"), r.Field("slave_repl_offset"), r.Field("master_replid")
			return link == "up" && at == primary.Field("master_repl_offset") && history == primary.Field("master_replid")
		})
	}
}

// Drained has what was changed put into the stream, which AwaitSync compares.
func Drained(primary *Node) {
	primary.T.Helper()
	if got := primary.Ask("WAIT", "0", "1"); got.Kind != ':' {
		primary.T.Fatalf("WAIT answered %+v", got)
	}
}
