package server

import "slices"

// Where the keys are.
var (
	keyFirst  = keyRange{1, 1, 1}
	keySecond = keyRange{2, 2, 1}
	keyAll    = keyRange{1, -1, 1}
	noKeys    = keyRange{}
)

const (
	// limitArguments is what RL.CHECK, RL.PEEK and RL.REFUND take.
	limitArguments = "key algorithm limit period [BURST burst] [COST cost]"
	// always: commands that answer whatever the state of the server.
	always     = "noscript loading stale"
	alwaysFast = "noscript loading stale fast"
	admin      = "admin noscript loading stale"
	listening  = "pubsub noscript loading stale"
)

// commandRows is the command table, in the order of the reference page: name, arguments,
// arity, flags, keys, handler, summary.
func commandRows() []*command {
	return slices.Concat(
		inGroup("limiter",
			row("rl.check", limitArguments, -5, "write fast", keyFirst, cmdCheck, "Takes units from a key if they fit, and says whether they did."),
			row("rl.peek", limitArguments, -5, "readonly fast", keyFirst, cmdPeek, "Asks what RL.CHECK would answer; takes and writes nothing."),
			row("rl.refund", limitArguments, -5, "write fast", keyFirst, cmdRefund, "Gives units back to a key, never beyond full."),
			row("rl.reset", "key [key ...]", -2, "write fast", keyAll, cmdReset, "Forgets keys; replies how many there were."),
		),
		inGroup("connection",
			row("auth", "[username] password", -2, alwaysFast+" no_auth", noKeys, cmdAuth, "Gives the password."),
			clientRow(),
			row("echo", "message", 2, "fast loading stale", noKeys, cmdEcho, "Replies the message."),
			row("hello", "[protover] [AUTH username password] [SETNAME clientname]", -1, alwaysFast+" no_auth", noKeys, cmdHello, "Chooses RESP2 or RESP3 and introduces the server."),
			row("ping", "[message]", -1, "fast loading stale", noKeys, cmdPing, "Replies PONG, or the message."),
			row("quit", "", -1, alwaysFast+" no_auth", noKeys, cmdQuit, "Closes the connection."),
			row("readonly", "", 1, "fast loading stale", noKeys, cmdOK, "Does nothing; cluster clients send it."),
			row("readwrite", "", 1, "fast loading stale", noKeys, cmdOK, "Does nothing; cluster clients send it."),
			row("reset", "", 1, alwaysFast+" no_auth", noKeys, cmdResetConnection, "Returns the connection to how it began."),
			row("select", "index", 2, "fast loading stale", noKeys, cmdSelect, "Chooses a database; there is only 0."),
		),
		inGroup("keys",
			row("dbsize", "", 1, "readonly fast", noKeys, cmdDBSize, "Counts the keys in memory; keys at rest that are not reclaimed yet count too."),
			row("del", "key [key ...]", -2, "write", keyAll, cmdReset, "The same as RL.RESET."),
			row("exists", "key [key ...]", -2, "readonly fast", keyAll, cmdExists, "Counts the keys that are not at rest."),
			row("flushall", "[ASYNC|SYNC]", -1, "write", noKeys, cmdFlush, "Forgets every key."),
			row("flushdb", "[ASYNC|SYNC]", -1, "write", noKeys, cmdFlush, "Forgets every key."),
			row("keys", "pattern", 2, "readonly", noKeys, cmdKeys, "Lists the keys that match a pattern; SCAN does it in steps."),
			memoryRow(),
			row("pttl", "key", 2, "readonly fast", keyFirst, cmdPTTL, "Milliseconds until the key is at rest; -2 if it is."),
			row("scan", "cursor [MATCH pattern] [COUNT count] [TYPE type]", -2, "readonly", noKeys, cmdScan, "Lists keys in steps; TYPE takes the name of an algorithm."),
			row("ttl", "key", 2, "readonly fast", keyFirst, cmdTTL, "Seconds, rounded up, until the key is at rest; -2 if it is."),
			row("type", "key", 2, "readonly fast", keyFirst, cmdType, "The algorithm that the key belongs to, or none."),
			row("unlink", "key [key ...]", -2, "write fast", keyAll, cmdReset, "The same as RL.RESET."),
		),
		inGroup("pubsub",
			row("psubscribe", "pattern [pattern ...]", -2, listening, noKeys, cmdPSubscribe, "Receives what is published to channels that match patterns."),
			briefWhen(publishIsBrief, row("publish", "channel message", 3, "pubsub loading stale", noKeys, cmdPublish, "Sends a message to a channel's subscribers; replies how many there are.")),
			pubsubRow(),
			row("punsubscribe", "[pattern [pattern ...]]", -1, listening, noKeys, cmdPUnsubscribe, "Ends PSUBSCRIBE, of all patterns unless told."),
			row("subscribe", "channel [channel ...]", -2, listening, noKeys, cmdSubscribe, "Receives what is published to channels."),
			row("unsubscribe", "[channel [channel ...]]", -1, listening, noKeys, cmdUnsubscribe, "Ends SUBSCRIBE, of all channels unless told."),
		),
		inGroup("transactions",
			row("discard", "", 1, alwaysFast, noKeys, cmdDiscard, "Forgets what has been queued since MULTI."),
			briefWhen(execIsBrief, row("exec", "", 1, always+" skip_slowlog", noKeys, cmdExec, "Runs what has been queued since MULTI, in order; commands of others may come in between.")),
			row("multi", "", 1, alwaysFast, noKeys, cmdMulti, "Queues the commands from now on until EXEC; not with a backend of Redis."),
			row("unwatch", "", 1, alwaysFast, noKeys, cmdOK, "Does nothing; no key is ever watched."),
			row("watch", "key [key ...]", -2, alwaysFast, keyAll, cmdWatch, "Answers an error: keys cannot be watched; a decision is one step by itself."),
		),
		inGroup("server",
			commandRow(),
			configRow(),
			row("info", "[section [section ...]]", -1, "loading stale", noKeys, cmdInfo, "Statistics and state, in sections."),
			row("monitor", "", 1, admin, noKeys, cmdMonitor, "Streams every command that the server is sent."),
			slowlogRow(),
			row("shutdown", "[NOSAVE|SAVE]", -1, admin+" no_multi", noKeys, cmdShutdown, "Ends the server as SIGTERM does."),
			row("time", "", 1, "fast loading stale", noKeys, cmdTime, "The clock that decisions use: seconds and microseconds."),
		),
		inGroup("replication",
			row("bgrewriteaof", "", 1, "admin noscript", noKeys, replicated(cmdRewriteAppendOnly), "Writes the append-only file anew, in the background."),
			row("bgsave", "[SCHEDULE]", -1, "admin noscript", noKeys, replicated(cmdBackgroundSave), "Writes a snapshot in the background."),
			row("lastsave", "", 1, "loading stale fast", noKeys, replicated(cmdLastSave), "When the last snapshot was on disk, in seconds since the Unix epoch."),
			row("replconf", "option value [option value ...]", -3, admin, noKeys, replicated(cmdReplConf), "What a replica tells of itself."),
			row("replicaof", "host port", 3, "admin noscript stale", noKeys, replicated(cmdReplicaOf), "Makes the server a replica; NO ONE makes it a primary."),
			row("rl.sync", "version id offset", 4, "admin noscript no_multi", noKeys, replicated(cmdSync), "Makes the connection a replica's, which is sent every change."),
			row("role", "", 1, alwaysFast, noKeys, cmdRole, "Whether the server is a primary or a replica, and of whom."),
			row("save", "", 1, "admin noscript no_multi", noKeys, replicated(cmdSave), "Writes a snapshot, and replies when it is on disk."),
			row("slaveof", "host port", 3, "admin noscript stale", noKeys, replicated(cmdReplicaOf), "The same as REPLICAOF."),
			row("wait", "numreplicas timeout", 3, "blocking no_multi", noKeys, replicated(cmdWait), "Waits until so many replicas have every change; replies how many have."),
		),
	)
}

func clientRow() *command {
	return container("client", "Looks at connections and names them.",
		row("getname", "", 2, always, noKeys, cmdClientGetName, "The connection's name."),
		row("id", "", 2, always, noKeys, cmdClientID, "The connection's number."),
		row("info", "", 2, always, noKeys, cmdClientInfo, "The connection's line of CLIENT LIST."),
		row("kill", "[ip:port] [ID client-id] [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO]", -3, admin, noKeys, cmdClientKill, "Closes connections, by address or by filters."),
		row("list", "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]", -2, admin, noKeys, cmdClientList, "Lists the connections."),
		row("no-evict", "ON|OFF", 3, admin, noKeys, cmdClientNoEvict, "Accepted; connections are not evicted here."),
		row("no-touch", "ON|OFF", 3, always, noKeys, cmdClientNoTouch, "Accepted; reads do not touch keys here."),
		row("setinfo", "LIB-NAME|LIB-VER value", 4, always, noKeys, cmdClientSetInfo, "Tells the client library's name or version."),
		row("setname", "connection-name", 3, always, noKeys, cmdClientSetName, "Names the connection."),
	)
}

func commandRow() *command {
	c := container("command", "Describes the commands.",
		row("count", "", 2, "loading stale", noKeys, cmdCommandCount, "Counts the commands."),
		row("docs", "[command-name [command-name ...]]", -2, "loading stale", noKeys, cmdCommandDocs, "Documents commands."),
		row("getkeys", "command [arg ...]", -3, "loading stale", noKeys, cmdCommandGetKeys, "Finds the keys in a command line."),
		row("info", "[command-name [command-name ...]]", -2, "loading stale", noKeys, cmdCommandInfo, "Describes commands for clients."),
		row("list", "[FILTERBY PATTERN pattern]", -2, "loading stale", noKeys, cmdCommandList, "Lists the commands' names."),
	)
	c.arity, c.run = -1, cmdCommand
	return c
}

func configRow() *command {
	return container("config", "Reads and changes settings.",
		row("get", "parameter [parameter ...]", -3, admin, noKeys, cmdConfigGet, "Reads the settings that match patterns."),
		row("resetstat", "", 2, admin, noKeys, cmdConfigResetStat, "Sets the statistics of INFO to zero."),
		row("rewrite", "", 2, admin, noKeys, cmdConfigRewrite, "Writes what was changed, and the role, to the configuration file."),
		row("set", "parameter value [parameter value ...]", -4, admin, noKeys, cmdConfigSet, "Changes settings while running: all of those given, or none."),
	)
}

func memoryRow() *command {
	return container("memory", "Looks at memory.",
		row("usage", "key [SAMPLES count]", -3, "readonly", keySecond, cmdMemoryUsage, "Estimates the bytes that a key takes."),
	)
}

func pubsubRow() *command {
	return container("pubsub", "Looks at channels and their subscribers.",
		row("channels", "[pattern]", -2, "pubsub loading stale", noKeys, cmdPubsubChannels, "The channels that have subscribers, all or those that match."),
		row("numpat", "", 2, "pubsub loading stale", noKeys, cmdPubsubNumPat, "Counts the distinct patterns that have subscribers."),
		row("numsub", "[channel [channel ...]]", -2, "pubsub loading stale", noKeys, cmdPubsubNumSub, "Counts the subscribers of channels; those of patterns do not count."),
	)
}

func slowlogRow() *command {
	return container("slowlog", "Looks at commands that took long.",
		row("get", "[count]", -2, admin, noKeys, cmdSlowlogGet, "The newest entries, 10 unless told."),
		row("len", "", 2, admin, noKeys, cmdSlowlogLen, "Counts the entries."),
		row("reset", "", 2, admin, noKeys, cmdSlowlogReset, "Forgets the entries."),
	)
}

func row(name, synopsis string, arity int, flags string, keys keyRange, run func(*request), summary string) *command {
	return &command{name: name, synopsis: synopsis, arity: arity, flags: flags, keys: keys, run: run, summary: summary}
}

func container(name, summary string, subs ...*command) *command {
	return &command{name: name, arity: -2, summary: summary, run: cmdUnknownSubcommand, subs: subs}
}

// briefWhen says when a command that may take long does not.
func briefWhen(brief func(*session) bool, c *command) *command {
	c.briefFor = brief
	return c
}

func inGroup(group string, rows ...*command) []*command {
	for _, c := range rows {
		c.group = group
	}
	return rows
}
