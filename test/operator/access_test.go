package operator

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

const noAuthReply = "-NOAUTH Authentication required.\r\n"

// Before the password is given, every command of the table but four answers NOAUTH and
// does nothing.
func TestAccessNeedsPassword(t *testing.T) {
	p := harness.StartServer(t, "--requirepass", "secret")
	friend := redis.NewClient(&redis.Options{Addr: p.Addr(), Password: "secret", MaxRetries: -1})
	defer func() { _ = friend.Close() }()
	ctx := context.Background()
	names, err := friend.Do(ctx, "COMMAND", "LIST").StringSlice()
	if err != nil || len(names) < 40 {
		t.Fatalf("COMMAND LIST: %v, %v", names, err)
	}
	harness.Integers(t, friend, "RL.CHECK", "k", "token_bucket", "10", "366d")
	open := 0
	for _, name := range names {
		info, err := friend.Do(ctx, "COMMAND", "INFO", name).Slice()
		if err != nil {
			t.Fatal(err)
		}
		arity := info[0].([]any)[1].(int64)
		line := strings.Split(name, "|")
		for int64(len(line)) < max(arity, -arity) {
			if len(line) == 2 { // with the name of a policy there, fewer words are enough
				line = append(line, "@k")
			} else {
				line = append(line, "k")
			}
		}
		c := p.Dial()
		c.Send(harness.Command(line...))
		switch got := c.Reply(); name {
		case "auth", "hello", "quit", "reset":
			open++
			if got == noAuthReply {
				t.Errorf("%s needs the password", name)
			}
		case "exec": // Redis puts it so
			if got != "-EXECABORT Transaction discarded because of: "+strings.TrimPrefix(noAuthReply, "-") {
				t.Errorf("%s was answered %.100q", name, got)
			}
		default: // Redis looks for a subcommand first
			if got != noAuthReply && got != "-ERR unknown subcommand 'k'. Try "+strings.ToUpper(name)+" HELP.\r\n" {
				t.Errorf("%s was answered %.100q", name, got)
			}
		}
		_ = c.Close()
	}
	if open != 4 {
		t.Errorf("%d of auth, hello, quit and reset are in the table", open)
	}
	if got := harness.Integers(t, friend, "RL.PEEK", "k", "token_bucket", "10", "366d"); got[2] != 9 {
		t.Errorf("strangers changed the key: %v", got)
	}
	// What is wrong tells nothing of the server.
	c := p.Dial()
	c.Send(harness.Command("CLIENT", "NOSUCH", "x") + harness.Command("RL.CHECK", "k", "nosuch", "x", "y") + harness.Command("CONFIG", "GET", "requirepass"))
	if got := c.Reply() + c.Reply() + c.Reply(); got != "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"+noAuthReply+noAuthReply {
		t.Errorf("bad commands before AUTH were answered %q", got)
	}
}

// A step of a script: which connection says what, and how the answer begins.
type accessStep struct {
	conn       int // the number of a connection, which opens when it is first used
	says, want string
}

const (
	wrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	noPass    = "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"
	resp3     = "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"
	resp2     = "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n"
	ok, pong  = "+OK\r\n", "+PONG\r\n"
)

// follow runs a script against a server. The connections 0 to 3 are there from the start.
func follow(t *testing.T, name string, p *harness.Process, script []accessStep) {
	t.Helper()
	conns := map[int]*harness.Conn{}
	for i := range 4 {
		conns[i] = p.Dial()
		conns[i].Send(harness.Command("HELLO", "x")) // answered, so it is served
		conns[i].Reply()
	}
	for i, step := range script {
		c := conns[step.conn]
		if c == nil {
			c = p.Dial()
			conns[step.conn] = c
		}
		c.Send(harness.CommandLine(step.says))
		if got := c.Reply(); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s, step %d, %d says %q:\n got %q\nwant %q", name, i+1, step.conn, step.says, got, step.want)
		}
	}
}

// The ways to give a password, on a server that wants "secret".
func TestAccessAuth(t *testing.T) {
	script := []accessStep{
		{0, "AUTH wrong", wrongPass}, {0, "PING", noAuthReply},
		{0, "AUTH Secret", wrongPass}, {0, "AUTH ", wrongPass}, {0, "AUTH secret ", wrongPass},
		{0, "AUTH bob secret", wrongPass}, {0, "AUTH DEFAULT secret", wrongPass}, {0, "AUTH default wrong", wrongPass}, {0, "PING", noAuthReply},
		{0, "AUTH secret", ok}, {0, "PING", pong},
		{0, "AUTH wrong", wrongPass}, {0, "PING", pong}, // a wrong password takes nothing away
		{0, "RESET", "+RESET\r\n"}, {0, "PING", noAuthReply}, {0, "AUTH default secret", ok}, {0, "PING", pong},

		{1, "HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "},
		{1, "HELLO 3 AUTH default wrong", wrongPass}, {1, "PING", noAuthReply}, {1, "HELLO 3 AUTH bob secret", wrongPass},
		{1, "AUTH secret", ok}, {1, "CLIENT GETNAME", "$-1\r\n"}, // still RESP2
		{2, "HELLO 3 AUTH default secret", resp3}, {2, "PING", pong}, {2, "CLIENT GETNAME", "_\r\n"}, {2, "HELLO 2", resp2}, {2, "CLIENT GETNAME", "$-1\r\n"},
		{3, "HELLO 2 AUTH default secret SETNAME bob", resp2}, {3, "CLIENT GETNAME", "$3\r\nbob\r\n"},
		{3, "RESET", "+RESET\r\n"}, {3, "CLIENT GETNAME", noAuthReply}, {3, "QUIT", ok},
	}
	follow(t, "Redis", harness.StartRedis(t, "--requirepass", "secret"), script)
	follow(t, "rlserver", harness.StartServer(t, "--requirepass", "secret"), script)
}

// A password that comes, changes and goes while clients are connected. Redis follows the
// same script.
func TestAccessPasswordChanges(t *testing.T) {
	script := []accessStep{
		{0, "AUTH x", noPass}, {0, "AUTH default x", ok}, {0, "AUTH bob x", wrongPass},
		{0, "CONFIG SET requirepass one", ok},
		{0, "PING", pong}, {1, "PING", pong}, // a connection that was let in stays
		{4, "PING", noAuthReply}, {4, "AUTH one", ok}, {4, "PING", pong},
		{2, "RESET", "+RESET\r\n"}, {2, "PING", noAuthReply},
		{0, "CONFIG SET requirepass two", ok}, {0, "CONFIG GET requirepass", "*2\r\n$11\r\nrequirepass\r\n$3\r\ntwo\r\n"},
		{4, "PING", pong}, {5, "AUTH one", wrongPass}, {5, "AUTH two", ok}, {5, "PING", pong},
		{6, "PING", noAuthReply},
		{0, "CONFIG SET requirepass ", ok},
		{7, "PING", pong}, {7, "AUTH two", noPass},
		{6, "PING", pong}, // there is nothing left to ask for
		{2, "PING", pong},
		{0, "CONFIG SET requirepass three", ok},
		{7, "PING", pong}, {6, "PING", noAuthReply}, {2, "PING", noAuthReply}, {8, "PING", noAuthReply}, {8, "HELLO 3 AUTH default three", resp3}, {8, "PING", pong},
	}
	follow(t, "Redis", harness.StartRedis(t), script)
	follow(t, "rlserver", harness.StartServer(t), script)
}

// inNamespace runs within a network of its own, where 192.0.2.1 is another address of this
// machine that is not loopback. $1 is rlserver; what follows are flags.
const inNamespace = `
set -eu
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
ip addr add 192.0.2.1/32 dev lo
"$@" --port 6380 --bind 0.0.0.0 >log 2>&1 & server=$!
trap 'kill -TERM $server; wait $server || { cat log; exit 1; }' EXIT
for try in $(seq 200); do
	(exec 3<>/dev/tcp/127.0.0.1/6380) 2>/dev/null && break
	sleep 0.05
done
ask() { # ADDRESS BYTES: what is answered until EOF
	exec 3<>/dev/tcp/$1/6380
	printf "$2" >&3
	timeout 5 cat <&3
	exec 3>&-
}
`

// runInNamespace runs inNamespace and then more; it returns what they print.
func runInNamespace(t *testing.T, more string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	args := []string{"--net"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	args = append(args, "bash", "-c", inNamespace+more, "bash", harness.Binary(t), "serve")
	cmd := exec.CommandContext(ctx, "unshare", append(args, flags...)...)
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

const denied = "-DENIED rlserver is running in protected mode: no password is set, so only connections from this machine are accepted. " +
	"To accept others, set a password (--requirepass, RLSERVER_REQUIREPASS or requirepass in the configuration file), " +
	"or, where the network itself is trusted, turn protected mode off (--protected-mode no).\n"

// Without a password, connections that do not come over loopback are told why they are
// refused, until protected mode is turned off or a password is set.
func TestProtectedModeRefusesStrangers(t *testing.T) {
	got := runInNamespace(t, `
echo "loopback:"; ask 127.0.0.1 'PING\r\nQUIT\r\n'
echo "stranger:"; ask 192.0.2.1 ''
echo "off:"; ask 127.0.0.1 'CONFIG SET protected-mode no\r\nQUIT\r\n'; ask 192.0.2.1 'PING\r\nQUIT\r\n'
echo "on:"; ask 127.0.0.1 'CONFIG SET protected-mode yes\r\nQUIT\r\n'; ask 192.0.2.1 ''
echo "password:"; ask 127.0.0.1 'CONFIG SET requirepass secret\r\nQUIT\r\n'; ask 192.0.2.1 'PING\r\nAUTH secret\r\nPING\r\nQUIT\r\n'
`)
	want := "loopback:\n+PONG\n+OK\nstranger:\n" + denied +
		"off:\n+OK\n+OK\n+PONG\n+OK\n" +
		"on:\n+OK\n+OK\n" + denied +
		"password:\n+OK\n+OK\n-NOAUTH Authentication required.\n+OK\n+PONG\n+OK\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A password, or protected mode off, from the start: strangers are let in.
func TestProtectedModeLetsStrangersIn(t *testing.T) {
	const ask = `
echo "loopback:"; ask 127.0.0.1 'PING\r\nQUIT\r\n'
echo "stranger:"; ask 192.0.2.1 'PING\r\nAUTH secret\r\nPING\r\nQUIT\r\n'
`
	got := runInNamespace(t, ask, "--requirepass", "secret")
	if want := "loopback:\n" + noAuthReply + ok + "stranger:\n" + noAuthReply + ok + pong + ok; got != strings.ReplaceAll(want, "\r\n", "\n") {
		t.Errorf("with a password, got\n%s\nwant\n%s", got, want)
	}
	got = runInNamespace(t, ask, "--protected-mode", "no")
	if want := "loopback:\n" + pong + ok + "stranger:\n" + pong + noPass + pong + ok; got != strings.ReplaceAll(want, "\r\n", "\n") {
		t.Errorf("without protected mode, got\n%s\nwant\n%s", got, want)
	}
}
