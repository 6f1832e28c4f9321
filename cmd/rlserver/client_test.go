package main

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// startServer serves on a free port until the test ends, and returns the port.
func startServer(t *testing.T, password string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(startChild(t, nil, "--requirepass", password).address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestCheck(t *testing.T) {
	port := startServer(t, "")
	address := "127.0.0.1:" + port
	answers := "rlserver: " + address + " answers: "
	// In this order, on one server; the periods are so long that the test's own time does not
	// show, but where a wait is told to the millisecond (\d+).
	for _, c := range []struct {
		args   string
		code   int
		output string // a regular expression for stdout, or for stderr when the code is 2
	}{
		{"a token_bucket 100 60", 0, `allowed: 99 of 100 left, full again in 600ms`},
		{"a TOKEN_BUCKET 100 60s --peek", 0, `would be allowed: 99 of 100 left, full again in \d+ms`},
		{"b token_bucket 2 40d --cost 2", 0, `allowed: 0 of 2 left, full again in 40d0h`},
		{"b token_bucket 2 40d", 1, `denied: try again in 20d0h \(0 of 2 left\)`},
		{"b token_bucket 2 40d --peek", 1, `would be denied: try again in 20d0h \(0 of 2 left\)`},
		{"b token_bucket 2 40d --burst 1 --cost 2", 1, `denied: this can never pass, it costs more than the 1 that can be taken at once \(0 of 1 left\)`},
		{"c leaky_bucket 2 40d", 0, `allowed: 1 of 2 left, full again in 20d0h`},
		{"c leaky_bucket 2 40d", 0, `allowed: go ahead in 20d0h; 0 of 2 left, full again in 40d0h`},
		{"d sliding_window_log 1 90s --peek", 0, `would be allowed: 1 of 1 left, full now`},
		{"d sliding_window_log 1 90s", 0, `allowed: 0 of 1 left, full again in 1m30s`},
		{"d sliding_window_log 1 90s", 1, `denied: try again in 1m(30|29)s \(0 of 1 left\)`},
		{"-- -key token_bucket 1 1s", 0, `allowed: 0 of 1 left, full again in 1s`},

		{"b leaky_bucket 2 40d", 2, answers + `WRONGTYPE Operation against a key .*`},
		{"a elephant 1 1", 2, answers + `ERR algorithm "elephant" is not known: accepted is .*`},
		{"a token_bucket many 1", 2, answers + `ERR limit 'many' is not accepted: accepted is a whole number from 1 to 1000000000`},
		{"a token_bucket 1 1 --cost x", 2, answers + `ERR cost 'x' is not accepted: accepted is a whole number from 1 to 1000000000`},
		{"a sliding_window_log 1 1 --burst 1", 2, answers + `ERR option BURST is not accepted by sliding_window_log: .*`},
	} {
		got := call([]string{"RLSERVER_PORT=" + port}, append([]string{"check"}, strings.Fields(c.args)...)...)
		output, other := got.stdout, got.stderr
		if c.code == exitNoAnswer {
			output, other = other, output
		}
		if got.code != c.code || other != "" || !regexp.MustCompile("^"+c.output+"\n$").MatchString(output) {
			t.Errorf("check %s: %+v\nwant exit %d and %s", c.args, got, c.code, c.output)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	port := startServer(t, "")
	const start = `^{"key":"a \\"b\\"","algorithm":"token_bucket","allowed":`
	for cost, want := range []string{
		start + `true,"limit":1,"remaining":0,"retry_after_ms":0,"reset_after_ms":1000,"delay_ms":0}\n$`,
		start + `false,"limit":1,"remaining":0,"retry_after_ms":-1,"reset_after_ms":\d+,"delay_ms":0}\n$`,
	} {
		got := call(nil, "check", "a \"b\"", "token_bucket", "1", "1", "--cost", fmt.Sprint(cost+1), "--json", "--port", port)
		if got.code != cost || !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("got %+v, want exit %d and %s", got, cost, want)
		}
	}
}

func TestPing(t *testing.T) {
	port := startServer(t, "")
	call(nil, "ping", "--port", port).expect(t, 0, "PONG\n", "")
	// In a container, the environment or a file says all.
	call([]string{"RLSERVER_PORT=" + port, "RLSERVER_BIND=0.0.0.0"}, "ping").expect(t, 0, "PONG\n", "")
	file := writeFile(t, "port: "+port+"\n")
	call([]string{"RLSERVER_CONFIG=" + file}, "ping").expect(t, 0, "PONG\n", "")
	call(nil, "ping", "--config", file, "--host", "localhost").expect(t, 0, "PONG\n", "")
}

func TestPassword(t *testing.T) {
	port := startServer(t, "right")
	address := "127.0.0.1:" + port
	need := "rlserver: " + address + " answers: NOAUTH Authentication required. (give it with --password, REDISCLI_AUTH or RLSERVER_REQUIREPASS)\n"
	wrong := "rlserver: " + address + " answers: WRONGPASS invalid username-password pair or user is disabled.\n"
	check := []string{"check", "a", "token_bucket", "1", "1", "--port", port}
	ping := []string{"ping", "--port", port}

	call(nil, ping...).expect(t, 1, "", need)
	call(nil, check...).expect(t, 2, "", need)
	call(nil, append(ping, "--password", "wrong")...).expect(t, 1, "", wrong)
	call([]string{"RLSERVER_REQUIREPASS=wrong"}, check...).expect(t, 2, "", wrong)
	call([]string{"RLSERVER_REQUIREPASS=wrong"}, append(ping, "--password", "right")...).expect(t, 0, "PONG\n", "")
	call([]string{"RLSERVER_REQUIREPASS=right"}, ping...).expect(t, 0, "PONG\n", "")
	call([]string{"RLSERVER_REQUIREPASS=right"}, check...).expect(t, 0, "allowed: 0 of 1 left, full again in 1s\n", "")
	call(nil, append(ping, "--config", writeFile(t, "requirepass: right"))...).expect(t, 0, "PONG\n", "")
}

// The flags are redis-cli's. What they leave open comes from the URI, then from the configuration.
func TestClientFlags(t *testing.T) {
	authority, path := harness.NewAuthority(t), filepath.Join(t.TempDir(), "rl.sock")
	cert, key := authority.Sign(t, t.TempDir(), 2)
	c := startChild(t, []string{"RLSERVER_REQUIREPASS=right"}, "--tls-port", "auto", "--tls-cert-file", cert, "--tls-key-file", key, "--unixsocket", path)
	_, port, _ := net.SplitHostPort(c.addresses[0])
	_, tlsPort, _ := net.SplitHostPort(c.addresses[1])
	for _, ask := range []struct {
		env, args string
		stderr    string // a part; empty: it is answered
	}{
		{"", "-h 127.0.0.1 -p " + port + " -a right", ""},
		{"", "-h localhost -p " + port + " --pass right --user default -t 5", ""},
		{"", "-p " + port + " -a right --user bob", "WRONGPASS"},
		{"REDISCLI_AUTH=right", "-p " + port, ""},
		{"REDISCLI_AUTH=wrong", "-p " + port + " -a right", ""},
		{"RLSERVER_REQUIREPASS=right", "-p " + port, ""},
		{"REDISCLI_AUTH=right", "-s " + path, ""},
		{"REDISCLI_AUTH=right", "-s " + path + " -p 1", "--socket goes without --host and --port"},
		{"", "-u redis://default:right@127.0.0.1:" + port, ""},
		{"", "-u redis://default:right@127.0.0.1:1 -p " + port, ""},
		{"", "-u redis://default:wrong@127.0.0.1:" + port + " -a right", ""},
		{"", "-u unix://default:right@" + path, ""},
		{"", "-u rediss://default:right@127.0.0.1:" + tlsPort + " --cacert " + authority.File, ""},
		{"", "-u http://secret@x", "--uri is not accepted: expected redis://, rediss:// or unix://"},
		{"REDISCLI_AUTH=right", "--tls --cacert " + authority.File + " -p " + tlsPort, ""},
		{"REDISCLI_AUTH=right", "--tls --insecure -p " + tlsPort, ""},
		{"REDISCLI_AUTH=right", "--tls --insecure --cert " + cert + " --key " + key + " -p " + tlsPort, ""},
		{"REDISCLI_AUTH=right", "--tls --cacert " + authority.File + " -p " + tlsPort + " --sni limits.example.com", "--sni its name"},
		{"REDISCLI_AUTH=right", "--tls -p " + tlsPort, "--cacert names its authority"},
		{"REDISCLI_AUTH=right", "--tls --cacert /nonexistent -p " + tlsPort, "--cacert: open /nonexistent"},
		{"REDISCLI_AUTH=right", "--tls --cert " + cert + " -p " + tlsPort, "--cert and --key belong together"},
		{"REDISCLI_AUTH=right", "--insecure -p " + port, "--insecure needs --tls"},
		{"REDISCLI_AUTH=right", "-p " + tlsPort, "a port for TLS needs --tls"},
		// A server here that speaks TLS only, or has a socket only.
		{"REDISCLI_AUTH=right RLSERVER_PORT=0 RLSERVER_TLS_PORT=" + tlsPort + " RLSERVER_TLS_CA_CERT_FILE=" + authority.File, "", ""},
		{"REDISCLI_AUTH=right RLSERVER_PORT=0 RLSERVER_UNIXSOCKET=" + path, "", ""},
		{"RLSERVER_PORT=auto", "", "the configuration names no port to connect to"},
	} {
		got := call(strings.Fields(ask.env), append([]string{"ping"}, strings.Fields(ask.args)...)...)
		if ask.stderr == "" {
			if got != (result{0, "PONG\n", ""}) {
				t.Errorf("%s ping %s: %+v", ask.env, ask.args, got)
			}
		} else if got.code != 1 || !strings.Contains(got.stderr, ask.stderr) || strings.Contains(got.stderr, "secret") {
			t.Errorf("%s ping %s: %+v, want %q", ask.env, ask.args, got, ask.stderr)
		}
	}
	call(nil, "check", "k", "token_bucket", "1", "1", "-u", "rediss://:right@127.0.0.1:"+tlsPort, "--insecure").expect(t, 0, "allowed: 0 of 1 left, full again in 1s\n", "")
}

// --ready fails unless questions are decided: with a Redis that is down, on a replica that does not
// hear its primary, and where changes are refused.
func TestPingReady(t *testing.T) {
	ready := func(c *child) result {
		_, port, _ := net.SplitHostPort(c.address)
		return call(nil, "ping", "--ready", "-p", port)
	}
	mustNot := func(c *child, want string) {
		t.Helper()
		if got := ready(c); got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, want) {
			t.Errorf("%+v, want exit 1 and %q", got, want)
		}
	}
	pong := result{0, "PONG\n", ""}
	primary := startChild(t, nil)
	if got := ready(primary); got != pong {
		t.Errorf("%+v", got)
	}
	harness.DialAddr(t, primary.address).MustSay("OK", "CONFIG", "SET", "min-replicas-to-write", "1")
	mustNot(primary, "not ready: "+primary.address+" answers: NOREPLICAS")
	harness.DialAddr(t, primary.address).MustSay("OK", "CONFIG", "SET", "min-replicas-to-write", "0")

	host, port, _ := net.SplitHostPort(primary.address)
	replica := startChild(t, nil, "--replicaof", host+" "+port, "--dir", t.TempDir())
	harness.Eventually(t, "the replica is ready", func() bool { return ready(replica) == pong })
	primary.end(t, 0, syscall.SIGTERM)
	harness.Eventually(t, "the replica notices", func() bool { return ready(replica) != pong })
	mustNot(replica, "it is a replica that does not hear its primary")

	for _, policy := range []string{"error", "allow", "local"} {
		r := harness.StartRedis(t)
		c := startChild(t, nil, "--backend", "redis", "--redis-addr", r.Addr(), "--on-redis-failure", policy)
		harness.Eventually(t, "the backend is up", func() bool { return ready(c) == pong })
		_ = r.Stop(syscall.SIGKILL)
		mustNot(c, "UNAVAILABLE")
		_, port, _ := net.SplitHostPort(c.address)
		call(nil, "ping", "-p", port).expect(t, 0, "PONG\n", "")
	}
}

func TestNoServer(t *testing.T) {
	free := fmt.Sprint(harness.FreePort(t))
	refused := "rlserver: cannot reach 127.0.0.1:" + free + ": connect: connection refused\n"
	call(nil, "ping", "--port", free).expect(t, 1, "", refused)
	call(nil, "check", "a", "token_bucket", "1", "1", "--port", free).expect(t, 2, "", refused)

	l, port := harness.ListenFree(t)
	defer func() { _ = l.Close() }()
	address := fmt.Sprint("127.0.0.1:", port)
	start := time.Now() // the system accepts the connection, and nothing reads it
	call(nil, "ping", "--port", fmt.Sprint(port), "--timeout", "200ms").expect(t, 1, "",
		"rlserver: "+address+" does not answer within 200ms\n")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a timeout of 200ms took %v", took)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 512))
			_ = conn.Close()
		}
	}()
	call(nil, "ping", "--port", fmt.Sprint(port)).expect(t, 1, "",
		"rlserver: "+address+" closed the connection without an answer; a port for TLS needs --tls\n")
}

func TestLocalHost(t *testing.T) {
	for bind, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "localhost", "::1": "::1", "localhost": "localhost",
		"127.0.0.2": "127.0.0.2", "10.0.0.5": "10.0.0.5", "10.0.0.5 10.0.0.6": "10.0.0.5", "10.0.0.5 127.0.0.1": "127.0.0.1",
	} {
		if got := localHost(strings.Fields(bind)); got != want {
			t.Errorf("bind %q is reached at %q, want %q", bind, got, want)
		}
	}
}

// A wait is told in two units at most and never too short.
func TestMilliseconds(t *testing.T) {
	for ms, want := range map[int64]string{
		1: "1ms", 999: "999ms", 1000: "1s", 1001: "1.1s", 12_300: "12.3s", 59_900: "59.9s", 59_901: "1m0s",
		60_001: "1m1s", 3_599_001: "1h0m", 3_600_000: "1h0m", 7_260_001: "2h2m", 86_340_001: "1d0h",
		86_400_001: "1d1h", 3_153_600_000_000: "36500d0h",
	} {
		if got := milliseconds(ms); got != want {
			t.Errorf("%d ms is %q, want %q", ms, got, want)
		}
	}
}

// A report names the command line that gives it again, which others may read.
func TestWithoutSecrets(t *testing.T) {
	for line, want := range map[string]string{
		"-c 5 -a s3cret --user me":               "-c 5 -a *** --user me",
		"-as3cret -p 7":                          "-a*** -p 7",
		"--password=s3cret":                      "--password=***",
		"--pass s3cret":                          "--pass ***",
		"-u redis://me:s3cret@127.0.0.1:7 -P 16": "-u *** -P 16",
		"-c 5 token_bucket 100 60":               "-c 5 token_bucket 100 60",
	} {
		cmd := newBench(nil)
		if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(withoutSecrets(cmd.Flags(), strings.Fields(line)), " "); got != want {
			t.Errorf("%s is shown as %s, want %s", line, got, want)
		}
	}
}
