package test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// follow makes a running node a replica of another.
func (n *node) follow(primary *node) {
	n.t.Helper()
	n.mustSay("OK", "REPLICAOF", "127.0.0.1", strconv.Itoa(primary.port))
}

// mustPeek wants so many units of a token bucket of ten to remain.
func (n *node) mustPeek(key string, want int64) {
	n.t.Helper()
	if got := n.remaining(key, "token_bucket", 10); got != want {
		n.t.Errorf("on port %d %d of %s remain, want %d", n.port, got, key, want)
	}
}

// mustTake has a unit of a token bucket of ten admitted.
func (n *node) mustTake(key string) {
	n.t.Helper()
	if got, err := n.check(key, "token_bucket", 10, 1); err != nil || got[0] != 1 {
		n.t.Errorf("on port %d RL.CHECK %s: %v %v", n.port, key, got, err)
	}
}

// What a replica answers: questions as its primary would, and to changes that they are not
// for it. ROLE, INFO, HELLO and WAIT tell who is who.
func TestReplicaAnswers(t *testing.T) {
	primary := startNode(t)
	primary.mustTake("before")
	replica := startNode(t)
	replica.mustTake("its own")
	replica.follow(primary)
	if role := replica.ask("ROLE").texts(); role[0] != "slave" || role[1] != "127.0.0.1" || role[2] != strconv.Itoa(primary.port) {
		t.Errorf("just after REPLICAOF ROLE is %q", role)
	}
	awaitSync(primary, replica)
	primary.mustTake("after")
	if got := primary.ask("WAIT", "1", "5000").text; got != "1" {
		t.Errorf("WAIT 1 is answered %s", got)
	}
	if began, got := time.Now(), primary.ask("WAIT", "2", "200").text; got != "1" || time.Since(began) < 200*time.Millisecond {
		t.Errorf("WAIT 2 is answered %s after %v", got, time.Since(began))
	}
	replica.mustPeek("before", 9)
	replica.mustPeek("after", 9)
	replica.mustPeek("its own", 10) // the primary does not have it
	if keys := replica.keys(); !slices.Equal(keys, []string{"after", "before"}) {
		t.Errorf("the replica has %q", keys)
	}
	if got := replica.ask("TYPE", "after").text; got != "token_bucket" {
		t.Errorf("TYPE is %s", got)
	}
	if ttl := replica.ask("TTL", "after").number(t); ttl < 8*86400 || ttl > 10*86400 {
		t.Errorf("TTL is %d", ttl)
	}
	const readOnly = "READONLY You can't write against a read only replica."
	for _, words := range []string{"RL.CHECK k token_bucket 10 60", "RL.REFUND k leaky_bucket 10 60", "RL.RESET before", "FLUSHALL", "FLUSHDB", "DEL before"} {
		replica.mustFail(readOnly, strings.Fields(words)...)
	}
	replica.mustFail("ERR", "WAIT", "0", "0")
	replica.mustPeek("before", 9)
	role := primary.ask("ROLE")
	if parts := role.parts; len(parts) != 3 || parts[0].text != "master" || len(parts[2].parts) != 1 ||
		parts[2].parts[0].texts()[1] != strconv.Itoa(replica.port) {
		t.Errorf("ROLE of the primary is %+v", role)
	}
	role = replica.ask("ROLE")
	if texts := role.texts(); len(texts) != 5 || texts[0] != "slave" || texts[3] != "connected" {
		t.Errorf("ROLE of the replica is %q", texts)
	}
	if got := replica.ask("HELLO", "2").pairs()["role"].text; got != "replica" {
		t.Errorf("HELLO says %q", got)
	}
	line := primary.field("slave0")
	if want := "ip=127.0.0.1,port=" + strconv.Itoa(replica.port) + ",state=online,offset="; !strings.HasPrefix(line, want) || !strings.Contains(line, ",lag=") {
		t.Errorf("slave0 is %q", line)
	}
	if list := primary.ask("CLIENT", "LIST", "TYPE", "replica").text; strings.Count(list, "flags=S") != 1 {
		t.Errorf("CLIENT LIST TYPE replica: %q", list)
	}
	before := primary.count("sync_partial_ok")
	primary.mustSay("1", "CLIENT", "KILL", "TYPE", "replica")
	primary.awaitThat("the replica is back", syncTimeMax, func() bool { return primary.count("sync_partial_ok") == before+1 })
}

// A replica that becomes a primary keeps what it has and admits; when it follows again, what
// the new primary does not have is gone.
func TestFollowAgain(t *testing.T) {
	for _, disk := range []string{"no", "yes"} {
		t.Run("appendonly "+disk, func(t *testing.T) {
			primary := startNode(t)
			replica := startNode(t, "--appendonly", disk, "--appendfsync", "always")
			primary.mustTake("shared")
			replica.follow(primary)
			awaitSync(primary, replica)
			replica.mustSay("OK", "REPLICAOF", "NO", "ONE")
			if got := replica.ask("ROLE").texts()[0]; got != "master" {
				t.Errorf("ROLE is %s", got)
			}
			replica.mustPeek("shared", 9)
			replica.mustTake("shared")
			replica.mustTake("only here")
			primary.mustTake("only there")
			replica.mustSay("OK", "SLAVEOF", "127.0.0.1", strconv.Itoa(primary.port))
			awaitSync(primary, replica)
			replica.mustPeek("shared", 9)
			replica.mustPeek("only here", 10)
			replica.mustPeek("only there", 9)
			mustEqual(t, primary, replica)
			if disk == "yes" {
				replica.awaitField("aof_rewrite_in_progress", "0", 10*time.Second)
				replica.kill()
				replica.start() // as a primary, with what is on its disk
				replica.mustPeek("only here", 10)
				replica.mustPeek("only there", 9)
			}
		})
	}
}

// A replica needs the password of its primary, and says so until it has it.
func TestReplicationWithPassword(t *testing.T) {
	primary := startNode(t)
	primary.mustTake("k")
	primary.mustSay("OK", "CONFIG", "SET", "requirepass", "secret")
	replica := startNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	replica.awaitThat("the log says why there is no link", 10*time.Second, func() bool { return strings.Contains(replica.log.String(), "NOAUTH") })
	replica.mustSay("OK", "CONFIG", "SET", "masterauth", "wrong")
	replica.awaitThat("the log says that it is wrong", 10*time.Second, func() bool { return strings.Contains(replica.log.String(), "WRONGPASS") })
	if replica.field("master_link_status") != "down" || replica.field("master_link_down_since_seconds") == "" {
		t.Errorf("INFO: %s", replica.ask("INFO", "replication").text)
	}
	replica.mustSay("OK", "CONFIG", "SET", "masterauth", "secret")
	replica.awaitField("master_link_status", "up", 10*time.Second)
	replica.mustPeek("k", 9)
	if strings.Contains(replica.log.String(), "secret") {
		t.Error("the password is in the log")
	}
}

// Replication over TLS, with a certificate for each side.
func TestReplicationOverTLS(t *testing.T) {
	ca, folder := newAuthority(t), t.TempDir()
	certFile, keyFile := ca.sign(t, folder, 2)
	port := strconv.Itoa(freePort(t))
	own := []string{"--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", ca.file}
	primary := startNode(t, append(own, "--tls-port", port, "--tls-auth-clients", "yes")...)
	primary.mustTake("k")
	replicaPort := strconv.Itoa(freePort(t))
	replica := startNode(t, append(own, "--tls-replication", "yes", "--tls-port", replicaPort, "--replicaof", "127.0.0.1 "+port)...)
	replica.awaitField("master_link_status", "up", 10*time.Second)
	replica.mustPeek("k", 9)
	primary.mustTake("k")
	if got := primary.ask("WAIT", "1", "5000").text; got != "1" {
		t.Errorf("WAIT is answered %s", got)
	}
	replica.mustPeek("k", 8)
	if line := primary.field("slave0"); !strings.Contains(line, "port="+replicaPort+",") {
		t.Errorf("the replica is announced as %q; TLS is spoken on port %s", line, replicaPort)
	}
	stranger := newAuthority(t)
	strangerCert, strangerKey := stranger.sign(t, t.TempDir(), 3)
	other := startNode(t, "--tls-replication", "yes", "--tls-cert-file", strangerCert, "--tls-key-file", strangerKey,
		"--tls-ca-cert-file", stranger.file, "--tls-port", strconv.Itoa(freePort(t)), "--replicaof", "127.0.0.1 "+port)
	other.awaitThat("the log says that the certificate is no good", 10*time.Second, func() bool { return strings.Contains(other.log.String(), "certificate") })
	if got := other.field("master_link_status"); got != "down" {
		t.Errorf("with another authority the link is %s", got)
	}
}

// Changes are refused while too few replicas have been heard of.
func TestMinReplicasToWrite(t *testing.T) {
	primary := startNode(t, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
	const few = "NOREPLICAS Not enough good replicas to write."
	primary.awaitThat("changes are refused", 5*time.Second, func() bool { _, err := primary.check("k", "token_bucket", 10, 1); return err != nil })
	primary.mustFail(few, "RL.CHECK", "k", "token_bucket", "10", "60")
	primary.mustFail(few, "FLUSHALL")
	if got := primary.ask("RL.PEEK", "k", "token_bucket", "10", "60"); len(got.parts) != 6 {
		t.Errorf("RL.PEEK: %+v", got)
	}
	_, l := startReplica(t, primary)
	primary.awaitField("min_slaves_good_slaves", "1", syncTimeMax)
	primary.awaitThat("changes are accepted", 5*time.Second, func() bool { _, err := primary.check("m", "token_bucket", 10, 1); return err == nil })
	l.set(weather{hole: true})
	held := time.Now()
	primary.awaitThat("changes are refused again", 10*time.Second, func() bool {
		reply := primary.ask("RL.CHECK", "n", "token_bucket", "1000000", "60")
		return reply.text == few
	})
	t.Logf("refused %v after nothing of the only replica arrived any more; min-replicas-max-lag is 2 s", time.Since(held).Round(10*time.Millisecond))
	l.set(weather{})
	primary.awaitThat("changes are accepted again", 10*time.Second, func() bool { _, err := primary.check("m", "token_bucket", 10, 1); return err == nil })
	primary.mustSay("OK", "CONFIG", "SET", "min-replicas-to-write", "2")
	primary.awaitThat("two are asked for", 5*time.Second, func() bool {
		return primary.ask("RL.CHECK", "n", "token_bucket", "1000000", "60").text == few
	})
}

// What a replica announces of itself is what others are told, and CONFIG REWRITE keeps who
// its primary is.
func TestReplicaAnnouncesAndRemembers(t *testing.T) {
	primary := startNode(t)
	path := filepath.Join(t.TempDir(), "rlserver.yaml")
	if err := os.WriteFile(path, []byte("replica-priority: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := startNode(t, "--config", path, "--replica-announce-ip", "192.0.2.7", "--replica-announce-port", "7777")
	replica.follow(primary)
	awaitSync(primary, replica)
	if line := primary.field("slave0"); !strings.HasPrefix(line, "ip=192.0.2.7,port=7777,") {
		t.Errorf("slave0 is %q", line)
	}
	if got := replica.field("slave_priority"); got != "7" {
		t.Errorf("slave_priority is %s", got)
	}
	replica.mustSay("OK", "CONFIG", "REWRITE")
	replica.end(os.Interrupt)
	replica.start()
	replica.awaitField("role", "slave", 5*time.Second)
	awaitSync(primary, replica)
	replica.mustSay("OK", "REPLICAOF", "NO", "ONE")
	replica.mustSay("OK", "CONFIG", "REWRITE")
	replica.kill()
	replica.start()
	if got := replica.field("role"); got != "master" {
		t.Errorf("the role after a restart is %s", got)
	}
}

// Who is no rlserver, or speaks another version, is told apart.
func TestReplicaOfSomethingElse(t *testing.T) {
	redis := startRedis(t)
	replica := startNode(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(redis.port))
	replica.awaitThat("the log says that it is no rlserver", 10*time.Second, func() bool {
		text := replica.log.String()
		return strings.Contains(text, "no link to the primary") && strings.Contains(text, "RL.SYNC")
	})
	primary := startNode(t)
	primary.mustFail("ERR", "PSYNC", "?", "-1")
	primary.mustFail("ERR", "RL.SYNC", "x", "?", "-1")
	if got := primary.ask("RL.SYNC", "9", "?", "-1"); got.kind != '-' || !strings.Contains(got.text, "version 9") {
		t.Errorf("a version that is not spoken is answered %+v", got)
	}
	self := startNode(t)
	self.mustSay("OK", "REPLICAOF", "127.0.0.1", strconv.Itoa(self.port))
	time.Sleep(1500 * time.Millisecond)
	if got := self.field("master_link_status"); got != "down" {
		t.Errorf("a server that follows itself has a link that is %s", got)
	}
}
