package harness

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Process is a server that a test started.
type Process struct {
	T    testing.TB
	Cmd  *exec.Cmd
	Host string
	Port int
	Log  *LockedBuffer
	Done chan struct{} // closed when it has ended
	Err  error         // how it ended
}

// A LockedBuffer gathers output while a test reads it.
type LockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *LockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is the output so far.
func (l *LockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// StartServer starts rlserver with these flags on a free port, and stops it when the test
// ends. The test fails if it does not end well.
func StartServer(t testing.TB, flags ...string) *Process {
	t.Helper()
	return StartServerBy(t, nil, flags...)
}

// StartServerBy is StartServer where other words run the server, such as a shell with a limit.
func StartServerBy(t testing.TB, through []string, flags ...string) *Process {
	t.Helper()
	words := slices.Concat(through, []string{Binary(t), "serve", "--port", strconv.Itoa(FreePort(t))}, flags)
	p := StartProcess(t, words[0], words[1:]...)
	t.Cleanup(func() {
		if err := p.Stop(syscall.SIGTERM); err != nil {
			t.Errorf("rlserver ended with %v\n%s", err, p.Log)
		}
		p.mustBeSane()
	})
	return p
}

// mustBeSane looks for what a server's log must never hold.
func (p *Process) mustBeSane() {
	p.T.Helper()
	if text := p.Log.String(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
		p.T.Errorf("the log of the server on port %d:\n%s", p.Port, text)
	}
}

// StartRedis starts a real redis-server on a free port, in memory only.
func StartRedis(t testing.TB, flags ...string) *Process {
	t.Helper()
	args := append([]string{"--port", strconv.Itoa(FreePort(t)), "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, flags...)
	p := StartProcess(t, lookPath(t, "redis-server"), args...)
	t.Cleanup(func() { _ = p.Stop(syscall.SIGKILL) })
	return p
}

// lookPath is the path of a program that test/setup installs.
func lookPath(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing; test/setup installs it", program)
	}
	return path
}

// StartProcess starts a server whose arguments hold "--port N", or "--redis-port N", and waits until
// it answers.
func StartProcess(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	p := launchProcess(t, path, args...)
	deadline := time.Now().Add(Patience)
	for {
		nc, err := net.Dial("tcp", p.Addr())
		if err == nil {
			_ = nc.Close()
			return p
		}
		select {
		case <-p.Done:
			t.Fatalf("%s ended while starting: %v\n%s", filepath.Base(path), p.Err, p.Log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.Stop(syscall.SIGKILL)
			t.Fatalf("%s does not listen on %s\n%s", filepath.Base(path), p.Addr(), p.Log)
		}
	}
}

// launchProcess starts a server whose arguments hold "--port N", and waits for nothing.
func launchProcess(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	p := &Process{T: t, Cmd: exec.Command(path, args...), Host: "127.0.0.1", Log: &LockedBuffer{}, Done: make(chan struct{})}
	for i, arg := range args[:len(args)-1] {
		if arg == "--port" || arg == "--redis-port" {
			p.Port, _ = strconv.Atoi(args[i+1])
		}
	}
	p.Cmd.Stdout, p.Cmd.Stderr = p.Log, p.Log
	p.Cmd.Dir = t.TempDir()
	// Without this a program with the race detector sleeps for a second when it exits.
	p.Cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Err = p.Cmd.Wait()
		close(p.Done)
	}()
	return p
}

// Stop sends a signal, unless the process has ended, and waits for the end.
func (p *Process) Stop(signal os.Signal) error {
	select {
	case <-p.Done:
		return p.Err
	default:
	}
	if err := p.Cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.Done:
		return p.Err
	case <-time.After(Patience):
		_ = p.Cmd.Process.Kill()
		<-p.Done
		return errors.New("it had to be killed")
	}
}

// Addr is the address that the server listens on.
func (p *Process) Addr() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// Client is a go-redis client of the server, closed when the test ends.
func (p *Process) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, DialTimeout: Patience, ReadTimeout: Patience, WriteTimeout: Patience, PoolTimeout: Patience})
	p.T.Cleanup(func() { _ = c.Close() })
	return c
}
