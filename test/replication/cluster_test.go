package replication

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// startPair starts a primary and its replica, which say that they are a cluster.
func startPair(t *testing.T, flags ...string) (primary, replica *harness.Node) {
	t.Helper()
	flags = append([]string{"--cluster-enabled", "emulated"}, flags...)
	primary = harness.StartNode(t, flags...)
	replica = harness.StartNode(t, append(flags, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))...)
	harness.AwaitSync(primary, replica)
	return primary, replica
}

// topology is what a server says of all servers: for each its address and id, the primary first.
func topology(n *harness.Node) (list []string) {
	n.T.Helper()
	for _, part := range n.Ask("CLUSTER", "SLOTS").Parts[0].Parts[2:] {
		list = append(list, strings.Join(part.Texts()[:3], " "))
	}
	return list
}

// Primary and replica say the same of each other. Only myself differs in CLUSTER NODES.
func TestClusterTopology(t *testing.T) {
	t.Parallel()
	primary, replica := startPair(t)
	want := fmt.Sprint(topology(primary))
	if got := fmt.Sprint(topology(replica)); got != want || !strings.HasPrefix(want, fmt.Sprintf("[127.0.0.1 %d ", primary.Port)) {
		t.Errorf("the primary says %s, the replica %s", want, got)
	}
	if n := len(topology(primary)); n != 2 {
		t.Errorf("%d nodes, want 2", n)
	}
	first, second := primary.Ask("CLUSTER", "MYID").Text, replica.Ask("CLUSTER", "MYID").Text
	for n, lines := range map[*harness.Node][2]string{
		primary: {"%s 127.0.0.1:%d@0 myself,master - 0 0 0 connected 0-16383", "%s 127.0.0.1:%d@0 slave %s 0 0 0 connected"},
		replica: {"%s 127.0.0.1:%d@0 master - 0 0 0 connected 0-16383", "%s 127.0.0.1:%d@0 myself,slave %s 0 0 0 connected"},
	} {
		want := fmt.Sprintf(lines[0], first, primary.Port) + "\n" + fmt.Sprintf(lines[1], second, replica.Port, first) + "\n"
		if got := n.Ask("CLUSTER", "NODES").Text; got != want {
			t.Errorf("CLUSTER NODES of %d is\n%swant\n%s", n.Port, got, want)
		}
		shard := n.Ask("CLUSTER", "SHARDS").Parts[0].Pairs()
		for i, role := range []string{"master", "replica"} {
			if node := shard["nodes"].Parts[i].Pairs(); node["role"].Text != role || node["health"].Text != "online" || node["port"].Kind != ':' {
				t.Errorf("CLUSTER SHARDS of %d has %+v, want a %s", n.Port, node, role)
			}
		}
		if got := n.Ask("CLUSTER", "REPLICAS", first).Texts(); len(got) != 1 || !strings.HasPrefix(got[0], second) {
			t.Errorf("CLUSTER REPLICAS of %d is %q", n.Port, got)
		}
		n.MustFail("ERR The specified node is not a master", "CLUSTER", "REPLICAS", second)
	}
	for _, tool := range []string{"check", "info"} {
		out, err := exec.Command("redis-cli", "--cluster", tool, replica.Addr()).CombinedOutput()
		if text := string(out); err != nil || !strings.Contains(text, "16384 slots | 1 slaves") || tool == "check" && !strings.Contains(text, "[OK] All 16384 slots covered.") {
			t.Errorf("redis-cli --cluster %s says %s (%v)", tool, text, err)
		}
	}
	primary.Kill()
	replica.AwaitThat("the primary is disconnected", func() bool {
		return strings.Contains(replica.Ask("CLUSTER", "NODES").Text, "master - 0 0 0 disconnected 0-16383")
	})
}

// A replica sends clients of a cluster to its primary, unless they only read and have said so.
func TestClusterReplicaMoves(t *testing.T) {
	t.Parallel()
	primary, replica := startPair(t)
	mustTake(primary, "foo")
	harness.Drained(primary)
	harness.AwaitSync(primary, replica)
	moved := fmt.Sprintf("MOVED 12182 127.0.0.1:%d", primary.Port)
	c := replica.Dial()
	for _, line := range []string{"RL.CHECK foo token_bucket 10 1d", "RL.PEEK foo token_bucket 10 1d", "RL.RESET foo", "DEL foo", "TTL foo", "TYPE foo"} {
		c.MustSay(moved, strings.Fields(line)...)
	}
	c.MustFail("READONLY You can't write against a read only replica.", "FLUSHALL")
	c.MustSay("1", "DBSIZE")
	c.MustSay("OK", "MULTI")
	c.MustSay(moved, "RL.CHECK", "foo", "token_bucket", "10", "1d")
	c.MustFail("EXECABORT", "EXEC")
	c.MustSay("OK", "READONLY")
	if flags := c.Listed("INFO")[0]["flags"]; flags != "r" {
		t.Errorf("flags are %q, want r", flags)
	}
	if got, err := c.Ask("RL.PEEK", "foo", "token_bucket", "10", harness.AskPeriod).Integers(); err != nil || got[2] != 9 {
		t.Errorf("after READONLY RL.PEEK is %v %v", got, err)
	}
	c.MustSay("token_bucket", "TYPE", "foo")
	c.MustSay(moved, "RL.CHECK", "foo", "token_bucket", "10", "1d")
	c.MustSay("OK", "READWRITE")
	c.MustSay(moved, "TYPE", "foo")
	c.MustSay("OK", "READONLY")
	c.MustSay("RESET", "RESET")
	c.MustSay(moved, "TYPE", "foo")
	replica.MustSay("OK", "REPLICAOF", "NO", "ONE")
	c.MustSay("token_bucket", "TYPE", "foo")
	c.MustSay("1", "RL.RESET", "foo")
}

// A client of a cluster that knows only the replica finds the primary, and after a failover the next
// one.
func TestClusterClientFollows(t *testing.T) {
	t.Parallel()
	primary, replica := startPair(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{replica.Addr()}, ClusterStateReloadInterval: 50 * time.Millisecond, // a minute unless told
		DialerRetries: 1, // or it dials a dead server for half a second
	})
	t.Cleanup(func() { _ = client.Close() })
	ask := func() (int64, error) {
		got, err := client.Do(context.Background(), "RL.CHECK", "k", "token_bucket", 10, harness.AskPeriod).Int64Slice()
		if err != nil {
			return 0, err
		}
		return got[2], nil
	}
	if left, err := ask(); err != nil || left != 9 {
		t.Fatalf("through the replica: %d %v", left, err)
	}
	harness.Drained(primary)
	harness.AwaitSync(primary, replica)
	primary.Kill()
	replica.MustSay("OK", "REPLICAOF", "NO", "ONE")
	harness.Eventually(t, "the client asks the new primary", func() bool {
		left, err := ask()
		return err == nil && left <= 8
	})
}

// Clients are told the port of their own kind.
func TestClusterOverTLS(t *testing.T) {
	t.Parallel()
	ca := harness.NewAuthority(t)
	certFile, keyFile := ca.Sign(t, t.TempDir(), 2)
	tlsPort := strconv.Itoa(harness.FreePort(t))
	n := harness.StartNode(t, "--cluster-enabled", "emulated", "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-port", tlsPort)
	if got := topology(n)[0]; !strings.HasPrefix(got, fmt.Sprintf("127.0.0.1 %d ", n.Port)) {
		t.Errorf("without TLS the server is %q", got)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(ca.Cert)
	nc, err := tls.Dial("tcp", "127.0.0.1:"+tlsPort, &tls.Config{RootCAs: trusted})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	c := harness.NewConn(t, nc)
	if got := c.Ask("CLUSTER", "SLOTS").Parts[0].Parts[2].Parts[1].Text; got != tlsPort {
		t.Errorf("with TLS the port is %s, want %s", got, tlsPort)
	}
	node := c.Ask("CLUSTER", "SHARDS").Parts[0].Pairs()["nodes"].Parts[0].Pairs()
	if _, hasPort := node["port"]; hasPort || node["tls-port"].Text != tlsPort {
		t.Errorf("with TLS CLUSTER SHARDS has %+v", node)
	}
	if mine := c.Ask("CLUSTER", "MYID").Text; mine != n.Ask("CLUSTER", "MYID").Text {
		t.Error("the id depends on how the client connects")
	}
}

// The port that is announced is for servers, and for clients that connect in the same way.
func TestClusterAnnounces(t *testing.T) {
	t.Parallel()
	primary, _ := startPair(t, "--replica-announce-ip", "192.0.2.7", "--replica-announce-port", "7777")
	for _, node := range topology(primary) {
		if !strings.HasPrefix(node, "192.0.2.7 7777 ") {
			t.Errorf("announced is 192.0.2.7 7777, and listed %q", node)
		}
	}
	primary.MustSay("OK", "CONFIG", "SET", "replica-announce-ip", "", "replica-announce-port", "0")
	if got := topology(primary)[0]; !strings.HasPrefix(got, fmt.Sprintf("127.0.0.1 %d ", primary.Port)) {
		t.Errorf("with nothing announced the primary is %q", got)
	}
}
