package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server"
	"github.com/rlserver/rlserver/server/config"
)

// startServer serves on a free port until the test ends, and returns the port.
func startServer(t *testing.T, password string) string {
	t.Helper()
	cfg := config.Default()
	cfg.Port, cfg.RequirePass = 0, password
	store, err := engine.NewStore(engine.Options{LogLimitMax: cfg.MaxLogLimit})
	if err != nil {
		t.Fatal(err)
	}
	srv := server.New(cfg, store, slog.New(slog.DiscardHandler), new(slog.LevelVar), "test")
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- srv.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprint(srv.Addrs()[0].(*net.TCPAddr).Port)
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
		if c.code == exitCheckFailed {
			output, other = other, output
		}
		if got.code != c.code || other != "" || !regexp.MustCompile("^"+c.output+"\n$").MatchString(output) {
			t.Errorf("check %s: %+v\nwant exit %d and %s", c.args, got, c.code, c.output)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	port := startServer(t, "")
	want := []map[string]any{
		{"key": "a \"b\"", "algorithm": "token_bucket", "allowed": true, "limit": 1.0, "remaining": 0.0, "retry_after_ms": 0.0, "reset_after_ms": 1000.0, "delay_ms": 0.0},
		{"key": "a \"b\"", "algorithm": "token_bucket", "allowed": false, "limit": 1.0, "remaining": 0.0, "retry_after_ms": -1.0, "reset_after_ms": nil, "delay_ms": 0.0},
	}
	for cost, want := range want {
		got := call(nil, "check", "a \"b\"", "token_bucket", "1", "1", "--cost", fmt.Sprint(cost+1), "--json", "--port", port)
		var object map[string]any
		if err := json.Unmarshal([]byte(got.stdout), &object); err != nil || got.code != cost {
			t.Fatalf("%v: %+v", err, got)
		}
		if want["reset_after_ms"] == nil { // what is left of the second depends on the test's own time
			object["reset_after_ms"] = nil
		}
		if fmt.Sprint(object) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", object, want)
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
	need := "rlserver: " + address + " answers: NOAUTH Authentication required. (give it with --password or RLSERVER_REQUIREPASS)\n"
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

// listen accepts connections and hands them to serve.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	refused := "rlserver: cannot reach 127.0.0.1:" + free + ": connect: connection refused\n"
	call(nil, "ping", "--port", free).expect(t, 1, "", refused)
	call(nil, "check", "a", "token_bucket", "1", "1", "--port", free).expect(t, 2, "", refused)

	silent := listen(t, func(c net.Conn) { t.Cleanup(func() { _ = c.Close() }) })
	start := time.Now()
	call(nil, "ping", "--port", silent, "--timeout", "200ms").expect(t, 1, "",
		"rlserver: 127.0.0.1:"+silent+" does not answer within 200ms\n")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a timeout of 200ms took %v", took)
	}

	closing := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_ = c.Close()
	})
	call(nil, "ping", "--port", closing).expect(t, 1, "",
		"rlserver: 127.0.0.1:"+closing+" closed the connection without an answer\n")
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
