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
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// startMax is how long a child process may take to end.
const startMax = 20 * time.Second

// A child is rlserver as a process of its own.
type child struct {
	*exec.Cmd
	address   string // the first that it listens on
	addresses []string
	log       *bytes.Buffer // lines of JSON, the last of which says “serving”
	lines     *bufio.Reader // the rest of the log
}

// startChild starts rlserver on a free port, with a log in JSON, and waits until it serves.
func startChild(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], append([]string{"--port", "auto"}, args...)...), log: new(bytes.Buffer)}
	c.Env = append(env, asProgram+"=yes", "GORACE=atexit_sleep_ms=0")
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	c.lines = bufio.NewReader(stderr)
	for c.address == "" {
		line, err := c.lines.ReadBytes('\n')
		var entry struct{ Addresses []string }
		if err != nil || json.Unmarshal(line, &entry) != nil {
			t.Fatalf("not a line of JSON: %q, %v", line, err)
		}
		c.log.Write(line)
		if len(entry.Addresses) > 0 {
			c.address, c.addresses = entry.Addresses[0], entry.Addresses
		}
	}
	return c
}

// end sends signals, with a pause between them, and returns the exit code and the log since the start.
func (c *child) end(t *testing.T, pause time.Duration, signals ...os.Signal) (code int, log string) {
	t.Helper()
	kill := time.AfterFunc(startMax, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	for i, s := range signals {
		time.Sleep(time.Duration(i) * pause)
		if err := c.Process.Signal(s); err != nil && i == 0 { // it may have ended at the first
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(c.lines)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // ExitCode tells
	return c.ProcessState.ExitCode(), string(rest)
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
		idle := harness.DialAddr(t, c.address)
		idle.MustSay("PONG", "PING")
		if code, log := c.end(t, 0, s); code != 0 || !strings.Contains(log, `"msg":"stopped"`) {
			t.Errorf("%v: exit %d, log\n%s", s, code, log)
		}
		if _, err := idle.Reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("%v: the connection ended with %v", s, err)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	c := startChild(t, nil, "--shutdown-timeout", "3600")
	c.stuckClient(t)
	if code, log := c.end(t, 4*signalEchoMax, syscall.SIGTERM, syscall.SIGINT); code != 130 || !strings.Contains(log, "ended without draining") {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

// One Ctrl-C can come twice: from the terminal, and from a parent that passes it on.
func TestEchoOfASignal(t *testing.T) {
	c := startChild(t, nil)
	if code, log := c.end(t, 0, syscall.SIGINT, syscall.SIGTERM); code != 0 || !strings.Contains(log, `"msg":"stopped"`) {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

func TestDrainTimeout(t *testing.T) {
	c := startChild(t, nil, "--shutdown-timeout", "1")
	c.stuckClient(t)
	code, log := c.end(t, 0, syscall.SIGTERM)
	if code != 1 || !strings.HasSuffix(log, "\nrlserver: server: connections were cut off: they did not end within shutdown-timeout\n") {
		t.Errorf("exit %d, log\n%s", code, log)
	}
}

func TestPortInUse(t *testing.T) {
	port := startServer(t, "")
	got := call(nil, "serve", "--port", port, "--log-level", "error")
	got.expect(t, 1, "", "rlserver: cannot listen on 127.0.0.1:"+port+
		": the address is in use, perhaps by another rlserver; choose another port with --port\n")
	cert, key := harness.NewAuthority(t).Sign(t, t.TempDir(), 2)
	got = call(nil, "serve", "--port", "auto", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--log-level", "error")
	got.expect(t, 1, "", "rlserver: cannot listen on 127.0.0.1:"+port+
		": the address is in use, perhaps by another rlserver; choose another port with --tls-port\n")
	got = call(nil, "serve", "--port", port, "--bind", "203.0.113.9", "--log-level", "error")
	got.expect(t, 1, "", "rlserver: cannot listen on 203.0.113.9:"+port+": this machine has no such address; choose another with --bind\n")
}

// The log of a start says where each setting came from, but not the password, and warns of
// dangers.
func TestStartLog(t *testing.T) {
	file := writeFile(t, "maxclients: 77\nport: 1\n")
	c := startChild(t, []string{"RLSERVER_REQUIREPASS=hush-hush", "RLSERVER_PROT=1"}, "--config", file)
	text := c.log.String()
	for _, want := range []string{
		`"did_you_mean":"RLSERVER_PORT"`,
		`"msg":"setting","name":"requirepass","value":"(not shown)","from":"RLSERVER_REQUIREPASS"`,
		`"msg":"setting","name":"maxclients","value":"77","from":"` + file + `:1"`,
		`"msg":"setting","name":"port","value":"auto","from":"--port"`,
		`"version":"v1.2.3-test"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the log:\n%s", want, text)
		}
	}
	if strings.Contains(text, "hush") {
		t.Errorf("the password is in the log:\n%s", text)
	}
}

// What was set in vain is told.
func TestSettingsWithoutEffect(t *testing.T) {
	const warning = `"a setting has no effect","name":"`
	for args, names := range map[string]string{
		"--redis-addr 127.0.0.1:1 --redis-tls no": "redis-addr redis-tls",
		"--tls-cert-file x --tls-auth-clients no": "tls-cert-file tls-auth-clients",
		"--tls-cert-file x --tls-replication no":  "",
		"--unixsocketperm 700":                    "unixsocketperm",
		"--backend memory --tls-ca-cert-file=":    "",
	} {
		text := startChild(t, nil, strings.Fields(args)...).log.String()
		for _, name := range strings.Fields(names) {
			if !strings.Contains(text, warning+name+`"`) {
				t.Errorf("%s: the log does not warn of %s\n%s", args, name, text)
			}
		}
		if n, want := strings.Count(text, warning), len(strings.Fields(names)); n != want {
			t.Errorf("%s: %d warnings, want %d\n%s", args, n, want, text)
		}
	}
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
		if text := startChild(t, nil, strings.Fields(c.args)...).log.String(); strings.Contains(text, warning) != c.want {
			t.Errorf("%s: warning %t, want %t:\n%s", c.args, !c.want, c.want, text)
		}
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

// 0 turns a port off, auto takes a free one, and CONFIG GET tells which.
func TestPorts(t *testing.T) {
	authority, path := harness.NewAuthority(t), filepath.Join(t.TempDir(), "rl.sock")
	cert, key := authority.Sign(t, t.TempDir(), 2)
	for _, ports := range []struct {
		port, tlsPort string
		listeners     int // besides the Unix socket
	}{{"0", "0", 0}, {"auto", "0", 1}, {"0", "auto", 1}, {"auto", "auto", 2}} {
		c := startChild(t, nil, "--port", ports.port, "--tls-port", ports.tlsPort, "--tls-cert-file", cert, "--tls-key-file", key, "--unixsocket", path)
		unix, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		client := harness.NewConn(t, unix)
		got := client.Ask("CONFIG", "GET", "port", "tls-port").Pairs()
		for name, asked := range map[string]string{"port": ports.port, "tls-port": ports.tlsPort} {
			if open := got[name].Text; (asked == "0") != (open == "0") || open == "auto" {
				t.Errorf("--port %s --tls-port %s: CONFIG GET %s is %s", ports.port, ports.tlsPort, name, open)
			}
		}
		if n := len(c.addresses) - 1; n != ports.listeners {
			t.Errorf("--port %s --tls-port %s: it listens on %v", ports.port, ports.tlsPort, c.addresses)
		}
		_ = unix.Close()
		c.end(t, 0, syscall.SIGTERM)
	}
	call(nil, "serve", "--port", "0", "--log-level", "error").expect(t, 1, "",
		"rlserver: there is nothing to listen on: port and tls-port are 0, and unixsocket is empty; set one of them\n")
}
