package server

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/server/config"
)

const streamID = "0123456789abcdef0123456789abcdef01234567"

// Without a replicator commands about the disk and replicas say so, and what clients ask
// anyway is answered.
func TestNoReplicator(t *testing.T) {
	c := startServed(t, 1, nil, nil).dial()
	for _, line := range []string{"SAVE", "BGSAVE", "BGREWRITEAOF", "LASTSAVE", "REPLICAOF NO ONE", "SLAVEOF h 1", "WAIT 0 0", "REPLCONF capa x", "RL.SYNC 1 ? -1", "SHUTDOWN SAVE"} {
		want := "-ERR " + strings.Fields(line)[0] + " is not available: " + errMemoryOnly
		if line == "SHUTDOWN SAVE" {
			want = "-" + errNoShutdown
		}
		c.ask(line, want)
	}
	c.ask("ROLE", "[master :0 []]")
	c.ask("CONFIG SET appendonly yes", "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - "+errMemoryOnly)
	c.ask("CONFIG SET replicaof x", "-ERR CONFIG SET failed (possibly related to argument 'replicaof') - can't set immutable config")
	c.ask("CONFIG REWRITE", "-"+errNoConfigFile)
	c.ask("CONFIG GET save", "[save ]")
	c.ask("INFO persistence", "# Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:0\r\naof_enabled:0\r\naof_rewrite_in_progress:0\r\n")
	c.ask("INFO replication", "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n")
}

func TestPersistenceCommands(t *testing.T) {
	l := newLedger()
	c := startServed(t, 1, l, nil).dial()
	c.ask("SAVE", "+OK")
	c.ask("BGSAVE", "+Background saving started")
	c.ask("BGSAVE SCHEDULE", "+Background saving started")
	c.ask("BGSAVE now", "-"+errSyntax)
	c.ask("BGREWRITEAOF", "+Background append only file rewriting started")
	c.ask("LASTSAVE", ":1700000000")
	c.ask("INFO persistence replication", "# Persistence\r\nsection_of_the_ledger:persistence\r\n\r\n# Replication\r\nsection_of_the_ledger:replication\r\n")
	busy := newLedger()
	busy.saveErr = errors.New("Background save already in progress")
	c = startServed(t, 1, busy, nil).dial()
	c.ask("BGSAVE", "-ERR Background save already in progress")
	c.ask("BGREWRITEAOF", "-ERR Background save already in progress")
}

func TestRoles(t *testing.T) {
	l := newLedger()
	l.role = Role{Offset: 7, Replicas: []ReplicaInfo{{"10.0.0.2", 6380, 5}, {"10.0.0.3", 6381, 7}}}
	s := startServed(t, 1, l, nil)
	c := s.dial()
	c.ask("ROLE", "[master :7 [[10.0.0.2 6380 5] [10.0.0.3 6381 7]]]")
	c.ask("REPLICAOF NO ONE", "+OK")
	c.ask("REPLICAOF h x", "-"+errPrimaryPort)
	c.ask("REPLICAOF h 65536", "-"+errPrimaryPort)
	c.ask("REPLICAOF a/b 1", "-"+errPrimaryHost)
	c.ask("REPLICAOF unreachable 1", "-ERR no way there")
	c.ask("CONFIG GET replicaof", "[replicaof ]")
	c.ask("ROLE", "[master :7 […")
	c.ask("SLAVEOF 10.0.0.9 6380", "+OK")
	c.ask("ROLE", "[slave 10.0.0.9 :6380 connect :7]")
	c.ask("replicaof 10.0.0.9 6380", "+OK Already connected to specified master")
	c.ask("CONFIG GET replicaof", "[replicaof 10.0.0.9 6380]")
	c.ask("WAIT 1 1", "-"+errWaitReplica)
	if got := c.hello(); !strings.Contains(got, "role replica") {
		t.Errorf("HELLO: %s", got)
	}
	c.ask("SLAVEOF no one", "+OK")
	c.ask("CONFIG GET replicaof", "[replicaof ]")
	if got := c.hello(); !strings.Contains(got, "role master") {
		t.Errorf("HELLO: %s", got)
	}
}

func (p *peer) hello() string {
	p.send("HELLO 2")
	return p.read()
}

// While writes are refused, reads and everything about the server itself are answered.
func TestRefuseWrites(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		const refusal = "READONLY You can't write against a read only replica."
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		c.ask(check, taken(9))
		s.RefuseWrites(refusal)
		for _, line := range []string{check, "RL.REFUND k sliding_window_log 10 1d", "RL.RESET k", "DEL k", "UNLINK k", "FLUSHALL", "FLUSHDB"} {
			c.ask(line, "-"+refusal)
		}
		c.ask(peek, taken(9))
		c.ask("TYPE k", "+sliding_window_log")
		c.ask("DBSIZE", ":1")
		c.ask("CONFIG SET timeout 0", "+OK")
		c.ask("SLAVEOF 10.0.0.9 6380", "+OK")
		c.ask("RESET", "+RESET")
		s.RefuseWrites("")
		c.ask(check, taken(8))
	})
}

// A replica keeps all that its primary has.
func TestReplicaHasNoMaxMemory(t *testing.T) {
	l := &boundedStore{Limiter: newStore(t)}
	s := newTestServer(l)
	_ = s.changeConfig(func(cfg *config.Config) bool { cfg.MaxMemory = 1 << 30; return true })
	for _, step := range []struct {
		do   func()
		want int64
	}{
		{func() {}, 1 << 30},
		{func() { s.RoleChanged(true) }, 0},
		{func() { _ = s.changeConfig(func(cfg *config.Config) bool { cfg.MaxMemory = 2 << 30; return true }) }, 0},
		{func() { s.RoleChanged(false) }, 2 << 30},
		{func() { _ = s.changeConfig(func(cfg *config.Config) bool { cfg.MaxMemory = 1 << 30; return true }) }, 1 << 30},
	} {
		if step.do(); l.bytes != step.want {
			t.Errorf("bound %d, want %d", l.bytes, step.want)
		}
	}
}

type boundedStore struct {
	Limiter
	bytes int64
}

func (b *boundedStore) SetMaxMemory(bytes int64) { b.bytes = bytes }

// RL.SYNC takes the connection away from the server, with nothing said on it yet.
func TestSync(t *testing.T) {
	eachCarrier(t, func(t *testing.T, loops int) {
		l := newLedger()
		s := startServed(t, loops, l, nil)
		c := s.dial()
		c.ask("REPLCONF listening-port 6400 ip-address 10.0.0.2 capa x", "+OK")
		c.ask("REPLCONF listening-port x", "-"+errNotInteger)
		c.ask("REPLCONF ip-address a/b", "-"+errReplicaHost)
		c.ask("REPLCONF ack 1", "-ERR Unrecognized REPLCONF option: ack")
		c.ask("REPLCONF capa", "-"+errSyntax)
		c.ask("REPLCONF capa a b", "-"+errSyntax)
		c.ask("RL.SYNC 0 ? -1", "-"+errSyncVersion)
		c.ask("RL.SYNC 1 abc -1", "-"+errSyncID)
		c.ask("RL.SYNC 1 ? -2", "-"+errSyncOffset)
		c.send("RL.SYNC 1 " + streamID + " 77")
		link := <-l.links
		if link.IP != "10.0.0.2" || link.Port != 6400 || link.Version != 1 || link.ID != streamID || link.Offset != 77 {
			t.Errorf("the link is %+v", link)
		}
		if _, err := io.WriteString(link.Conn, "+CONTINUE\r\n"); err != nil {
			t.Fatal(err)
		}
		c.expect("+CONTINUE")

		plain := s.dial()
		plain.send(check, "RL.SYNC 1 ? -1") // the disk first
		plain.expect(taken(9))
		if link := <-l.links; link.IP != "127.0.0.1" || link.Port != 0 || link.ID != "?" || link.Offset != -1 {
			t.Errorf("the link is %+v", link)
		}

		hasty := s.dial()
		hasty.send("RL.SYNC 1 ? -1", "PING")
		hasty.expect("-"+errSyncMore, "(EOF)")

		admin := s.dial()
		admin.send("CLIENT LIST")
		if list := admin.read(); strings.Count(list, "flags=S") != 2 {
			t.Errorf("CLIENT LIST:\n%s", list)
		}
		admin.ask("CLIENT KILL ADDR "+plain.LocalAddr().String()+" SKIPME yes", ":1")
		plain.expect("(EOF)")

		monitor := s.dial()
		monitor.ask("MONITOR", "+OK")
		monitor.ask("RESET", "+RESET")
		monitor.ask("RL.SYNC 1 ? -1", "-"+errSyncDetached)

		// A server that ends leaves its replicas to the replicator.
		s.stop()
		s.hasEnded()
		time.Sleep(200 * time.Millisecond) // longer than connections that drain are given
		if _, err := io.WriteString(link.Conn, "last\r\n"); err != nil {
			t.Error(err)
		}
		if line, err := bufio.NewReader(c.r).ReadString('\n'); line != "last\r\n" {
			t.Errorf("the replica was sent %q, %v", line, err)
		}
		_ = c.Close()
		eventually(t, "the link to end", func() bool { return s.sessions.len() == 0 })
	})
}

// SHUTDOWN ends the server and says nothing.
func TestShutdownCommand(t *testing.T) {
	for line, want := range map[string]ShutdownSave{"SHUTDOWN": SaveIfConfigured, "shutdown save": SaveAlways, "SHUTDOWN NOSAVE": SaveNever} {
		got := make(chan ShutdownSave, 1)
		s := startServed(t, 1, newLedger(), nil, func(s *Server) { s.OnShutdown(func(save ShutdownSave) { got <- save }) })
		c := s.dial()
		c.ask("SHUTDOWN now", "-"+errSyntax)
		c.ask("SHUTDOWN SAVE NOSAVE", "-"+errSyntax)
		c.send(check, line, "PING")
		c.expect(taken(9), "(EOF)")
		if save := <-got; save != want {
			t.Errorf("%s: %d, want %d", line, save, want)
		}
	}
}

// CONFIG REWRITE passes on what CONFIG SET has changed, and always the role.
func TestConfigRewriteCommand(t *testing.T) {
	var mu sync.Mutex
	var got map[string]string
	var problem error
	c := startServed(t, 1, newLedger(), nil, func(s *Server) {
		s.OnConfigRewrite("", func(changed map[string]string) error {
			mu.Lock()
			defer mu.Unlock()
			got = changed
			return problem
		})
	}).dial()
	rewritten := func(want ...string) {
		t.Helper()
		c.ask("CONFIG REWRITE", "+OK")
		mu.Lock()
		defer mu.Unlock()
		if len(got) != len(want)/2 {
			t.Errorf("rewritten %q, want %q", got, want)
		}
		for i := 0; i < len(want); i += 2 {
			if value, found := got[want[i]]; !found || value != want[i+1] {
				t.Errorf("rewritten %q, want %q", got, want)
			}
		}
	}
	rewritten("replicaof", "")
	c.ask("CONFIG SET TIMEOUT 7 maxclients 0", "-ERR CONFIG SET failed…")
	rewritten("replicaof", "")
	c.ask("CONFIG SET TIMEOUT 7 save", "-ERR…")
	c.ask("CONFIG SET TIMEOUT 7 maxmemory 32mb", "+OK")
	c.ask("SLAVEOF 10.0.0.9 6380", "+OK")
	rewritten("replicaof", "10.0.0.9 6380", "timeout", "7", "maxmemory", "33554432")
	c.ask("SLAVEOF no one", "+OK")
	rewritten("replicaof", "", "timeout", "7", "maxmemory", "33554432")
	mu.Lock()
	problem = errors.New("read-only file system")
	mu.Unlock()
	c.ask("CONFIG REWRITE", "-ERR Rewriting config file: read-only file system")
}
