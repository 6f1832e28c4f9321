package wire

import (
	"slices"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// Conversations about channels and transactions that get the same answers as from Redis, in
// RESP2 and RESP3, to the byte.
var samePubsub = []string{
	"SUBSCRIBE", "PSUBSCRIBE", "SUBSCRIBE a; PING; PING x; PING x y", "SUBSCRIBE ; PING", "SUBSCRIBE a b a; UNSUBSCRIBE b; UNSUBSCRIBE b; UNSUBSCRIBE a; PING; UNSUBSCRIBE",
	"SUBSCRIBE a; ECHO x; MULTI; CLIENT ID; CLIENT; CLIENT FOO; NOSUCH; HELLO 3; AUTH; ECHO; PUBLISH a b; EXEC; EXEC x; MONITOR; DISCARD; WATCH a; SELECT 0; RESET; ECHO x",
	"SUBSCRIBE a; QUIT x", "SUBSCRIBE a; RESET; PING", "SUBSCRIBE a; RESET x; ECHO x", "SUBSCRIBE a; UNSUBSCRIBE; ECHO x; PSUBSCRIBE b; ECHO x; PUNSUBSCRIBE; ECHO x",
	"PSUBSCRIBE a*; PSUBSCRIBE a*; PUNSUBSCRIBE; PUNSUBSCRIBE; PING", "PSUBSCRIBE a*; SUBSCRIBE ab; UNSUBSCRIBE; PING; PUNSUBSCRIBE x; PUNSUBSCRIBE a*; PING",
	"UNSUBSCRIBE; PUNSUBSCRIBE; UNSUBSCRIBE a b; PUNSUBSCRIBE x y; PING", "subscribe a; unsubscribe a",
	"PUBLISH", "PUBLISH a", "PUBLISH a b", "PUBLISH a b c", "PUBSUB", "PUBSUB FOO", "PUBSUB CHANNELS", "PUBSUB CHANNELS a*", "PUBSUB CHANNELS a b", "PUBSUB NUMSUB", "PUBSUB NUMSUB a b a",
	"PUBSUB NUMPAT", "PUBSUB NUMPAT x", "PUBSUB NUMPAT x; PUBSUB numsub", "SUBSCRIBE a; PUBSUB NUMPAT; PUBSUB FOO; PUBSUB NUMPAT x",
	"HELLO 3; UNSUBSCRIBE; PUNSUBSCRIBE; UNSUBSCRIBE a b", "HELLO 3; PUBSUB CHANNELS; PUBSUB NUMSUB a; PUBSUB NUMPAT",
	"HELLO 3; SUBSCRIBE a; PUBLISH a x; PUBLISH b y; PING; PING z; ECHO a; UNSUBSCRIBE a; PUBLISH a x",
	"HELLO 3; SUBSCRIBE a; PSUBSCRIBE a; PUBLISH a x; PUBSUB NUMSUB a b; PUBSUB NUMPAT; PUBSUB CHANNELS; CLIENT GETNAME; HELLO 2; ECHO a; PING",
	"HELLO 3; SUBSCRIBE a; PUBLISH a x; HELLO 2; PING; UNSUBSCRIBE; ECHO x", "HELLO 3; SUBSCRIBE a; HELLO 4; HELLO 2; HELLO 3; UNSUBSCRIBE; PING",
	"HELLO 3; PSUBSCRIBE [a; PUBLISH a x; PUBLISH [a x; PUNSUBSCRIBE; PUBLISH a x", "HELLO 3; PSUBSCRIBE *; PUBLISH a ", `HELLO 3; PSUBSCRIBE \a; PUBLISH a x`,
	"HELLO 3; SUBSCRIBE a; MULTI; PUBLISH a x; PING; EXEC", "HELLO 3; SUBSCRIBE a; RESET; PING; ECHO a; PUBLISH a x", "HELLO 3; SUBSCRIBE a; CLIENT KILL TYPE pubsub; PING",
	"HELLO 3; SUBSCRIBE a; CLIENT KILL TYPE pubsub SKIPME no; PING", "HELLO 3; SUBSCRIBE a; CLIENT KILL TYPE normal SKIPME no; PING",
	"SSUBSCRIBE", "SSUBSCRIBE a; PING; ECHO x; SSUBSCRIBE b a; SUBSCRIBE a; PSUBSCRIBE a; SUNSUBSCRIBE a; UNSUBSCRIBE; SUNSUBSCRIBE; PUNSUBSCRIBE; ECHO x", "SUNSUBSCRIBE; SUNSUBSCRIBE a b; PING",
	"SPUBLISH", "SPUBLISH a", "SPUBLISH a b c", "SPUBLISH a b", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDCHANNELS a b", "PUBSUB SHARDNUMSUB", "PUBSUB SHARDNUMSUB a b a", "HELLO 3; SUNSUBSCRIBE; SUNSUBSCRIBE a",
	"HELLO 3; SSUBSCRIBE a; SUBSCRIBE a; PSUBSCRIBE a*; SPUBLISH a x; PUBLISH a y; PUBSUB SHARDNUMSUB a b; PUBSUB SHARDCHANNELS; PUBSUB SHARDCHANNELS b*; PUBSUB NUMSUB a; SUNSUBSCRIBE; SPUBLISH a x; RESET; PING",
	"HELLO 3; SSUBSCRIBE a; HELLO 2; ECHO x; RESET; ECHO x", "MULTI; SSUBSCRIBE a; SPUBLISH a x; EXEC; PING", "MULTI; SUNSUBSCRIBE a; EXEC", "HELLO 3; CLIENT REPLY off; SSUBSCRIBE a; SPUBLISH a x; CLIENT REPLY on",
	"MULTI; SUBSCRIBE a; PING; TTL x; EXEC; PING; ECHO x", "MULTI; SUBSCRIBE a b; PING; EXEC; ECHO a", "MULTI; SUBSCRIBE a; UNSUBSCRIBE; EXEC; ECHO a",
	"HELLO 3; MULTI; SUBSCRIBE a b; PUBLISH a x; PING; EXEC; ECHO a", "MULTI; PSUBSCRIBE a; PUBLISH a x; PUNSUBSCRIBE; PUBLISH a x; EXEC; ECHO x",
}

var sameTransactions = []string{
	"MULTI", "MULTI x", "MULTI; PING; EXEC", "MULTI; EXEC", "MULTI; MULTI; PING; EXEC", "EXEC", "EXEC x", "DISCARD", "DISCARD x", "multi; ping; exec",
	"MULTI; NOSUCH; PING; EXEC; PING", "MULTI; ECHO; PING; EXEC; PING", "MULTI; PING; EXEC x; EXEC", "MULTI; PING; EXEC a b", "MULTI; PING; DISCARD x; EXEC", "MULTI; NOSUCH; EXEC x; EXEC",
	"MULTI; PING; DISCARD; EXEC", "MULTI; NOSUCH; DISCARD; EXEC; PING", "MULTI; NOSUCH; EXEC; EXEC", "MULTI; CLIENT FOO; EXEC", "MULTI; CLIENT; EXEC", "MULTI; CONFIG GET; EXEC",
	"MULTI; WATCH a; PING; EXEC", "MULTI; WATCH; EXEC", "MULTI; UNWATCH; EXEC", "MULTI; UNWATCH x; EXEC", "UNWATCH", "UNWATCH x", "WATCH", "MULTI; NOSUCH; MULTI; WATCH x; PING; EXEC",
	"MULTI; MONITOR; EXEC", "MULTI; MONITOR; PING; EXEC; PING", "MULTI; AUTH x; EXEC", "MULTI; HELLO 3; EXEC; PING; CLIENT GETNAME", "HELLO 3; MULTI; HELLO 2; CLIENT GETNAME; EXEC; CLIENT GETNAME",
	"MULTI; RESET; EXEC", "MULTI; PING; RESET; EXEC", "MULTI; RESET x; EXEC", "MULTI; QUIT; PING", "MULTI; QUIT x; PING", "MULTI; NOSUCH; QUIT", "MULTI; PING a b; EXEC", "MULTI; SELECT 99; PING; EXEC",
	"MULTI; CLIENT SETNAME x; CLIENT GETNAME; EXEC; CLIENT GETNAME", "HELLO 3; MULTI; CLIENT GETNAME; EXEC", "MULTI; CLIENT KILL TYPE normal; CLIENT KILL TYPE pubsub; EXEC",
	"MULTI; CLIENT KILL TYPE normal SKIPME no; EXEC; PING", "MULTI; CONFIG SET nosuch 1; CONFIG GET timeout; EXEC", "MULTI; KEYS *; DBSIZE; SCAN 0; TTL a; DEL a; EXISTS a; EXEC",
	"MULTI; PING; EXEC; MULTI; PING; EXEC; EXEC", "MULTI; PUBLISH a b; EXEC", "MULTI; FLUSHALL; SLOWLOG RESET; SLOWLOG GET; EXEC", "MULTI; PUBSUB FOO; EXEC", "MULTI; EXEC|x; EXEC", "MULTI; COMMAND FOO; EXEC",
}

func TestPubsubAndTransactionsAreTheSameAsRedis(t *testing.T) {
	redis, ours := harness.StartRedis(t), harness.StartServer(t)
	for _, line := range append(samePubsub, sameTransactions...) {
		// A subscriber has a goroutine of its own, which may notice a moment late that its peer has left.
		harness.Eventually(t, "the subscribers before have gone", func() bool {
			return strings.HasPrefix(hear(t, ours, harness.CommandLine("CLIENT LIST TYPE pubsub; QUIT")), "$0\r\n")
		})
		compare(t, redis, ours, line, harness.CommandLine(line))
	}
	long := harness.CommandLine("MULTI") + strings.Repeat(harness.CommandLine("PING; ECHO x"), 4000) + harness.CommandLine("EXEC; PING")
	compare(t, redis, ours, "8000 commands", long)
	compare(t, redis, ours, "an inline transaction", "MULTI\r\nPING\r\nECHO \"a b\"\r\nEXEC\r\n")
	compare(t, redis, ours, "broken within a transaction", harness.CommandLine("MULTI; PING")+"*x\r\n")
	compare(t, redis, ours, "broken while subscribed", harness.CommandLine("SUBSCRIBE a; PING")+"*x\r\n")
	compare(t, redis, ours, "broken behind RESET", harness.CommandLine("SUBSCRIBE a; RESET; PING")+"*1\r\n:1\r\n")
	compare(t, redis, ours, "any bytes", harness.CommandLine("HELLO 3")+harness.Command("SUBSCRIBE", "\x00\r\n\xff")+harness.Command("PUBLISH", "\x00\r\n\xff", "\r\n\x00")+harness.Command("PUBSUB", "CHANNELS")+harness.Command("UNSUBSCRIBE"))
}

func TestPubsubAndTransactionsAreTheSameAsRedisWithPassword(t *testing.T) {
	redis, ours := harness.StartRedis(t, "--requirepass", "secret"), harness.StartServer(t, "--requirepass", "secret")
	for _, line := range []string{
		"MULTI", "EXEC", "EXEC x", "DISCARD", "WATCH a", "SUBSCRIBE a", "UNSUBSCRIBE", "PUBLISH a b", "PUBSUB CHANNELS", "PUBSUB", "MULTI; PING; EXEC; AUTH secret; PING",
		"AUTH secret; MULTI; AUTH x; PING; EXEC; PING", "AUTH secret; MULTI; RESET; PING", "AUTH secret; SUBSCRIBE a; RESET; PING; SUBSCRIBE a", "AUTH secret; SUBSCRIBE a; AUTH secret; PING",
		"AUTH secret; MULTI; HELLO 3 AUTH default x; EXEC; PING",
	} {
		compare(t, redis, ours, line, harness.CommandLine(line))
	}
}

func TestPubsubAndTransactionsDifferentFromRedis(t *testing.T) {
	p := harness.StartServer(t)
	long := strings.Repeat("x", 257)
	for _, d := range []struct{ packet, answer, reason string }{
		{harness.CommandLine("WATCH a"), "-ERR WATCH is not available: keys cannot be watched for changes; each RL.CHECK is one atomic step by itself\r\n", "a false OK would promise what EXEC does not keep"},
		{harness.Command("SUBSCRIBE", "a", long) + harness.CommandLine("ECHO x"), "-ERR channel is 257 bytes long: accepted is at most 256 bytes\r\n$1\r\nx\r\n", "names are bounded, and an error changes nothing"},
		{harness.Command("PUBLISH", long, "x"), "-ERR channel is 257 bytes long: accepted is at most 256 bytes\r\n", "names are bounded"},
		{harness.Command("PUBSUB", "CHANNELS", long), "-ERR channel is 257 bytes long: accepted is at most 256 bytes\r\n", "names are bounded"},
		{harness.Command(append([]string{"SUBSCRIBE"}, strings.Fields(strings.Repeat("a ", 1025))...)...), "-ERR too many subscriptions: a connection may have 1024 channels and patterns\r\n", "the subscriptions of a connection are bounded"},
		{harness.CommandLine("MULTI") + strings.Repeat(harness.Command("ECHO", strings.Repeat("x", 1_000_000)), 5) + harness.CommandLine("EXEC"), "+OK\r\n" + strings.Repeat("+QUEUED\r\n", 4) +
			"-ERR transaction too large: accepted is at most 10000 commands and 4194304 bytes\r\n-EXECABORT Transaction discarded because of previous errors.\r\n", "a transaction is bounded"},
		{harness.CommandLine("MULTI") + strings.Repeat(harness.CommandLine("PING"), 10_001) + harness.CommandLine("EXEC"), "+OK\r\n" + strings.Repeat("+QUEUED\r\n", 10_000) +
			"-ERR transaction too large: accepted is at most 10000 commands and 4194304 bytes\r\n-EXECABORT Transaction discarded because of previous errors.\r\n", "a transaction is bounded"},
		{harness.CommandLine("MULTI; CLIENT KILL TYPE normal SKIPME no; PING; EXEC"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+PONG\r\n", "Redis leaves EXEC's array unfinished"},
		{harness.CommandLine("MULTI; RL.CHECK k token_bucket 5 1h; RL.CHECK k token_bucket 5; RL.CHECK k token_bucket 5 1h COST 9; EXEC"), "+OK\r\n+QUEUED\r\n" +
			"-ERR wrong number of arguments for 'rl.check' command\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n", "as Redis, had it the command"},
	} {
		got := strings.TrimSuffix(hear(t, p, d.packet+harness.Command("QUIT")), "+OK\r\n")
		if want := strings.TrimSuffix(d.answer, "+OK\r\n"); got != want {
			t.Errorf("%.100q (%s):\n got %.300q\nwant %.300q", d.packet, d.reason, got, want)
		}
	}
	p.Dial().MustSay("0", "EXISTS", "k")
}

// Whatever command a subscriber sends in RESP2, it is answered as by Redis, so most are refused.
func TestEveryCommandWhileSubscribedIsTheSameAsRedis(t *testing.T) {
	redis, ours := harness.StartRedis(t), harness.StartServer(t)
	theirs, refused := redis.Dial().Ask("COMMAND", "LIST").Texts(), 0
	c := ours.Dial()
	for _, name := range c.Ask("COMMAND", "LIST").Texts() {
		arity := c.Ask("COMMAND", "INFO", name).Parts[0].Parts[1].Number(t)
		if !slices.Contains(theirs, name) {
			continue
		}
		words := strings.Split(name, "|")
		for int64(len(words)) < max(arity, 1-arity) { // where more are allowed, one more
			words = append(words, "x")
		}
		packet := harness.Command("SUBSCRIBE", "a") + harness.Command(words...)
		if strings.Contains(hear(t, ours, packet+harness.Command("QUIT")), "Can't execute '"+name+"'") {
			refused++
		}
		compare(t, redis, ours, name, packet)
	}
	if refused < 40 {
		t.Errorf("%d commands were refused", refused)
	}
}
