package wire

import (
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// The same bytes go to a real Redis 7.0.15 and to rlserver, and all that comes back until
// EOF is compared. Every conversation ends with QUIT, so what is compared includes the
// connection's fate: the last +OK is missing where the server hung up first.

// hear returns all that a server answers until EOF. Redis may reset a connection after its
// last answer, when it has not read everything; rlserver may not.
func hear(t *testing.T, p *harness.Process, packet string) string {
	t.Helper()
	c := p.Dial()
	_ = c.SetDeadline(time.Now().Add(harness.Patience))
	go func() { // the answers may have to be read before all is sent
		_, _ = io.WriteString(c, packet) // a server that has hung up takes no more
	}()
	got, err := io.ReadAll(c.Reader)
	_ = c.Close()
	isRedis := p.Cmd.Path != harness.Binary(t)
	if err != nil && (!isRedis || !errors.Is(err, syscall.ECONNRESET)) {
		t.Errorf("%.100q was answered %.300q and then %v", packet, got, err)
	}
	return string(got)
}

// What two right servers cannot have in common: the version and the connection's number in
// the reply to HELLO, one text, and the instant and address in MONITOR's lines.
var peculiar = []struct {
	pattern *regexp.Regexp
	same    string
}{
	{regexp.MustCompile(`\$7\r\nversion\r\n\$\d+\r\n[\d.]+\r\n`), "$7\r\nversion\r\nVERSION\r\n"},
	{regexp.MustCompile(`\$2\r\nid\r\n:\d+\r\n`), "$2\r\nid\r\n:ID\r\n"},
	{regexp.MustCompile(`the HELLO <proto> AUTH`), "the HELLO AUTH"}, // the text of 7.2 and later; INFO claims 7.4
	{regexp.MustCompile(`\+\d+\.\d{6} \[0 127\.0\.0\.1:\d+\]`), "+INSTANT [0 ADDRESS]"},
}

func alike(reply string) string {
	for _, p := range peculiar {
		reply = p.pattern.ReplaceAllString(reply, p.same)
	}
	return reply
}

// compare compares what Redis and rlserver answer to a conversation and a QUIT.
func compare(t *testing.T, redis, ours *harness.Process, name, packet string) {
	t.Helper()
	packet += harness.Command("QUIT")
	want, got := alike(hear(t, redis, packet)), alike(hear(t, ours, packet))
	if got != want {
		t.Errorf("%.200s\nrlserver %.600q\n   Redis %.600q", name, got, want)
	}
}

// sameWords are conversations that get the same answers, word by word. None changes
// anything beyond its connection.
var sameWords = []string{
	"PING", "ping", "PING a", "PING a b", "ECHO", "ECHO x", "ECHO a b", "QUIT", "QUIT x", "QUIT; PING",
	"HELLO", "HELLO 2", "HELLO 3", "HELLO 1", "HELLO 4", "HELLO x", "HELLO 03", "HELLO +3", "HELLO -3", "HELLO 99999999999999999999", "HELLO ",
	"HELLO 3 AUTH", "HELLO 3 AUTH a", "HELLO 3 AUTH default x", "HELLO 3 AUTH bob x", "HELLO 3 SETNAME", "HELLO 3 SETNAME a; CLIENT GETNAME",
	"HELLO 3 SETNAME a b", "HELLO 3 FOO; CLIENT GETNAME", "HELLO 2 hello; PING", "HELLO 4 SETNAME a; CLIENT GETNAME", "HELLO 3 AUTH x y SETNAME a; CLIENT GETNAME",
	"HELLO 3 setname a auth default x; CLIENT GETNAME", "HELLO 3; HELLO 2; CLIENT GETNAME", "HELLO 3; HELLO; HELLO 4; CLIENT GETNAME",
	"AUTH", "AUTH a", "AUTH a b", "AUTH default b", "AUTH DEFAULT b", "AUTH a b c",
	"SELECT", "SELECT 0", "SELECT 99", "SELECT -1", "SELECT x", "SELECT ", "SELECT 00", "SELECT +0", "SELECT -0", "SELECT 0 0", "SELECT 99999999999999999999",
	"RESET", "RESET x", "CLIENT SETNAME a; RESET; CLIENT GETNAME", "HELLO 3; CLIENT GETNAME; RESET; CLIENT GETNAME", "MONITOR; RESET; PING", "MONITOR; QUIT; PING",
	"MONITOR x", "MONITOR; NOSUCH a",
	"CLIENT", "CLIENT FOO", "CLIENT FOO bar", "CLIENT SETNAME", "CLIENT SETNAME a b", "CLIENT SETNAME a", "CLIENT SETNAME ", "CLIENT SETNAME a; CLIENT GETNAME",
	"CLIENT SETNAME a; CLIENT SETNAME ; CLIENT GETNAME", "CLIENT SETNAME a\nb", "CLIENT SETNAME \xff", "CLIENT GETNAME", "cLiEnT gEtNaMe", "CLIENT GETNAME x",
	"CLIENT NO-EVICT", "CLIENT NO-EVICT x", "CLIENT NO-EVICT on", "CLIENT NO-EVICT OFF", "CLIENT ID x", "CLIENT INFO x", "CLIENT LIST x", "CLIENT LIST TYPE",
	"CLIENT LIST TYPE x", "CLIENT LIST TYPE pubsub", "CLIENT LIST ID", "CLIENT LIST ID x", "CLIENT LIST ID 0", "CLIENT LIST ID 99999999", "HELLO 3; CLIENT LIST ID 99999999",
	"CLIENT KILL", "CLIENT KILL 1.2.3.4:5", "CLIENT KILL ID", "CLIENT KILL ID x", "CLIENT KILL ID 0", "CLIENT KILL ID -1", "CLIENT KILL ID 99999999", "CLIENT KILL TYPE x", "CLIENT KILL TYPE FOO", "CLIENT LIST TYPE FOO", "CLIENT KILL USER Bob",
	"CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE master", "CLIENT KILL USER x", "CLIENT KILL USER default ID 99999999", "CLIENT KILL FOO x", "CLIENT KILL a b c",
	"CLIENT KILL ADDR a LADDR", "CLIENT KILL SKIPME x", "CLIENT KILL ADDR 1.2.3.4:5", "CLIENT KILL type NORMAL SKIPME YES", "CLIENT KILL TYPE normal SKIPME no; PING",
	"COMMAND COUNT x", "COMMAND FOO", "COMMAND INFO nosuch", "COMMAND INFO nosuch two", "HELLO 3; COMMAND INFO nosuch", "COMMAND DOCS nosuch", "HELLO 3; COMMAND DOCS nosuch",
	"COMMAND GETKEYS", "COMMAND GETKEYS exists a b", "COMMAND GETKEYS ttl a", "COMMAND LIST x", "COMMAND LIST FILTERBY", "COMMAND LIST FILTERBY x y", "COMMAND LIST FILTERBY PATTERN pin*",
	"COMMAND LIST FILTERBY MODULE x", "TIME x", "TIME ", "DBSIZE", "DBSIZE x", "FOO", "FOO a b", "FOO ", "", " ", "PING  a", "FOO|BAR", "CLIENT|ID", "FLUSHALL|X",
	"SCAN", "SCAN x", "SCAN 0x1", "SCAN 0 MATCH", "SCAN 0 FOO x", "SCAN 0 COUNT 0", "SCAN 0 COUNT x", "SCAN 0 COUNT -1", "SCAN 0 COUNT", "SCAN 0 COUNT 1000 MATCH",
	"SCAN 99999999999999999999", "SCAN 0 COUNT 100000", "SCAN 0 COUNT 100000 MATCH x TYPE y", "HELLO 3; SCAN 0 COUNT 100000",
	"SLOWLOG", "SLOWLOG FOO", "SLOWLOG GET x", "SLOWLOG GET -2", "SLOWLOG GET -1", "SLOWLOG GET 1 2", "SLOWLOG LEN", "SLOWLOG LEN x", "SLOWLOG RESET", "SLOWLOG RESET x", "HELLO 3; SLOWLOG GET",
	"CONFIG", "CONFIG FOO", "CONFIG GET", "CONFIG GET nosuch", "HELLO 3; CONFIG GET nosuch", "HELLO 3; CONFIG GET save", "CONFIG GET timeout", "CONFIG GET requirepass",
	"CONFIG GET REQUIREPASS", "CONFIG GET requirepas? requirepass", "CONFIG GET maxclients", "CONFIG GET *_nosuch", "CONFIG RESETSTAT", "CONFIG RESETSTAT x",
	"CONFIG SET", "CONFIG SET a", "CONFIG SET nosuch 1", "CONFIG SET NoSuch 1", "CONFIG SET databases 3", "CONFIG SET timeout 0 timeout 0", "CONFIG SET timeout 0 nosuch 1", "CONFIG SET timeout 0 maxclients",
	"CONFIG GET slaveof", "CONFIG GET SlaveOf", "CONFIG GET slave-prio*", "CONFIG GET SLAVE-PRIORITY", "CONFIG GET slave-announce-ip", "CONFIG GET slave-announce-port", "CONFIG GET min-slaves-to-write", "CONFIG GET min-slaves-max-lag", "CONFIG GET slave-read-only", "CONFIG GET replica-read-only",
	"CONFIG GET slave-serve-stale-data", "CONFIG GET replica-serve-stale-data", "CONFIG GET latency-tracking", "CONFIG GET latency-tracking-info-percentiles", "CONFIG SET slaveof a", "CONFIG SET SLAVEOF a replicaof b", "CONFIG SET replicaof a",
	"CONFIG SET slave-priority 100 replica-priority 100", "CONFIG SET slave-priority 100 slave-priority 100", "CONFIG SET unixsocket a", "CONFIG SET timeout 9 unixsocket a; CONFIG GET timeout",
	"CONFIG SET timeout 9 nosuch 1; CONFIG GET timeout", "CONFIG SET TIMEOUT 0; CONFIG GET timeout", "CONFIG SET TIMEOUT 0 TimeOut 0", "CONFIG SET DATABASES 1",
	"TTL", "TTL a", "TTL a b", "PTTL", "PTTL a", "TYPE", "TYPE a", "TYPE a b", "TYPE ", "EXISTS", "EXISTS a", "EXISTS a b a", "EXISTS  ", "HELLO 3; TYPE a; TTL a; EXISTS a",
	"DEL", "DEL a", "DEL a b", "UNLINK", "UNLINK a", "KEYS", "KEYS *", "KEYS a b", "HELLO 3; KEYS *",
	"FLUSHALL x", "FLUSHALL ASYNC x", "FLUSHALL ASYNC SYNC", "FLUSHALL ASYNC", "FLUSHALL sync", "FLUSHDB x", "FLUSHDB",
	"MEMORY", "MEMORY FOO", "MEMORY USAGE", "MEMORY USAGE a", "MEMORY USAGE a b", "MEMORY USAGE a SAMPLES", "MEMORY USAGE a SAMPLES x", "MEMORY USAGE a SAMPLES 1",
	"LATENCY", "LATENCY FOO", "LATENCY LATEST", "LATENCY LATEST x", "LATENCY HISTORY", "LATENCY HISTORY x", "LATENCY GRAPH", "LATENCY GRAPH x", "LATENCY RESET", "LATENCY RESET a b", "LATENCY DOCTOR x", "LATENCY HISTOGRAM nosuch", "HELLO 3; LATENCY HISTOGRAM nosuch",
	"MODULE", "MODULE FOO", "MODULE LIST", "MODULE LIST x", "MEMORY DOCTOR x", "MEMORY PURGE", "MEMORY PURGE x", "MEMORY STATS x", "MEMORY MALLOC-STATS x", "OBJECT", "OBJECT FOO a", "OBJECT ENCODING", "OBJECT ENCODING a", "OBJECT FREQ a", "OBJECT IDLETIME a", "OBJECT REFCOUNT a", "OBJECT REFCOUNT a b", "HELLO 3; OBJECT ENCODING a",
	"COMMAND GETKEYSANDFLAGS", "COMMAND GETKEYSANDFLAGS nosuch a", "COMMAND GETKEYSANDFLAGS ttl a", "HELLO 3; COMMAND GETKEYSANDFLAGS ttl a", "COMMAND GETKEYSANDFLAGS ping x", "COMMAND GETKEYS object encoding k", "COMMAND LIST FILTERBY ACLCAT nosuch",
	"MEMORY USAGE a SAMPLES -1", "HELLO 3; MEMORY USAGE a", "INFO nosuch", "HELLO 3; INFO nosuch", "HELLO 3; PING; PING x; ECHO y; TIME x; NOSUCH; SELECT 0",
}

// sameBytes are conversations below commands: inline, broken, cut, long.
var sameBytes = []string{
	"PING\r\n", "PING\n", "ping\r\n", "   PING   \r\n", "\r\n\r\nPING\r\n", "\n\nPING\n", "ECHO \"a b\"\r\n", `ECHO "a\x41\n\r\t\b\a\q\\b"` + "\r\n", `ECHO 'a\'b'` + "\r\n",
	`ECHO 'a\nb'` + "\r\n", `ECHO "a"b` + "\r\n", "ECHO \"a\r\n", "ECHO 'a\r\n", `ECHO a"b"` + "\r\n", "ECHO \"\"\r\n", `ECHO "\xzz"` + "\r\n", "ECHO \"\\\r\n", "ECHO a\tb\r\n", "ECHO\ta\r\n",
	"ECHO \xff\xfe\r\n", "ECHO a\rb\r\n", "PING\r\r\n", "ECHO a\vb\r\n", "PING\f\r\n", "\v\fPING\r\n", "ECHO \"a\"\vb\r\n", "PING\rPING\r\n", "ECHO " + strings.Repeat("x", 60_000) + "\r\n", strings.Repeat("PING ", 1000) + "\r\n",
	"POST / HTTP/1.1\r\n", "post\r\n", "Host: x\r\n", "HOST: x\r\nPING\r\n", "host:x\r\n",
	"$4\r\nPING\r\n", ":1\r\n", "+OK\r\n", "-ERR\r\n", "%1\r\n", "{\"a\":1}\r\n", "\xff\xff\r\n", "SSH-2.0-OpenSSH_9\r\n",
	"*1\r\n$9223372036854775807\r\n", "*9223372036854775807\r\n", "*-1\r\nPING\r\n", "*-99999999999\r\nPING\r\n", "*-9223372036854775808\r\nPING\r\n", "*-9223372036854775809\r\nPING\r\n", "*0\r\nPING\r\n", "*\r\nPING\r\n", "*x\r\nPING\r\n", "*+1\r\n$4\r\nPING\r\n", "*01\r\n$4\r\nPING\r\n",
	"*-0\r\n", "*-5\r\nPING\r\n", "*2147483648\r\n", "*1 \r\n$4\r\nPING\r\n", "*1\n$4\nPING\n*1\r\n", "*1\rX$4\r\nPING\r\n", "*1\r\n$4\r\nPINGXX", "*1\r\n$4\r\nPINGXXPING\r\n",
	"*1\r\n\r\nPING\r\n", "*1\r\n\n\r\nPING\r\n", "*1\r\n:4\r\nPING\r\n", "*1\r\n+PING\r\n", "*1\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\n$-2\r\n", "*1\r\n$x\r\n", "*1\r\n$\r\n", "*1\r\n$01\r\nx\r\n", "*1\r\n$0\r\n\r\n",
	"*2\r\n$0\r\n\r\n$1\r\na\r\n", "*1\r\n$536870913\r\n", "PING\r\nPING\r\n*1\r\n$x\r\nPING\r\n", "PING\r\nPING\r\n*x\r\nPING\r\n", "QUIT\r\nPING\r\n",
	harness.CommandLine("MONITOR") + "*x\r\n", harness.CommandLine("MONITOR; RESET; PING") + "*x\r\n", harness.CommandLine("MONITOR; RESET; PING") + "*1\r\n:1\r\n",
	harness.Command("foo\r\nbar", "a\r\nb"), harness.Command("\xff\xfe", "\xff"), harness.Command("foo", ""), harness.Command("", ""), harness.Command("client", "a\r\nb"), harness.Command("config", "set", "a\r\nb", "1"),
	harness.Command("hello", "3", "a\r\nb"), harness.Command("config", "get", ""), harness.Command("ping", "a\r\nb\x00"), harness.Command("echo", ""), harness.Command("echo", strings.Repeat("x", 100_000)),
	harness.Command(strings.Repeat("x", 128), strings.Repeat("y", 100), strings.Repeat("z", 100)), harness.Command(strings.Repeat("x", 200), strings.Repeat("y", 200)),
	harness.Command("client", strings.Repeat("x", 200)), harness.Command("foo", strings.Repeat("y", 127), "z"), harness.Command("foo", strings.Repeat("y", 125), "z", "q"), harness.Command("foo", strings.Repeat("y", 124), "z", "q"),
	harness.Command("foo", strings.Repeat("y", 118), "zzzz", "q"), harness.Command(append([]string{"foo"}, strings.Split(strings.Repeat("a ", 100), " ")...)...),
	// Names and arguments are cut at bytes, not at letters.
	harness.Command(strings.Repeat("é", 100)), harness.Command("foo", strings.Repeat("é", 100), "x"), harness.Command("client", strings.Repeat("é", 100)),
}

func TestSameAsRedis(t *testing.T) {
	redis, ours := harness.StartRedis(t), harness.StartServer(t)
	for _, line := range sameWords {
		compare(t, redis, ours, line, harness.CommandLine(line))
	}
	for _, packet := range sameBytes {
		compare(t, redis, ours, packet, packet)
	}
}

func TestSameAsRedisWithPassword(t *testing.T) {
	redis, ours := harness.StartRedis(t, "--requirepass", "secret"), harness.StartServer(t, "--requirepass", "secret")
	for _, line := range []string{
		"PING", "ECHO x", "PING a b", "ECHO", "FOO a", "CLIENT FOO", "CLIENT", "CONFIG FOO x", "PUBSUB FOO", "CLIENT GETNAME x", "CLIENT ID x", "CLIENT GETNAME", "SELECT 0", "MONITOR", "COMMAND", "INFO", "FLUSHALL", "CONFIG GET x", "TIME",
		"AUTH", "AUTH x", "AUTH ", "AUTH secret", "AUTH secret ", "AUTH Secret", "AUTH secret; PING", "AUTH x; PING", "AUTH default secret; PING", "AUTH Default secret", "AUTH default x", "AUTH bob secret",
		"AUTH a b c", "AUTH secret; AUTH x; PING", "AUTH secret; RESET; PING", "RESET; PING", "RESET x", "QUIT", "QUIT; PING",
		"HELLO", "HELLO 2", "HELLO 3", "HELLO 3; AUTH secret; CLIENT GETNAME", "HELLO 4", "HELLO x", "HELLO 3 AUTH", "HELLO 3 AUTH default secret; CLIENT GETNAME", "HELLO 3 AUTH default x; PING",
		"HELLO 2 AUTH default secret; PING", "HELLO 3 AUTH bob secret; PING", "HELLO 3 SETNAME a", "HELLO 3 AUTH default secret SETNAME a; CLIENT GETNAME", "HELLO 3 SETNAME a AUTH default secret; CLIENT GETNAME",
		"HELLO 3 AUTH default secret FOO", "HELLO 3 AUTH default secret; RESET; CLIENT GETNAME", "AUTH secret; HELLO 3 AUTH default x; CLIENT GETNAME", "CONFIG SET requirepass x; PING",
	} {
		compare(t, redis, ours, line, harness.CommandLine(line))
	}
	for _, packet := range []string{
		"PING\r\n", "AUTH secret\r\nPING\r\n", "POST / HTTP/1.1\r\n", "*x\r\n", "*11\r\n", "*10\r\n$16385\r\n", "*1\r\n$16385\r\n", "*1\r\n$100000000\r\n", "*1\r\n$536870912\r\n", "*1\r\n$536870913\r\n", "*1048577\r\n", "*2147483647\r\n", "*2147483648\r\n", "*2\r\n$4\r\nECHO\r\n$16384\r\n" + strings.Repeat("x", 16384) + "\r\n",
		"AUTH secret\r\n*11\r\n$4\r\nPING\r\n" + strings.Repeat("$1\r\nx\r\n", 10), "PING\r\n*11\r\n", "*9223372036854775807\r\n", "*1\r\n$9223372036854775807\r\n", "*-1\r\n", "*1\r\n:1\r\n",
	} {
		compare(t, redis, ours, packet, packet)
	}
}

// Deliberate differences. Each has its reason and rlserver's whole answer, without that to
// QUIT unless the connection ends.
var deliberate = []struct{ packet, answer, reason string }{
	{harness.CommandLine("SELECT 1"), "-ERR DB index is out of range\r\n", "there is one database"},
	{harness.CommandLine("CONFIG GET databases"), "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n", "there is one database"},
	{harness.CommandLine("READONLY"), "+OK\r\n", "cluster clients send it, and it must succeed (PROTOCOL.md)"},
	{harness.CommandLine("READWRITE"), "+OK\r\n", "as READONLY"},
	{harness.CommandLine("CLIENT SETINFO LIB-NAME x"), "+OK\r\n", "Redis 7.0 lacks it; INFO claims 7.4"},
	{harness.CommandLine("CLIENT NO-TOUCH on"), "+OK\r\n", "Redis 7.0 lacks it; INFO claims 7.4"},
	{harness.CommandLine("COMMAND GETKEYS nosuch"), "-ERR Invalid command specified\r\n", "as Redis 7.2, where one word is enough"},
	{harness.CommandLine("COMMAND GETKEYS ping"), "-ERR The command has no key arguments\r\n", "as Redis 7.2, where one word is enough"},
	{harness.CommandLine("COMMAND GETKEYS ttl"), "-ERR Invalid number of arguments specified for command\r\n", "as Redis 7.2, where one word is enough"},
	{harness.CommandLine("CONFIG SET timeout x"), "-ERR CONFIG SET failed (possibly related to argument 'timeout') - \"x\" is not accepted for timeout: expected 0 to 31536000, in whole seconds or with s, m, h or d; 0 is never\r\n", "says what is accepted"},
	{harness.CommandLine("CONFIG SET protected-mode maybe"), "-ERR CONFIG SET failed (possibly related to argument 'protected-mode') - \"maybe\" is not accepted for protected-mode: expected yes or no\r\n", "says what is accepted"},
	{harness.CommandLine("DEL "), "-ERR key is 0 bytes long: accepted is 1 to 1024 bytes\r\n", "keys have 1 to 1024 bytes"},
	{harness.CommandLine("GET a"), "-ERR unknown command 'GET', with args beginning with: 'a' \r\n", "it keeps limits, not strings"},
	{harness.CommandLine("SCAN -1"), "-ERR invalid cursor\r\n", "no cursor is negative, and newer Redis refuses it too"},
	{harness.CommandLine("SCAN "), "-ERR invalid cursor\r\n", "no cursor is empty, and newer Redis refuses it too"},
	{harness.CommandLine("HELLO 3 SETNAME a AUTH x y; CLIENT GETNAME"), "-WRONGPASS invalid username-password pair or user is disabled.\r\n$-1\r\n", "a HELLO that fails changes nothing; Redis keeps the name"},
	{harness.CommandLine("HELLO 2 SETNAME a FOO; CLIENT GETNAME"), "-ERR Syntax error in HELLO option 'FOO'\r\n$-1\r\n", "a HELLO that fails changes nothing; Redis keeps the name"},
	{harness.Command("foo\x00bar", "a\x00b"), "-ERR unknown command 'foo\x00bar', with args beginning with: 'a\x00b' \r\n", "Redis prints C strings, which end at NUL"},
	{harness.Command("POST", "/"), "-ERR unknown command 'POST', with args beginning with: '/' \r\n", "what a browser sends is inline, and only there POST ends the connection"},
	{"*1\r\n\x014\r\n", "-ERR Protocol error: expected '$', got '?'\r\nEOF", "no unprintable bytes in error texts"},
	{"*1048577\r\n", "-ERR Protocol error: invalid multibulk length\r\nEOF", "a command has at most 1,048,576 arguments; Redis allows two thousand times that"},
	{"*1\r\n$1048577\r\n", "-ERR Protocol error: invalid bulk length\r\nEOF", "an argument has at most 1 MB; Redis allows 512 MB"},
	{harness.CommandLine("MONITOR; MONITOR; RESET"), "+OK\r\n+OK\r\n+RESET\r\n", "every command gets an answer; Redis leaves the second MONITOR without"},
	{harness.CommandLine("CONFIG SET timeout 01"), "-ERR CONFIG SET failed (possibly related to argument 'timeout') - \"01\" is not accepted for timeout: expected 0 to 31536000, in whole seconds or with s, m, h or d; 0 is never\r\n", "Redis refuses it too, and ours says what is accepted"},
	{harness.CommandLine("CONFIG SET timeout +1"), "-ERR CONFIG SET failed (possibly related to argument 'timeout') - \"+1\" is not accepted for timeout: expected 0 to 31536000, in whole seconds or with s, m, h or d; 0 is never\r\n", "as 01"},
	{"PING\r\nPOST / HTTP/1.1\r\n\r\n", "+PONG\r\nEOF", "what came before POST is answered; Redis drops the answers"},
	{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "-ERR unknown command 'GET', with args beginning with: '/' 'HTTP/1.1' \r\nEOF", "as before POST"},
	{"PING\x00\r\n", "+PONG\r\n", "Redis looks for a line's end with strchr, which stops at NUL"},
}

func TestDifferentFromRedis(t *testing.T) {
	redis, ours := harness.StartRedis(t), harness.StartServer(t)
	for _, d := range deliberate {
		want, ends := strings.CutSuffix(d.answer, "EOF")
		if !ends {
			want += "+OK\r\n"
		}
		got := hear(t, ours, d.packet+harness.Command("QUIT"))
		if got != want {
			t.Errorf("%.100q (%s):\n got %q\nwant %q", d.packet, d.reason, got, want)
		}
		if theirs := hearAWhile(redis, d.packet+harness.Command("QUIT")); theirs == got {
			t.Errorf("%.100q is answered %q by both: no difference any more (%s)", d.packet, got, d.reason)
		}
	}
}

// hearAWhile is hear for a server that may wait for more bytes.
func hearAWhile(p *harness.Process, packet string) string {
	p.T.Helper()
	c := p.Dial()
	c.Send(packet)
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(c.Reader) // how it ends is not what is compared
	_ = c.Close()
	return string(got)
}
