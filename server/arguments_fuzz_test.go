package server

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/server/resp"
	"github.com/rlserver/rlserver/server/wire"
)

// newTestSession is a session whose replies stay in its connection's buffer.
func newTestSession(s *Server) *session {
	c := newSession(s, new(wire.Conn), "127.0.0.1:1", "127.0.0.1:2")
	s.sessions.add(c, 1)
	return c
}

// argumentSeeds are command lines behind the command's name, right ones and nearly right
// ones; words end at a newline.
var argumentSeeds = []string{
	"", "k", "k\ntoken_bucket\n100\n60", "k\nleaky_bucket\n100\n60s\nBURST\n5\nCOST\n2", "k\nsliding_window_log\n10\n1ms", "k\nsliding_window_log\n10\n1m\nBURST\n1",
	"k\ntoken_bucket\n1000000000\n366d", "k\ntoken_bucket\n1000000001\n60", "k\ntoken_bucket\n-1\n60", "k\ntoken_bucket\n+1\n60", "k\ntoken_bucket\n01\n60", "k\ntoken_bucket\n1e9\n60",
	"k\ntoken_bucket\n9223372036854775808\n60", "k\ntoken_bucket\n1\n0", "k\ntoken_bucket\n1\n-1s", "k\ntoken_bucket\n1\n1.5s", "k\ntoken_bucket\n1\n60S", "k\ntoken_bucket\n1\n9223372036854775807d",
	"k\ntoken_bucket\n1\n60\nBURST", "k\ntoken_bucket\n1\n60\nCOST\n0", "k\ntoken_bucket\n1\n60\nCOST\n1\nCOST\n1", "k\ntoken_bucket\n1\n60\nNX\n1", "k\nTOKEN_BUCKET\n5\n1h\ncost\n6", "k\ntoken_bucket\n1\n 60",
	"k\ntoken_bucket\n1\n1ms\nBURST\n1000000000", "\ntoken_bucket\n1\n60", strings.Repeat("x", 1024) + "\ntoken_bucket\n1\n60", strings.Repeat("x", 1025) + "\ntoken_bucket\n1\n60", "\x00\xff\r\ntoken_bucket\n1\n60",
	"k\nj\nl", "0", "0\nMATCH\n*\nCOUNT\n10\nTYPE\ntoken_bucket", "0\nCOUNT\n-1", "-1", "9007199254740992", "*", "[a-", "?*\\", "3", "3\nAUTH\ndefault\nx\nSETNAME\nn", "4", "default\nx", "LIST\nID\n1\n2", "KILL\nID\n1",
	"KILL\n127.0.0.1:1", "SETNAME\na b", "SETINFO\nLIB-NAME\nx", "GET\n*", "SET\nmaxmemory\n16mb", "SET\ntimeout\nx", "SET\nrequirepass\nx\nrequirepass\ny", "DOCS\nrl.check", "GETKEYS\nrl.check\nk\na\n1\n1", "INFO\nping",
	"LIST\nFILTERBY\nPATTERN\nrl.*", "USAGE\nk\nSAMPLES\n5", "GET\n-1", "all", "NaN", "ASYNC", "HELP", "REPLY\nOFF", "REPLY\nSKIP",
	"k\n@api", "k\n@api\nFORCE\nCOST\n3", "k\n@no", "k\n@", "2\nk\n@api\nj\n@deny", "2\nk\n@api\nj\n@shadow\nCOST\n2\nFORCE", "1\nk\n@allow", "2\nk\n@api\nk\n@api", "3\nk\n@api", "17\nk\n@api",
	"SET\np\nLIMIT\ntoken_bucket\n1\n1s\nBURST\n2\nLIMIT\nfixed_window\n3\nmonth\nSHADOW", "SET\np\nDENY", "SET\np\nLIMIT", "OVERRIDE\napi\nk\nALLOW", "OVERRIDES\napi", "UNSET\napi\nk", "GET\napi", "DEL\np", "RELOAD",
	"PAUSE\n1000000\nWRITE", "TRACKING\nON\nBCAST\nPREFIX\na", "TRACKING\nON\nOPTIN\nREDIRECT\n1", "CACHING\nYES", "UNBLOCK\n1\nERROR", "KEYSLOT\nk", "ENCODING\nk", "HISTOGRAM\nping",
}

// FuzzArguments gives arbitrary arguments to every command of the table. Whatever they are,
// there is one whole reply (to each argument of SUBSCRIBE and its kin), an error leaves the keys as they were, and a decision is one.
func FuzzArguments(f *testing.F) {
	store, err := engine.NewStore(engine.Options{})
	if err != nil {
		f.Fatal(err)
	}
	s := newTestServer(store)
	admin := newTestSession(s)
	for _, line := range []string{"api LIMIT token_bucket 5 1h LIMIT fixed_window 50 1d", "shadow LIMIT sliding_window_log 2 1h SHADOW", "deny DENY", "allow ALLOW"} {
		if reply := say(admin, "RL.POLICY SET "+line); reply != "+OK\r\n" {
			f.Fatal(reply)
		}
	}
	admin.Closed()
	rows := s.table.rows
	for i := range rows {
		for _, seed := range argumentSeeds {
			f.Add(uint8(i), false, []byte(seed))
			f.Add(uint8(i), true, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, row uint8, resp3 bool, rest []byte) {
		cmd := rows[int(row)%len(rows)]
		args := append([][]byte{[]byte(cmd.name)}, bytes.Split(rest, []byte("\n"))...)
		if len(rest) == 0 {
			args = args[:1]
		}
		c := newTestSession(s)
		defer c.Closed()
		if c.authenticated = true; resp3 {
			c.reply.SetProtocol(resp.RESP3)
		}
		before := store.Len()
		s.dispatch(c, args)
		s.gates.endPause(true)
		reply := c.reply.Buf
		if len(reply) == 0 && c.silence != (silence{}) {
			return // what turns replies off has none
		}
		if cmd.name == "hello" || cmd.name == "reset" {
			resp3 = true // either may be what is spoken now
		}
		left, err := skipReply(reply, resp3)
		for range args[1:] { // these answer each of their arguments
			if strings.HasSuffix(cmd.name, "subscribe") && err == nil && len(left) > 0 {
				left, err = skipReply(left, resp3)
			}
		}
		if err != nil || len(left) > 0 {
			t.Fatalf("%q was answered %q: %v, and %q is left", args, reply, err, left)
		}
		if reply[0] == '-' && store.Len() != before {
			t.Errorf("%q was answered %q, and there are %d keys instead of %d", args, reply, store.Len(), before)
		}
		if bytes.HasPrefix(reply, []byte("*6\r\n:")) {
			if problem := notADecision(reply); problem != "" {
				t.Errorf("%q was answered %q: %s", args, reply, problem)
			}
		}
	})
}

// notADecision says what is wrong with six integers.
func notADecision(reply []byte) string {
	var n [6]int64
	for i, word := range strings.Split(strings.TrimSuffix(string(reply[4:]), "\r\n"), "\r\n") {
		n[i], _ = strconv.ParseInt(word[1:], 10, 64)
	}
	allowed, limit, remaining, retry, reset, delay := n[0], n[1], n[2], n[3], n[4], n[5]
	switch {
	case allowed != 0 && allowed != 1:
		return "allowed is 0 or 1"
	case n == [6]int64{0, 0, 0, -1, 0, 0}, n == [6]int64{1, 0, 0, 0, 0, 0}, n == [6]int64{1, engine.UnitsMax, -1, 0, 0, 0}:
		return "" // of a policy without limits
	case limit < 1 || limit > engine.UnitsMax:
		return "limit is out of range"
	case remaining < 0 || remaining > limit:
		return "remaining is 0 to limit"
	case (allowed == 1) != (retry == 0) || retry < -1:
		return "retry_after is 0 if and only if allowed, and never below -1"
	case reset < 0 || delay < 0 || delay > 0 && allowed == 0:
		return "reset_after and delay are not negative, and a denial has no delay"
	}
	return ""
}

// skipReply reads one reply, strictly, and returns what is behind it.
func skipReply(b []byte, resp3 bool) (rest []byte, err error) {
	line, rest, found := bytes.Cut(b, []byte("\r\n"))
	if !found || len(line) == 0 {
		return b, fmt.Errorf("no line in %q", b)
	}
	kind, text := line[0], string(line[1:])
	if strings.ContainsAny(text, "\r\n") {
		return b, fmt.Errorf("a line end within %q", line)
	}
	if strings.IndexByte("%~=_>", kind) >= 0 && !resp3 {
		return b, fmt.Errorf("%q is not of RESP2", line)
	}
	n, err := strconv.Atoi(text)
	switch kind {
	case '+', '-':
		return rest, nil
	case '_':
		return rest, nil
	case ':':
		_, err = strconv.ParseInt(text, 10, 64)
		return rest, err
	case '$', '=':
		if n == -1 {
			return rest, err
		}
		if err != nil || n < 0 || len(rest) < n+2 || string(rest[n:n+2]) != "\r\n" {
			return b, fmt.Errorf("%q does not fit what is behind it", line)
		}
		return rest[n+2:], nil
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return b, fmt.Errorf("%q is of no known kind", line)
	}
	if err != nil || n < -1 {
		return b, fmt.Errorf("%q is no count", line)
	}
	for range n {
		if rest, err = skipReply(rest, resp3); err != nil {
			return b, err
		}
	}
	return rest, nil
}
