package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startMax is how long a child process may take to do what is waited for.
const startMax = 20 * time.Second

// A child is rlserver as a process of its own.
type child struct {
	*exec.Cmd
	address string           // the first that it listens on
	log     []map[string]any // lines up to “serving”
	rest    chan string      // what comes after, when it has ended
}

// startChild starts rlserver on a free port, with a log in JSON, and waits until it serves.
func startChild(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(binary, append([]string{"--port", "0"}, args...)...), rest: make(chan string, 1)}
	c.Env = env
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	lines := bufio.NewReader(stderr)
	for c.address == "" {
		line, err := lines.ReadBytes('\n')
		entry := map[string]any{}
		if err != nil || json.Unmarshal(line, &entry) != nil {
			t.Fatalf("not a line of JSON: %q, %v", line, err)
		}
		c.log = append(c.log, entry)
		if entry["msg"] == "serving" {
			c.address = entry["addresses"].([]any)[0].(string)
		}
	}
	go func() {
		rest, _ := io.ReadAll(lines)
		c.rest <- string(rest)
	}()
	return c
}

// wait is the exit code, and the log since the start.
func (c *child) wait(t *testing.T) (code int, log string) {
	t.Helper()
	select {
	case log = <-c.rest:
	case <-time.After(startMax):
		t.Fatal("the process does not end")
	}
	err := c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), log
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// stuckClient asks for much and reads nothing, so that the server cannot finish answering.
func (c *child) stuckClient(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	payload := strings.Repeat("x", 1<<19)
	echo := []byte(fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(payload), payload))
	// The server stops reading when it cannot write: the write that does not end is the sign.
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	for range 1000 {
		if _, err := conn.Write(echo); err != nil {
			return
		}
	}
	t.Fatal("500 MB of answers that nobody read, and the server still takes more")
}

func TestDrain(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		c := startChild(t, nil)
		idle, err := net.Dial("tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := idle.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, 7)
		if _, err := io.ReadFull(idle, reply); err != nil || string(reply) != "+PONG\r\n" {
			t.Fatalf("%q, %v", reply, err)
		}
		c.signal(t, s)
		if code, log := c.wait(t); code != 0 || !strings.Contains(log, `"msg":"stopped"`) {
			t.Errorf("%v: exit %d, log\n%s", s, code, log)
		}
		if _, err := idle.Read(reply); !errors.Is(err, io.EOF) {
			t.Errorf("%v: the connection ended with %v", s, err)
		}
		_ = idle.Close()
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	c := startChild(t, nil, "--shutdown-timeout", "3600")
	c.stuckClient(t)
	c.signal(t, syscall.SIGTERM)
	time.Sleep(4 * signalEchoMax)
	c.signal(t, syscall.SIGINT)
	if code, log := c.wait(t); code != 130 || !strings.Contains(log, "ended without draining") {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

// One Ctrl-C can come twice: from the terminal, and from a parent that passes it on.
func TestEchoOfASignal(t *testing.T) {
	c := startChild(t, nil)
	c.signal(t, syscall.SIGINT)
	_ = c.Process.Signal(syscall.SIGTERM) // it may have ended already
	if code, log := c.wait(t); code != 0 || !strings.Contains(log, `"msg":"stopped"`) {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

func TestDrainTimeout(t *testing.T) {
	c := startChild(t, nil, "--shutdown-timeout", "1")
	c.stuckClient(t)
	c.signal(t, syscall.SIGTERM)
	code, log := c.wait(t)
	if code != 1 || !strings.HasSuffix(log, "\nrlserver: server: connections were cut off: they did not end within shutdown-timeout\n") {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

func TestPortInUse(t *testing.T) {
	port := startServer(t, "")
	got := call(nil, "serve", "--port", port, "--log-level", "error")
	got.expect(t, 1, "", "rlserver: cannot listen on 127.0.0.1:"+port+
		": the address is in use, perhaps by another rlserver; choose another port with --port\n")
}

// The log of a start says where each setting came from, but not the password, and warns of
// what is dangerous.
func TestStartLog(t *testing.T) {
	file := writeFile(t, "maxclients: 77\nport: 1\n")
	c := startChild(t, []string{"RLSERVER_REQUIREPASS=hush-hush", "RLSERVER_PROT=1"}, "--config", file)
	text := fmt.Sprint(c.log)
	for _, want := range []string{
		"did_you_mean:RLSERVER_PORT",
		"from:RLSERVER_REQUIREPASS level:INFO msg:setting name:requirepass time:",
		"value:(not shown)",
		"from:" + file + ":1 level:INFO msg:setting name:maxclients",
		"from:--port level:INFO msg:setting name:port",
		"version:v1.2.3-test",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the log:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hush") {
		t.Errorf("the password is in the log:\n%s", text)
	}
	c.signal(t, syscall.SIGTERM)
	_, _ = c.wait(t)
}

func TestOpenServerWarning(t *testing.T) {
	const warning = "anybody who can reach this port"
	for _, c := range []struct {
		args string
		want bool
	}{
		{"--protected-mode no --bind 0.0.0.0", true},
		{"--protected-mode no --bind 127.0.0.1", false},
		{"--protected-mode yes --bind 0.0.0.0", false},
		{"--protected-mode no --bind 0.0.0.0 --requirepass x", false},
	} {
		server := startChild(t, nil, strings.Fields(c.args)...)
		if text := fmt.Sprint(server.log); strings.Contains(text, warning) != c.want {
			t.Errorf("%s: warning %t, want %t:\n%s", c.args, !c.want, c.want, text)
		}
		server.signal(t, syscall.SIGTERM)
		_, _ = server.wait(t)
	}
}

func TestLogFormat(t *testing.T) {
	for format, json := range map[string]bool{"auto": true, "json": true, "text": false} { // a buffer is no terminal
		var out bytes.Buffer
		newLogger(&out, format, nil).Info("hello", "n", 1)
		if strings.HasPrefix(out.String(), "{") != json || !strings.Contains(out.String(), "hello") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}
