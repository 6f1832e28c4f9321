package backend

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rlserver/rlserver/test/harness"
)

// aclRules are all that a user of Redis needs for rlserver: see docs/REDIS.md.
const aclRules = "resetchannels ~rl:* +evalsha +script|load +getrange +set +del +append +setrange +strlen +pexpire +time +ping +role +hello +auth +client|setname +select +asking +cluster|info +cluster|slots +hset +hdel +hmget +hgetall +lpush +ltrim +lindex +lrange"

// A user that may do no more than rlserver needs, with a password from a file.
func TestRedisUserAndPasswordFile(t *testing.T) {
	t.Parallel()
	r := startFaultyRedis(t)
	r.do(append([]any{"acl", "setuser", "limiter", "on", ">secret"}, fields(aclRules)...)...)
	r.do("config", "set", "requirepass", "other")
	file := harness.WriteFile(t, "password", []byte("secret\n"), 0o600)
	p := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--redis-username", "limiter", "--redis-password-file", file)
	c := p.Client()
	for _, a := range harness.Algorithms() {
		for _, op := range []string{"RL.CHECK", "RL.PEEK", "RL.REFUND"} {
			if got := harness.Integers(t, c, op, a, a, 500, "1h"); got[2] < 0 {
				t.Errorf("%s %s: %v", op, a, got)
			}
		}
		for range 300 { // until the log is kept in the way of long ones
			harness.Integers(t, c, "RL.CHECK", a, a, 500, "1h")
		}
		integersOrOK(t, c, "RL.RESET", a)
	}
	for _, words := range [][]any{
		{"RL.POLICY", "SET", "api", "LIMIT", "token_bucket", 5, "1h"}, {"RL.POLICY", "OVERRIDE", "api", "k", "DENY"}, {"RL.POLICY", "DEL", "api"},
	} {
		integersOrOK(t, c, words...)
	}
	if strings.Contains(p.Log.String(), "NOPERM") {
		t.Errorf("the user may not do all that rlserver needs:\n%s", p.Log)
	}
	if strings.Contains(p.Log.String(), "secret") {
		t.Errorf("the log tells the password:\n%s", p.Log)
	}
	denied := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--redis-username", "limiter", "--redis-password", "wrong")
	if err := denied.Client().Do(t.Context(), "RL.CHECK", "k", "token_bucket", 5, 60).Err(); err == nil || !strings.HasPrefix(err.Error(), "UNAVAILABLE ") || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("with a wrong password: %v", err)
	}
	// The keys outside of the prefix are not the user's.
	outside := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--redis-username", "limiter", "--redis-password-file", file, "--redis-prefix", "other:")
	if err := outside.Client().Do(t.Context(), "RL.CHECK", "k", "token_bucket", 5, 60).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("with a prefix that is not the user's: %v", err)
	}
}

// A Redis that does not let the server in does not decide, however often it is probed. The log says
// that it decides again once it does.
func TestRedisLetsInLater(t *testing.T) {
	t.Parallel()
	r := startFaultyRedis(t)
	r.do("config", "set", "requirepass", "right")
	admin := redis.NewClient(&redis.Options{Addr: r.Addr(), Password: "right"})
	t.Cleanup(func() { _ = admin.Close() })
	file := harness.WriteFile(t, "password", []byte("wrong"), 0o600)
	p := harness.StartServer(t, "--backend", "redis", "--redis-addr", r.Addr(), "--redis-password-file", file)
	c := p.Client()
	harness.Eventually(t, "the circuit is open", func() bool {
		return c.Do(t.Context(), "RL.CHECK", "k", "token_bucket", 5, 60).Err() != nil && strings.Contains(p.Log.String(), "Redis does not decide")
	})
	connections := func() int64 { return harness.InfoNumbers(t, admin)["total_connections_received"] }
	for began := connections(); connections() < began+3; harness.Pause() { // three probes
		_ = c.Do(t.Context(), "RL.CHECK", "k", "token_bucket", 5, 60).Err() // which would open the circuit again
	}
	if strings.Contains(p.Log.String(), "Redis decides again") {
		t.Errorf("the log says that Redis decides, which does not let the server in\n%s", p.Log)
	}
	if err := os.WriteFile(file, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitDecision(t, c)
	if n := strings.Count(p.Log.String(), "Redis decides again"); n != 1 {
		t.Errorf("%d lines of the log say that Redis decides again, want 1\n%s", n, p.Log)
	}
}

func fields(text string) (list []any) {
	for word := range strings.FieldsSeq(text) {
		list = append(list, word)
	}
	return list
}

// The database and the prefix are those of the settings, and keys expire when they are idle.
func TestRedisDatabaseAndPrefix(t *testing.T) {
	r := startFaultyRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--redis-db", "3", "--redis-prefix", "mine/").Client()
	three := redis.NewClient(&redis.Options{Addr: r.Addr(), DB: 3})
	t.Cleanup(func() { _ = three.Close() })
	for _, a := range harness.Algorithms() {
		harness.Integers(t, c, "RL.CHECK", a, a, 10, "100s")
		want := harness.Integers(t, c, "RL.CHECK", a, a, 10, "100s", "COST", 2)[4]
		if got := three.PTTL(t.Context(), "mine/"+a).Val().Milliseconds(); got > want || got < want-5_000 {
			t.Errorf("%s expires in %d ms; it is idle in %d", a, got, want)
		}
		idleIn := harness.Integers(t, c, "RL.REFUND", a, a, 10, "100s", "COST", 3)[4]
		if n := three.Exists(t.Context(), "mine/"+a).Val(); idleIn == 0 && n != 0 {
			t.Errorf("%s is there though nothing is in it", a)
		}
		integersOrOK(t, c, "RL.RESET", a)
		if n := three.Exists(t.Context(), "mine/"+a).Val(); n != 0 {
			t.Errorf("%s is there after a reset", a)
		}
	}
	if n := r.c.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("database 0 has %d keys", n)
	}
}

// A logged request takes 11 bytes in Redis, and what no longer counts is cut off.
func TestRedisLogIsCompact(t *testing.T) {
	t.Parallel()
	const limit, long, cutsWanted = 2000, 200, 3
	r := startFaultyRedis(t)
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr()).Client()
	longest, last, cuts := int64(0), int64(0), 0
	for deadline := time.Now().Add(harness.Patience); cuts < cutsWanted && time.Now().Before(deadline); {
		harness.Integers(t, c, "RL.CHECK", "k", "sliding_window_log", limit, "1s")
		length := r.c.StrLen(t.Context(), "rl:k").Val()
		if last >= 52+11*long && length < last {
			cuts++
		}
		longest, last = max(longest, length), length
	}
	t.Logf("the log was up to %d bytes long, and cut %d times", longest, cuts)
	if most := int64(52 + 11*2*limit); longest > most {
		t.Errorf("a log of at most %d requests took %d bytes; want at most %d", limit, longest, most)
	}
	if cuts < cutsWanted {
		t.Errorf("a log of more than %d requests was cut %d times in all that time", long, cuts)
	}
}

// TLS with a certificate of the server's, and one of the client's.
func TestRedisOverTLS(t *testing.T) {
	ca, folder := harness.NewAuthority(t), t.TempDir()
	certFile, keyFile := ca.Sign(t, folder, 2)
	port := strconv.Itoa(harness.FreePort(t))
	harness.StartRedis(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", ca.File)
	c := harness.StartServer(t, "--backend", "redis", "--redis-addr", "127.0.0.1:"+port, "--redis-tls", "yes", "--redis-timeout", "10s",
		"--redis-tls-ca-cert-file", ca.File, "--redis-tls-cert-file", certFile, "--redis-tls-key-file", keyFile).Client()
	if got := harness.Integers(t, c, "RL.CHECK", "k", "token_bucket", 10, 60); got[2] != 9 {
		t.Errorf("over TLS: %v", got)
	}
	stranger := harness.StartServer(t, "--backend", "redis", "--redis-addr", "127.0.0.1:"+port, "--redis-tls", "yes", "--redis-timeout", "10s",
		"--redis-tls-cert-file", certFile, "--redis-tls-key-file", keyFile).Client()
	if err := stranger.Do(t.Context(), "RL.CHECK", "k", "token_bucket", 10, 60).Err(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with an authority that is not known: %v", err)
	}
}

// Behind Sentinels the primary is found, and its successor after it, which has the policies too.
func TestRedisBehindSentinel(t *testing.T) {
	t.Parallel()
	primary := startFaultyRedis(t)
	replica := harness.StartRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port), "--repl-diskless-sync-delay", "0")
	var sentinels []string
	for range 3 {
		sentinels = append(sentinels, harness.StartSentinel(t, "mine", primary.Port, 2*time.Second).Addr())
	}
	awaitSentinels(t, sentinels)
	c := harness.StartServer(t, "--backend", "redis-sentinel", "--redis-timeout", "5s", "--redis-addr", strings.Join(sentinels, ","), "--redis-master-name", "mine").Client()
	awaitDecision(t, c)
	harness.Integers(t, c, "RL.CHECK", "kept", "sliding_window_log", 10, "1h")
	integersOrOK(t, c, "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", 10, "1h")
	harness.Integers(t, c, "RL.CHECK", "kept", "@api", "COST", 4)
	if n := primary.c.Wait(t.Context(), 1, 0).Val(); n != 1 {
		t.Fatalf("%d replicas follow", n)
	}
	kill(primary.Process)
	awaitDecision(t, c)
	if got := harness.Integers(t, c, "RL.PEEK", "kept", "sliding_window_log", 10, "1h"); got[2] != 9 {
		t.Errorf("the successor says %v", got)
	}
	integersOrOK(t, c, "RL.POLICY", "SET", "api", "LIMIT", "token_bucket", 20, "1h")
	if got := harness.Integers(t, c, "RL.CHECK", "kept", "@api"); got[2] != 15 {
		t.Errorf("of a policy that was changed the successor says %v", got)
	}
	if role := replica.Client().Info(t.Context(), "replication").Val(); !strings.Contains(role, "role:master") {
		t.Errorf("the replica is still one:\n%s", role)
	}
}

// awaitSentinels waits until all Sentinels know each other and the replica.
func awaitSentinels(t *testing.T, addrs []string) {
	t.Helper()
	for _, addr := range addrs {
		c := redis.NewSentinelClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { _ = c.Close() })
		harness.Eventually(t, "a Sentinel knows the others and the replica", func() bool {
			known := c.Master(t.Context(), "mine").Val()
			return known["num-slaves"] == "1" && known["num-other-sentinels"] == strconv.Itoa(len(addrs)-1)
		})
	}
}

// A setting that is wrong ends the start with a sentence that names it.
func TestWrongRedisSettings(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--backend", "mongo"}, "memory, redis, redis-cluster or redis-sentinel"},
		{[]string{"--backend", "redis", "--redis-addr", "nowhere"}, "host:port"},
		{[]string{"--backend", "redis", "--redis-addr", "a:1,b:2"}, "redis-addr names 2 addresses"},
		{[]string{"--backend", "redis-sentinel"}, "redis-master-name is not set"},
		{[]string{"--backend", "redis-cluster", "--redis-db", "1"}, "only database 0"},
		{[]string{"--redis-db", "-1"}, "0 to 1000000"},
		{[]string{"--redis-pool-size", "0"}, "auto, or 1 to 1000"},
		{[]string{"--redis-prefix", "{x}"}, "text without braces"},
		{[]string{"--redis-timeout", "0"}, "1ms to 60s"},
		{[]string{"--redis-timeout", "61"}, "1ms to 60s"},
		{[]string{"--deny-cache-max", "2h"}, "1ms to 1h"},
		{[]string{"--deny-cache-size", "0"}, "1 to 100000000"},
		{[]string{"--on-redis-failure", "retry"}, "error, allow, deny or local"},
		{[]string{"--local-share", "0"}, "1 to 1000000"},
		{[]string{"--redis-tls", "maybe"}, "yes or no"},
		{[]string{"--backend", "redis", "--redis-tls-ca-cert-file", folder}, "need redis-tls"},
		{[]string{"--backend", "redis", "--redis-tls", "yes", "--redis-tls-ca-cert-file", folder + "/none"}, "redis-tls-ca-cert-file"},
		{[]string{"--backend", "redis", "--redis-tls", "yes", "--redis-tls-cert-file", folder + "/none"}, "belong together"},
		{[]string{"--backend", "redis", "--redis-password-file", folder + "/none"}, "redis-password-file"},
		{[]string{"--backend", "redis", "--redis-password-file", folder, "--redis-password", "x"}, "set one of them"},
	} {
		out, err := exec.Command(harness.Binary(t), append([]string{"serve", "--port", "auto"}, c.flags...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s; want %q", c.flags, err, out, c.want)
		}
	}
}
