package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

const (
	denial      = "*6\r\n:0\r\n:100\r\n:0\r\n:600\r\n:60000\r\n:0\r\n"
	admission   = "*6\r\n:1\r\n:100\r\n:50\r\n:0\r\n:60000\r\n:0\r\n"
	unknownInfo = "-ERR unknown command 'INFO'\r\n"
	// aPolicy is the answer to RL.POLICY GET: a wide limit, and a narrow one.
	aPolicy      = "*4\r\n+name\r\n+p\r\n+definition\r\n+token_bucket 1000000 1s + sliding_window_log 5 1d\r\n"
	failingAfter = 500 // answers
)

// A script is what a target says to the n-th RL.CHECK, from 1 on, over any connection. An empty text
// is no answer.
type script func(n int64, c net.Conn) string

// then is a script that denies until it has said so much, and then goes on with another.
func then(goOn script) script {
	return func(n int64, c net.Conn) string {
		if n <= failingAfter {
			return denial
		}
		return goOn(n-failingAfter, c)
	}
}

// says is a script that always gives the same answer.
func says(text string) script { return func(int64, net.Conn) string { return text } }

// startScript starts a server that follows a script, and returns its address.
func startScript(t *testing.T, s script) string {
	t.Helper()
	l, _ := harness.ListenFree(t)
	t.Cleanup(func() { _ = l.Close() })
	var asked atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for reader := bufio.NewReader(c); ; {
					command, err := harness.ParseValue(reader)
					if err != nil || len(command.Parts) == 0 {
						return
					}
					text := unknownInfo
					switch strings.ToUpper(command.Parts[0].Text) {
					case "RL.CHECK":
						text = s(asked.Add(1), c)
					case "RL.POLICY":
						text = aPolicy
					}
					if _, err := io.WriteString(c, text); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// mustFail wants a line that names the target and says why, exit code 2, and the reason in the report
// beside what was measured until then: something, if it failed midway.
func (r *run) mustFail(addr string, midway bool, words ...string) {
	r.t.Helper()
	r.mustExit(exitFailed, append(words, addr)...)
	if lines := strings.Split(strings.TrimSpace(r.stderr), "\n"); !strings.HasPrefix(lines[len(lines)-1], "rlserver: ") {
		r.fail("its last word is not the error")
	}
	rounds := r.rounds()
	if r.report.Targets[0].Failure == "" {
		r.fail("the report does not tell of the failure")
	}
	if got := len(rounds) > 0 && rounds[0].Requests > 0; got != midway {
		r.fail("what was measured is kept: " + strconv.FormatBool(got))
	}
}

func TestTargetsThatFail(t *testing.T) {
	closes := func(_ int64, c net.Conn) string {
		_ = c.Close()
		return ""
	}
	for _, c := range []struct {
		name   string
		script script
		midway bool
		want   string
	}{
		{"loading", says("-LOADING rlserver is loading the dataset in memory\r\n"), false, "answers: LOADING"},
		{"wrong type", then(says("-WRONGTYPE the key belongs to another algorithm\r\n")), true, "answers: WRONGTYPE"},
		{"no memory", then(says("-OOM command not allowed when used memory > 'maxmemory'.\r\n")), true, "answers: OOM"},
		{"moved", says("-MOVED 3999 127.0.0.1:6381\r\n"), false, "answers: MOVED 3999 127.0.0.1:6381"},
		{"another reply", says("+OK\r\n"), false, "OK"},
		{"another reply midway", then(says(":1\r\n")), true, "1"},
		{"five integers", says("*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n"), false, "[1 2 3 4 5]"},
		{"a null", says("$-1\r\n"), false, "(nil)"},
		{"garbage", says("\x00\xff\x17garbage\r\n"), false, "RESP"},
		{"garbage midway", then(says("\x00\xff\x17garbage\r\n")), true, "RESP"},
		{"a huge array", says("*1000000000\r\n:1\r\n"), false, "RESP"},
		{"a huge text", says("$9999999999\r\n"), false, "RESP"},
		{"a number without digits", says("*6\r\n:\r\n"), false, "RESP"},
		{"closes", closes, false, "closed the connection"},
		{"closes midway", then(closes), true, "closed the connection"},
		{"silent", says(""), false, "does not answer"},
		{"silent midway", then(says("")), true, "does not answer"},
		{"half a reply", says(denial[:len(denial)-1]), false, "does not answer"},
		{"two replies for one", says(denial + denial), false, "more replies than"},
		{"two replies for one midway", then(says(denial + denial)), true, "more replies than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addr := startScript(t, c.script)
			runBench(t, "--target", "rlserver="+addr, "-n", "10000", "--keys", "10", "-c", "5", "-P", "4", "-t", "1s").mustFail(addr, c.midway, c.want)
		})
	}
}

// Replies that come byte by byte are replies all the same.
func TestRepliesInPieces(t *testing.T) {
	addr := startScript(t, func(_ int64, c net.Conn) string {
		for i := range len(denial) - 1 {
			if _, err := io.WriteString(c, denial[i:i+1]); err != nil {
				return ""
			}
		}
		return denial[len(denial)-1:]
	})
	r := runBench(t, "--target", "rlserver="+addr, "-n", "2000", "-c", "3", "-P", "7")
	r.mustExit(exitRight)
	if round := r.rounds()[0]; round.Denied != 2000 {
		r.fail("replies were not counted")
	}
}

// Servers that are real, and not what was asked for.
func TestOtherServers(t *testing.T) {
	t.Run("nobody", func(t *testing.T) {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(harness.FreePort(t)))
		runBench(t, "--target", "rlserver="+addr).mustFail(addr, false, "cannot reach", "connection refused")
	})
	t.Run("a password", func(t *testing.T) {
		p := harness.StartServer(t, "--requirepass", "secret")
		runBench(t, "--target", "rlserver="+p.Addr()).mustFail(p.Addr(), false, "answers: NOAUTH", "--password")
		runBench(t, "--target", "rlserver="+p.Addr(), "--password", "wrong").mustFail(p.Addr(), false, "answers: WRONGPASS")
	})
	t.Run("Redis", func(t *testing.T) {
		p := harness.StartRedis(t)
		runBench(t, "--target", "rlserver="+p.Addr()).mustFail(p.Addr(), false, "answers: ERR unknown command")
	})
	t.Run("HTTP", func(t *testing.T) {
		l, _ := harness.ListenFree(t)
		s := &http.Server{Handler: http.NotFoundHandler()}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
		runBench(t, "--target", "rlserver="+l.Addr().String()).mustFail(l.Addr().String(), false, "HTTP/1.1 400")
	})
	t.Run("TLS", func(t *testing.T) {
		cert, key := harness.NewAuthority(t).Sign(t, t.TempDir(), 2)
		port := harness.FreePort(t)
		harness.StartServer(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		runBench(t, "--target", "rlserver="+addr).mustFail(addr, false, "--tls")
	})
	t.Run("no TLS", func(t *testing.T) {
		p := harness.StartServer(t)
		runBench(t, "--target", "rlserver="+p.Addr(), "--tls", "--insecure").mustFail(p.Addr(), false, "TLS")
	})
}

// A target that is killed midway ends, with what was measured until then. The others have their turns.
func TestTargetIsKilled(t *testing.T) {
	doomed, other := harness.StartNode(t), harness.StartServer(t)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for doomed.Count("total_commands_processed") < 5_000 {
			harness.Pause()
		}
		doomed.Kill()
	}()
	r := runBench(t, "--target", "rlserver="+doomed.Addr()+",rlserver="+other.Addr(), "--keys", "10", "-n", strconv.Itoa(fewer(300_000)), "--rounds", "2")
	<-killed
	r.mustExit(exitFailed, doomed.Addr())
	if r.report == nil || len(r.report.Targets) != 2 {
		r.fail("the report does not have both targets")
		return
	}
	for i, want := range []struct {
		rounds  int
		failure bool
	}{{1, true}, {2, false}} {
		target := r.report.Targets[i]
		if len(target.Rounds) != want.rounds || (target.Failure != "") != want.failure || target.Rounds[0].Requests < 1000 {
			r.fail("the report is not as it must be: " + target.Failure)
		}
	}
}
