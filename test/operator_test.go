package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What an operator and Sentinel tell a server about its files, its role and its end.

// With Redis as the backend there is nothing to keep here, and everything that asks for it is
// told so.
func TestNothingIsKeptForRedis(t *testing.T) {
	r := startRedis(t)
	c := startServer(t, "--backend", "redis", "--redis-addr", r.addr()).dial()
	for _, words := range []string{"SAVE", "BGSAVE", "BGREWRITEAOF", "LASTSAVE", "REPLICAOF NO ONE", "SLAVEOF h 1", "WAIT 0 0", "REPLCONF capa x", "RL.SYNC 1 ? -1"} {
		name, _, _ := strings.Cut(words, " ")
		c.mustFail("ERR "+name+" is not available with --backend redis; ask Redis itself", strings.Fields(words)...)
	}
	for _, pair := range [][2]string{{"appendonly", "yes"}, {"save", "60 1"}, {"min-replicas-to-write", "1"}} {
		c.mustFail("this server keeps nothing on disk and has no replicas", "CONFIG", "SET", pair[0], pair[1])
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
		{[]string{"--appendfsync", "often"}, "expected always, everysec or no"},
	} {
		out, err := exec.Command(binary, append([]string{"serve", "--port", "0"}, test.flags...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%v: %v, %s; want %q", test.flags, err, out, test.want)
		}
	}
}

// isPrimary: ROLE, INFO and HELLO say so in the form that clients read.
func isPrimary(t *testing.T, c *rawConn) {
	t.Helper()
	role := c.ask("ROLE")
	if len(role.parts) != 3 || role.parts[0].kind != '$' || role.parts[0].text != "master" || role.parts[1].kind != ':' ||
		role.parts[2].kind != '*' || len(role.parts[2].parts) != 0 {
		t.Errorf("ROLE: %+v", role)
	}
	if _, fields := c.info("replication"); fields["role"] != "master" || fields["connected_slaves"] != "0" {
		t.Errorf("INFO replication: %v", fields)
	}
	if got := c.ask("HELLO", "2").pairs()["role"].text; got != "master" {
		t.Errorf("HELLO says %q", got)
	}
}

// What redis-cli --stat, redis-benchmark and other tools read is there without any setting.
func TestFieldsOfPersistence(t *testing.T) {
	c := startServer(t).dial()
	isPrimary(t, c)
	_, fields := c.info("persistence")
	for _, name := range []string{"loading", "rdb_bgsave_in_progress", "aof_enabled", "aof_rewrite_in_progress"} {
		if fields[name] != "0" {
			t.Errorf("%s is %q, want 0", name, fields[name])
		}
	}
	for name, want := range map[string]string{
		"save": "", "appendonly": "no", "appendfsync": "everysec", "dir": ".", "replicaof": "", "masterauth": "",
		"replica-priority": "100", "repl-backlog-size": "16777216", "repl-timeout": "60", "auto-aof-rewrite-percentage": "100",
	} {
		got := c.ask("CONFIG", "GET", name)
		if len(got.parts) != 2 || got.parts[0].text != name || got.parts[1].text != want {
			t.Errorf("CONFIG GET %s: %q, want %q", name, got.texts(), want)
		}
	}
	c.mustFail("can't set immutable config", "CONFIG", "SET", "replicaof", "127.0.0.1 1")
	c.mustFail("can't set immutable config", "CONFIG", "SET", "dir", "/tmp")
}

// CONFIG REWRITE makes what CONFIG SET has changed last over a restart, and warns of what will
// be overridden then.
func TestConfigRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rlserver.yaml")
	if err := os.WriteFile(path, []byte("# ours\ntimeout: 5 # s\n\nmaxclients: 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServer(t, "--config", path, "--slowlog-max-len", "7")
	c := p.dial()
	c.mustSay("OK", "CONFIG", "SET", "timeout", "0", "requirepass", "geheim: #1", "slowlog-max-len", "9")
	c.mustSay("OK", "CONFIG", "REWRITE")
	text, err := os.ReadFile(path)
	if want := "# ours\ntimeout: 0 # s\n\nmaxclients: 100\nrequirepass: 'geheim: #1'\nslowlog-max-len: 9\n"; err != nil || string(text) != want {
		t.Errorf("the file is %q, %v, want %q", text, err, want)
	}
	eventually(t, "the log warns", func() bool {
		return strings.Contains(p.log.String(), `"name":"slowlog-max-len","from":"--slowlog-max-len"`)
	})
	if strings.Contains(p.log.String(), "geheim") {
		t.Error("the password is in the log")
	}
	c = startServer(t, "--config", path).dial()
	c.mustFail("NOAUTH", "PING")
	c.mustSay("OK", "AUTH", "geheim: #1")
	if got := c.ask("CONFIG", "GET", "slowlog-max-len", "timeout").texts(); strings.Join(got, " ") != "timeout 0 slowlog-max-len 9" {
		t.Errorf("after the restart: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.mustFail("ERR Rewriting config file: ", "CONFIG", "REWRITE")
	startServer(t).dial().mustFail("ERR The server is running without a config file", "CONFIG", "REWRITE")
}

// SHUTDOWN is answered by the connection's end, and the process ends as SIGTERM ends it: what
// others have asked before is answered.
func TestShutdownByCommand(t *testing.T) {
	for _, words := range [][]string{{"SHUTDOWN"}, {"SHUTDOWN", "NOSAVE"}} {
		p := startServer(t)
		c, other := p.dial(), accepted(p)
		other.send(command("KEYS", "*") + command("RL.CHECK", "k", "token_bucket", "10", "60"))
		c.mustFail("syntax error", "SHUTDOWN", "AT", "ONCE")
		c.send(command(words...))
		c.mustBeClosed()
		if got := other.reply() + other.reply(); !strings.HasPrefix(got, "*0\r\n*6\r\n:1\r\n") {
			t.Errorf("another connection was answered %q", got)
		}
		other.mustBeClosed()
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			t.Fatalf("it still runs\n%s", p.log)
		}
		if p.err != nil || !strings.Contains(p.log.String(), "shutdown was asked for") {
			t.Errorf("it ended with %v\n%s", p.err, p.log)
		}
	}
	p := startServer(t)
	if out := p.redisCLI("SHUTDOWN", "NOSAVE"); out != "" {
		t.Errorf("redis-cli says %q", out)
	}
	<-p.done
}
