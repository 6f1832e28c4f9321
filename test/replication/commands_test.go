package replication

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// follow makes a running node a replica of another.
func follow(n *harness.Node, primary *harness.Node) {
	n.T.Helper()
	n.MustSay("OK", "REPLICAOF", "127.0.0.1", strconv.Itoa(primary.Port))
}

// mustPeek wants so many units of a token bucket of ten to remain.
func mustPeek(n *harness.Node, key string, want int64) {
	n.T.Helper()
	if got := n.Remaining(key, "token_bucket", 10); got != want {
		n.T.Errorf("on port %d %d of %s remain, want %d", n.Port, got, key, want)
	}
}

// mustTake has a unit of a token bucket of ten admitted.
func mustTake(n *harness.Node, key string) {
	n.T.Helper()
	if got, err := n.Check(key, "token_bucket", 10, 1); err != nil || got[0] != 1 {
		n.T.Errorf("on port %d RL.CHECK %s: %v %v", n.Port, key, got, err)
	}
}

// What a replica answers: questions as its primary would, and to changes that they are not
// for it. ROLE, INFO, HELLO and WAIT tell the roles.
func TestReplicaAnswers(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t)
	mustTake(primary, "before")
	replica := harness.StartNode(t)
	mustTake(replica, "its own")
	follow(replica, primary)
	if role := replica.Ask("ROLE").Texts(); role[0] != "slave" || role[1] != "127.0.0.1" || role[2] != strconv.Itoa(primary.Port) {
		t.Errorf("just after REPLICAOF ROLE is %q", role)
	}
	harness.AwaitSync(primary, replica)
	mustTake(primary, "after")
	if got := primary.Ask("WAIT", "1", "60000").Text; got != "1" {
		t.Errorf("WAIT 1 is answered %s", got)
	}
	if began, got := time.Now(), primary.Ask("WAIT", "2", "200").Text; got != "1" || time.Since(began) < 200*time.Millisecond {
		t.Errorf("WAIT 2 is answered %s after %v", got, time.Since(began))
	}
	mustPeek(replica, "before", 9)
	mustPeek(replica, "after", 9)
	mustPeek(replica, "its own", 10) // the primary does not have it
	if keys := keys(replica); !slices.Equal(keys, []string{"after", "before"}) {
		t.Errorf("the replica has %q", keys)
	}
	if got := replica.Ask("TYPE", "after").Text; got != "token_bucket" {
		t.Errorf("TYPE is %s", got)
	}
	if ttl := replica.Ask("TTL", "after").Number(t); ttl < 8*86400 || ttl > 10*86400 {
		t.Errorf("TTL is %d", ttl)
	}
	const readOnly = "READONLY You can't write against a read only replica."
	for _, words := range []string{"RL.CHECK k token_bucket 10 60", "RL.REFUND k leaky_bucket 10 60", "RL.RESET before", "FLUSHALL", "FLUSHDB", "DEL before"} {
		replica.MustFail(readOnly, strings.Fields(words)...)
	}
	replica.MustFail("ERR", "WAIT", "0", "0")
	mustPeek(replica, "before", 9)
	role := primary.Ask("ROLE")
	if parts := role.Parts; len(parts) != 3 || parts[0].Text != "master" || len(parts[2].Parts) != 1 ||
		parts[2].Parts[0].Texts()[1] != strconv.Itoa(replica.Port) {
		t.Errorf("ROLE of the primary is %+v", role)
	}
	role = replica.Ask("ROLE")
	if texts := role.Texts(); len(texts) != 5 || texts[0] != "slave" || texts[3] != "connected" {
		t.Errorf("ROLE of the replica is %q", texts)
	}
	if got := replica.Ask("HELLO", "2").Pairs()["role"].Text; got != "replica" {
		t.Errorf("HELLO says %q", got)
	}
	line := primary.Field("slave0")
	if want := "ip=127.0.0.1,port=" + strconv.Itoa(replica.Port) + ",state=online,offset="; !strings.HasPrefix(line, want) || !strings.Contains(line, ",lag=") {
		t.Errorf("slave0 is %q", line)
	}
	if list := primary.Ask("CLIENT", "LIST", "TYPE", "replica").Text; strings.Count(list, "flags=S") != 1 {
		t.Errorf("CLIENT LIST TYPE replica: %q", list)
	}
	before := primary.Count("sync_partial_ok")
	primary.MustSay("1", "CLIENT", "KILL", "TYPE", "replica")
	primary.AwaitThat("the replica is back", func() bool { return primary.Count("sync_partial_ok") == before+1 })
}

// A replica that becomes a primary keeps what it has and admits; when it follows again, what
// the new primary does not have is gone.
func TestFollowAgain(t *testing.T) {
	t.Parallel()
	for _, disk := range []string{"no", "yes"} {
		t.Run("appendonly "+disk, func(t *testing.T) {
			primary := harness.StartNode(t)
			replica := harness.StartNode(t, "--appendonly", disk, "--appendfsync", "always")
			mustTake(primary, "shared")
			follow(replica, primary)
			harness.AwaitSync(primary, replica)
			replica.MustSay("OK", "REPLICAOF", "NO", "ONE")
			if got := replica.Ask("ROLE").Texts()[0]; got != "master" {
				t.Errorf("ROLE is %s", got)
			}
			mustPeek(replica, "shared", 9)
			mustTake(replica, "shared")
			mustTake(replica, "only here")
			mustTake(primary, "only there")
			replica.MustSay("OK", "SLAVEOF", "127.0.0.1", strconv.Itoa(primary.Port))
			harness.AwaitSync(primary, replica)
			mustPeek(replica, "shared", 9)
			mustPeek(replica, "only here", 10)
			mustPeek(replica, "only there", 9)
			mustEqual(t, primary, replica)
			if disk == "yes" {
				replica.AwaitField("aof_rewrite_in_progress", "0")
				replica.Kill()
				replica.Start() // as a primary, with what is on its disk
				mustPeek(replica, "only here", 10)
				mustPeek(replica, "only there", 9)
			}
		})
	}
}

// A replica needs the password of its primary, and says so until it has it.
func TestReplicationWithPassword(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t)
	mustTake(primary, "k")
	primary.MustSay("OK", "CONFIG", "SET", "requirepass", "secret")
	replica := harness.StartNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	replica.AwaitThat("the log says why there is no link", func() bool { return strings.Contains(replica.Log.String(), "NOAUTH") })
	replica.MustSay("OK", "CONFIG", "SET", "masterauth", "wrong")
	replica.AwaitThat("the log says that it is wrong", func() bool { return strings.Contains(replica.Log.String(), "WRONGPASS") })
	if replica.Field("master_link_status") != "down" || replica.Field("master_link_down_since_seconds") == "" {
		t.Errorf("INFO: %s", replica.Ask("INFO", "replication").Text)
	}
	replica.MustSay("OK", "CONFIG", "SET", "masterauth", "secret")
	replica.AwaitField("master_link_status", "up")
	mustPeek(replica, "k", 9)
	if strings.Contains(replica.Log.String(), "secret") {
		t.Error("the password is in the log")
	}
}

// Replication over TLS, with a certificate for each side.
func TestReplicationOverTLS(t *testing.T) {
	t.Parallel()
	ca, folder := harness.NewAuthority(t), t.TempDir()
	certFile, keyFile := ca.Sign(t, folder, 2)
	port := strconv.Itoa(harness.FreePort(t))
	own := []string{"--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", ca.File}
	primary := harness.StartNode(t, append(own, "--tls-port", port, "--tls-auth-clients", "yes")...)
	mustTake(primary, "k")
	replicaPort := strconv.Itoa(harness.FreePort(t))
	replica := harness.StartNode(t, append(own, "--tls-replication", "yes", "--tls-port", replicaPort, "--replicaof", "127.0.0.1 "+port)...)
	replica.AwaitField("master_link_status", "up")
	mustPeek(replica, "k", 9)
	mustTake(primary, "k")
	if got := primary.Ask("WAIT", "1", "60000").Text; got != "1" {
		t.Errorf("WAIT is answered %s", got)
	}
	mustPeek(replica, "k", 8)
	if line := primary.Field("slave0"); !strings.Contains(line, "port="+replicaPort+",") {
		t.Errorf("the replica is announced as %q; TLS is spoken on port %s", line, replicaPort)
	}
	stranger := harness.NewAuthority(t)
	strangerCert, strangerKey := stranger.Sign(t, t.TempDir(), 3)
	other := harness.StartNode(t, "--tls-replication", "yes", "--tls-cert-file", strangerCert, "--tls-key-file", strangerKey,
		"--tls-ca-cert-file", stranger.File, "--tls-port", strconv.Itoa(harness.FreePort(t)), "--replicaof", "127.0.0.1 "+port)
	other.AwaitThat("the log says that the certificate is no good", func() bool { return strings.Contains(other.Log.String(), "certificate") })
	if got := other.Field("master_link_status"); got != "down" {
		t.Errorf("with another authority the link is %s", got)
	}
}

// Changes are refused while too few replicas have been heard of.
func TestMinReplicasToWrite(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
	const few = "NOREPLICAS Not enough good replicas to write."
	primary.AwaitThat("changes are refused", func() bool { _, err := primary.Check("k", "token_bucket", 10, 1); return err != nil })
	primary.MustFail(few, "RL.CHECK", "k", "token_bucket", "10", "60")
	primary.MustFail(few, "FLUSHALL")
	if got := primary.Ask("RL.PEEK", "k", "token_bucket", "10", "60"); len(got.Parts) != 6 {
		t.Errorf("RL.PEEK: %+v", got)
	}
	_, l := startReplica(t, primary)
	primary.AwaitField("min_slaves_good_slaves", "1")
	primary.AwaitThat("changes are accepted", func() bool { _, err := primary.Check("m", "token_bucket", 10, 1); return err == nil })
	l.set(weather{hole: true})
	held := time.Now()
	primary.AwaitThat("changes are refused again", func() bool {
		reply := primary.Ask("RL.CHECK", "n", "token_bucket", "1000000", "60")
		return reply.Text == few
	})
	t.Logf("refused %v after nothing of the only replica arrived any more; min-replicas-max-lag is 2 s", time.Since(held).Round(10*time.Millisecond))
	l.set(weather{})
	primary.AwaitThat("changes are accepted again", func() bool { _, err := primary.Check("m", "token_bucket", 10, 1); return err == nil })
	primary.MustSay("OK", "CONFIG", "SET", "min-replicas-to-write", "2")
	primary.AwaitThat("two are asked for", func() bool {
		return primary.Ask("RL.CHECK", "n", "token_bucket", "1000000", "60").Text == few
	})
}

// What a replica announces of itself is what others are told, and CONFIG REWRITE keeps its
// primary.
func TestReplicaAnnouncesAndRemembers(t *testing.T) {
	t.Parallel()
	primary := harness.StartNode(t)
	path := filepath.Join(t.TempDir(), "rlserver.yaml")
	if err := os.WriteFile(path, []byte("replica-priority: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := harness.StartNode(t, "--config", path, "--replica-announce-ip", "192.0.2.7", "--replica-announce-port", "7777")
	follow(replica, primary)
	harness.AwaitSync(primary, replica)
	if line := primary.Field("slave0"); !strings.HasPrefix(line, "ip=192.0.2.7,port=7777,") {
		t.Errorf("slave0 is %q", line)
	}
	if got := replica.Field("slave_priority"); got != "7" {
		t.Errorf("slave_priority is %s", got)
	}
	replica.MustSay("OK", "CONFIG", "REWRITE")
	replica.End(os.Interrupt)
	replica.Start()
	replica.AwaitField("role", "slave")
	harness.AwaitSync(primary, replica)
	replica.MustSay("OK", "REPLICAOF", "NO", "ONE")
	replica.MustSay("OK", "CONFIG", "REWRITE")
	replica.Kill()
	replica.Start()
	if got := replica.Field("role"); got != "master" {
		t.Errorf("the role after a restart is %s", got)
	}
}

// A server that is no rlserver, or speaks another version, is told apart.
func TestReplicaOfSomethingElse(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	replica := harness.StartNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(redis.Port))
	replica.AwaitThat("the log says that it is no rlserver", func() bool {
		text := replica.Log.String()
		return strings.Contains(text, "no link to the primary") && strings.Contains(text, "RL.SYNC")
	})
	primary := harness.StartNode(t)
	primary.MustFail("ERR", "PSYNC", "?", "-1")
	primary.MustFail("ERR", "RL.SYNC", "x", "?", "-1")
	if got := primary.Ask("RL.SYNC", "9", "?", "-1"); got.Kind != '-' || !strings.Contains(got.Text, "version 9") {
		t.Errorf("a version that is not spoken is answered %+v", got)
	}
}

// A server does not become a replica of itself, under whatever address. Servers that follow each other
// in a circle say so, in INFO and in the log, and the way out is there.
func TestCircles(t *testing.T) {
	t.Parallel()
	self := harness.StartNode(t, "--bind", "0.0.0.0", "--protected-mode", "no")
	port := strconv.Itoa(self.Port)
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "127.0.0.9"} {
		self.MustFail("ERR A server cannot be a replica of itself", "REPLICAOF", host, port)
	}
	self.MustFail("ERR Invalid master host", "REPLICAOF", "-1", port)
	if got := self.Field("role"); got != "master" {
		t.Errorf("the role is %s", got)
	}
	self.MustSay("OK", "REPLICAOF", "127.0.0.1", "1") // that is not it
	mustSayWrong := func(n *harness.Node, want string) {
		t.Helper()
		n.AwaitThat("INFO and the log say "+want, func() bool {
			return strings.Contains(n.Field("master_link_error"), want) && strings.Contains(n.Log.String(), want)
		})
	}
	self.MustSay("OK", "REPLICAOF", "127.0.0.1", strconv.Itoa(startLink(t, self.Addr()).port)) // and forwards to it
	mustSayWrong(self, "the primary is this server itself")
	self.MustSay("OK", "REPLICAOF", "NO", "ONE")

	a, b, c := harness.StartNode(t), harness.StartNode(t), harness.StartNode(t)
	mustTake(a, "k")
	follow(b, a)
	follow(c, b)
	harness.AwaitSync(a, b, c)
	a.MustSay("OK", "REPLICAOF", "127.0.0.1", strconv.Itoa(c.Port))
	for _, n := range []*harness.Node{a, b} { // the link of c is up
		mustSayWrong(n, "servers follow each other in a circle")
	}
	b.MustSay("OK", "REPLICAOF", "NO", "ONE")
	mustTake(b, "k")
	harness.AwaitSync(b, c, a)
	mustPeek(a, "k", 8)
	if got := a.Field("master_link_error"); got != "" {
		t.Errorf("with the link up INFO says %q", got)
	}
	out, err := exec.Command(harness.Binary(t), "serve", "--port", port, "--replicaof", "127.0.0.1 "+port).CombinedOutput()
	if want := "replicaof 127.0.0.1 " + port + " is this server itself"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, %s; want %q", err, out, want)
	}
}
