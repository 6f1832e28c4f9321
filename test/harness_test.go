package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness/race"
)

// repository is the folder of go.mod, seen from this package's tests.
const repository = ".."

// binary is the rlserver that TestMain built: with the race detector if the tests run
// with it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rlserver-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "rlserver")
	args := []string{"build", "-o", binary}
	if race.Enabled {
		args = append(args, "-race", "-tags", "invariants")
	}
	build := exec.Command("go", append(args, "./cmd/rlserver")...)
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build rlserver: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A process is a server that a test started.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	host string
	port int
	log  *lockedBuffer
	done chan struct{} // closed when it has ended
	err  error         // how it ended
}

// lockedBuffer gathers output while others read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServer starts rlserver with these flags on a free port, and stops it when the test
// ends. The test fails if it does not end well.
func startServer(t testing.TB, flags ...string) *process {
	t.Helper()
	p := startProcess(t, binary, append([]string{"serve", "--port", strconv.Itoa(freePort(t))}, flags...)...)
	t.Cleanup(func() {
		if err := p.stop(syscall.SIGTERM); err != nil {
			t.Errorf("rlserver ended with %v\n%s", err, p.log)
		}
		if text := p.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
			t.Errorf("rlserver's log:\n%s", text)
		}
	})
	return p
}

// startRedis starts a real redis-server on a free port, in memory only.
func startRedis(t testing.TB, flags ...string) *process {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is missing; test/setup installs it")
	}
	args := append([]string{"--port", strconv.Itoa(freePort(t)), "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, flags...)
	p := startProcess(t, path, args...)
	t.Cleanup(func() { _ = p.stop(syscall.SIGKILL) })
	return p
}

// startProcess starts a server whose arguments hold "--port N", and waits until it answers.
func startProcess(t testing.TB, path string, args ...string) *process {
	t.Helper()
	p := launchProcess(t, path, args...)
	deadline := time.Now().Add(20 * time.Second)
	for {
		nc, err := net.Dial("tcp", p.addr())
		if err == nil {
			_ = nc.Close()
			return p
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended while starting: %v\n%s", filepath.Base(path), p.err, p.log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.stop(syscall.SIGKILL)
			t.Fatalf("%s does not listen on %s\n%s", filepath.Base(path), p.addr(), p.log)
		}
	}
}

// launchProcess starts a server whose arguments hold "--port N", and waits for nothing.
func launchProcess(t testing.TB, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), host: "127.0.0.1", log: &lockedBuffer{}, done: make(chan struct{})}
	for i, arg := range args[:len(args)-1] {
		if arg == "--port" {
			p.port, _ = strconv.Atoi(args[i+1])
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Dir = t.TempDir()
	// Without this a program with the race detector sleeps for a second when it exits.
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// stop sends a signal, unless the process has ended, and waits for the end.
func (p *process) stop(signal os.Signal) error {
	select {
	case <-p.done:
		return p.err
	default:
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("it had to be killed")
	}
}

func (p *process) addr() string { return net.JoinHostPort(p.host, strconv.Itoa(p.port)) }

// Ports are taken from below those that the system gives to connections: with thousands of
// connections at a time one of those would be taken between being found free and being
// listened on.
const (
	portMin = 20000
	portMax = 32000
)

// nextPort differs from one run of the tests to another that goes on meanwhile.
var nextPort atomic.Int64

func init() { nextPort.Store(int64(os.Getpid()) * 200) }

// freePort finds a port that nobody listens on, another one each time, for a process that will.
// Who listens in this process takes listenFree: a child that is being started has all that is
// open until it is another program, so for a moment the port may not be free yet.
func freePort(t testing.TB) int {
	t.Helper()
	l, port := listenFree(t)
	_ = l.Close()
	return port
}

// listenFree listens on a port that nobody listens on, another one each time.
func listenFree(t testing.TB) (l net.Listener, port int) {
	t.Helper()
	for range portMax - portMin {
		port := portMin + int(nextPort.Add(1)%(portMax-portMin))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return l, port
		}
	}
	t.Fatal("no port is free")
	return nil, 0
}

// client is a go-redis client of the server, closed when the test ends.
func (p *process) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: p.addr(), MaxRetries: -1})
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// integers sends a command that must reply integers.
func integers(t testing.TB, c *redis.Client, args ...any) []int64 {
	t.Helper()
	got, err := c.Do(context.Background(), args...).Int64Slice()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return got
}

// redisCLI runs redis-cli against the server and returns what it prints.
func (p *process) redisCLI(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(p.port)}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// A rawConn speaks bytes.
type rawConn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (p *process) dial() *rawConn {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.addr())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &rawConn{p.t, nc, bufio.NewReader(nc)}
}

func (c *rawConn) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("sending %.60q: %v", text, err)
	}
}

// reply reads one whole reply, as bytes.
func (c *rawConn) reply() string {
	c.t.Helper()
	text, err := readReply(c.r)
	if err != nil {
		c.t.Fatalf("reading a reply: %v (so far %q)", err, text)
	}
	return text
}

// readReply reads one reply of RESP2 or RESP3, aggregates with all that they hold.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil || len(line) < 3 {
		return line, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	parts := 0
	switch line[0] {
	case '$', '=', '!':
		if n < 0 {
			return line, nil
		}
		body := make([]byte, n+2)
		_, err := io.ReadFull(r, body)
		return line + string(body), err
	case '*', '~', '>':
		parts = n
	case '%':
		parts = 2 * n
	}
	var all strings.Builder
	all.WriteString(line)
	for range parts {
		part, err := readReply(r)
		all.WriteString(part)
		if err != nil {
			return all.String(), err
		}
	}
	return all.String(), nil
}

// command writes words as a command on the wire.
func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

// waitALittle is the pause between two looks at something that takes a while.
func waitALittle() { time.Sleep(50 * time.Millisecond) }
