package operator

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// What an operator and Sentinel tell a server about its files, its role and its end.

// With Redis as the backend there is nothing to keep here, and everything that asks for it is
// told so.
func TestNothingIsKeptForRedis(t *testing.T) {
	r := harness.StartRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr()).Dial()
	for _, words := range []string{"SAVE", "BGSAVE", "BGREWRITEAOF", "LASTSAVE", "REPLICAOF NO ONE", "SLAVEOF h 1", "WAIT 0 0", "REPLCONF capa x", "RL.SYNC 1 ? -1"} {
		name, _, _ := strings.Cut(words, " ")
		c.MustFail("ERR "+name+" is not available with --backend redis; ask Redis itself", strings.Fields(words)...)
	}
	for _, pair := range [][2]string{{"appendonly", "yes"}, {"save", "60 1"}, {"min-replicas-to-write", "1"}} {
		c.MustFail("this server keeps nothing on disk and has no replicas", "CONFIG", "SET", pair[0], pair[1])
	}
	isPrimary(t, c)
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--backend", "redis", "--appendonly", "yes"}, "--appendonly: appendonly is not available with --backend redis"},
		{[]string{"--backend", "redis-cluster", "--save", "60 1"}, "--save: save is not available with --backend redis-cluster"},
		{[]string{"--backend", "redis", "--replicaof", "127.0.0.1 6380"}, "--replicaof: replicaof is not available with --backend redis"},
		{[]string{"--masteruser", "me"}, "--masteruser: masteruser needs a password"},
		{[]string{"--replicaof", "127.0.0.1"}, "expected host port"},
		{[]string{"--replicaof", "-1 6380"}, "expected host port"},
		{[]string{"--replica-announce-ip", "-1"}, "expected the name or IP address of a host"},
		{[]string{"--redis-addr", "-1:6379"}, "expected host:port"},
		{[]string{"--dir", "/nonexistent/a"}, "--dir: there is no directory /nonexistent/a; make it (mkdir -p /nonexistent/a), or choose another with dir"},
		{[]string{"--dir", "/dev/null"}, "--dir: /dev/null is not a directory"},
		{[]string{"--timeout", "1500ms"}, "in whole seconds or with s, m, h or d"},
		{[]string{"--appendfsync", "often"}, "expected always, everysec or no"},
	} {
		out, err := exec.Command(harness.Binary(t), append([]string{"serve", "--port", "auto"}, test.flags...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%v: %v, %s; want %q", test.flags, err, out, test.want)
		}
	}
}

// isPrimary: ROLE, INFO and HELLO say so in the form that clients read.
func isPrimary(t *testing.T, c *harness.Conn) {
	t.Helper()
	role := c.Ask("ROLE")
	if len(role.Parts) != 3 || role.Parts[0].Kind != '$' || role.Parts[0].Text != "master" || role.Parts[1].Kind != ':' ||
		role.Parts[2].Kind != '*' || len(role.Parts[2].Parts) != 0 {
		t.Errorf("ROLE: %+v", role)
	}
	if _, fields := c.Info("replication"); fields["role"] != "master" || fields["connected_slaves"] != "0" {
		t.Errorf("INFO replication: %v", fields)
	}
	if got := c.Ask("HELLO", "2").Pairs()["role"].Text; got != "master" {
		t.Errorf("HELLO says %q", got)
	}
}

// What redis-cli --stat, redis-benchmark and other tools read is there without any setting.
func TestFieldsOfPersistence(t *testing.T) {
	c := harness.StartServer(t).Dial()
	isPrimary(t, c)
	_, fields := c.Info("persistence")
	for _, name := range []string{"loading", "rdb_bgsave_in_progress", "aof_enabled", "aof_rewrite_in_progress"} {
		if fields[name] != "0" {
			t.Errorf("%s is %q, want 0", name, fields[name])
		}
	}
	for name, want := range map[string]string{
		"save": "", "appendonly": "no", "appendfsync": "everysec", "dir": ".", "replicaof": "", "masterauth": "",
		"replica-priority": "100", "repl-backlog-size": "16777216", "repl-timeout": "60", "auto-aof-rewrite-percentage": "100",
	} {
		got := c.Ask("CONFIG", "GET", name)
		if len(got.Parts) != 2 || got.Parts[0].Text != name || got.Parts[1].Text != want {
			t.Errorf("CONFIG GET %s: %q, want %q", name, got.Texts(), want)
		}
	}
	c.MustFail("can't set immutable config", "CONFIG", "SET", "replicaof", "127.0.0.1 1")
	c.MustFail("can't set immutable config", "CONFIG", "SET", "dir", "/tmp")
}

// CONFIG REWRITE makes what CONFIG SET has changed last over a restart, and warns of what will
// be overridden then.
func TestConfigRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rlserver.yaml")
	if err := os.WriteFile(path, []byte("# ours\ntimeout: 5 # s\n\nmaxclients: 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := harness.StartServer(t, "--config", path, "--slowlog-max-len", "7")
	c := p.Dial()
	c.MustSay("OK", "CONFIG", "SET", "timeout", "0", "requirepass", "geheim: #1", "slowlog-max-len", "9")
	c.MustSay("OK", "CONFIG", "REWRITE")
	text, err := os.ReadFile(path)
	if want := "# ours\ntimeout: 0 # s\n\nmaxclients: 100\nrequirepass: 'geheim: #1'\nslowlog-max-len: 9\n"; err != nil || string(text) != want {
		t.Errorf("the file is %q, %v, want %q", text, err, want)
	}
	harness.Eventually(t, "the log warns", func() bool {
		return strings.Contains(p.Log.String(), `"name":"slowlog-max-len","from":"--slowlog-max-len"`)
	})
	if strings.Contains(p.Log.String(), "geheim") {
		t.Error("the password is in the log")
	}
	c = harness.StartServer(t, "--config", path).Dial()
	c.MustFail("NOAUTH", "PING")
	c.MustSay("OK", "AUTH", "geheim: #1")
	if got := c.Ask("CONFIG", "GET", "slowlog-max-len", "timeout").Texts(); strings.Join(got, " ") != "timeout 0 slowlog-max-len 9" {
		t.Errorf("after the restart: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.MustFail("ERR Rewriting config file: ", "CONFIG", "REWRITE")
	harness.StartServer(t).Dial().MustFail("ERR The server is running without a config file", "CONFIG", "REWRITE")
}

// SHUTDOWN is answered by the connection's end, and the process ends as SIGTERM ends it: what
// others have asked before is answered.
func TestShutdownByCommand(t *testing.T) {
	for _, words := range [][]string{{"SHUTDOWN"}, {"SHUTDOWN", "NOSAVE"}} {
		p := harness.StartServer(t)
		c, other := p.Dial(), accepted(p)
		other.Send(harness.Command("KEYS", "*") + harness.Command("RL.CHECK", "k", "token_bucket", "10", "60"))
		c.MustFail("syntax error", "SHUTDOWN", "AT", "ONCE")
		c.Send(harness.Command(words...))
		c.MustBeClosed()
		if got := other.Reply() + other.Reply(); !strings.HasPrefix(got, "*0\r\n*6\r\n:1\r\n") {
			t.Errorf("another connection was answered %q", got)
		}
		other.MustBeClosed()
		select {
		case <-p.Done:
		case <-time.After(harness.Patience):
			t.Fatalf("it still runs\n%s", p.Log)
		}
		if p.Err != nil || !strings.Contains(p.Log.String(), "shutdown was asked for") {
			t.Errorf("it ended with %v\n%s", p.Err, p.Log)
		}
	}
	p := harness.StartServer(t)
	out, err := exec.Command("redis-cli", "-p", strconv.Itoa(p.Port), "SHUTDOWN", "NOSAVE").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("redis-cli SHUTDOWN NOSAVE: %v, %q", err, out)
	}
	<-p.Done
}

// maxclients is lowered to what the system lets the process have open, as Redis does, and is not
// raised beyond that.
func TestFewDescriptors(t *testing.T) {
	under := func(limit string) []string {
		through := []string{"bash", "-c", "ulimit -n " + limit + ` && exec "$0" "$@"`}
		if os.Geteuid() == 0 { // who may raise the limit again
			through = append([]string{"setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"}, through...)
		}
		return through
	}
	p := harness.StartServerBy(t, under("64"), "--maxclients", "50")
	c := p.Dial()
	if got := c.Ask("CONFIG", "GET", "maxclients").Texts(); got[1] != "32" || !strings.Contains(p.Log.String(), "maxclients is lowered") {
		t.Errorf("with 64 descriptors maxclients is %v\n%s", got, p.Log)
	}
	c.MustFail("ERR CONFIG SET failed (possibly related to argument 'maxclients') - "+
		"The operating system is not able to handle the specified number of clients, try with 32", "CONFIG", "SET", "maxclients", "33")
	c.MustSay("OK", "CONFIG", "SET", "maxclients", "32")
	words := append(under("20"), harness.Binary(t), "serve", "--port", "auto")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if want := "rlserver: the system lets this process have 20 files open, and it needs at least 33"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("with 20 descriptors: %v, %s; want %q", err, out, want)
	}
}
