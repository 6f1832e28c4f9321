package server

// The sets of arguments that are keys.
var (
	keyFirst  = keyRange{1, 1, 1}
	keySecond = keyRange{2, 2, 1}
	keyAll    = keyRange{1, -1, 1}
	keyPairs  = keyRange{pairsFrom, pairsFrom, 1}
	noKeys    = keyRange{}
)

const (
	// limitArguments are the arguments of RL.PEEK, RL.REFUND and RL.EXPLAIN, and those of RL.CHECK but FORCE.
	limitArguments = "key (@policy | algorithm limit period [BURST burst]) [COST cost]"
	// definitionArguments say what a policy or an override is.
	definitionArguments = "(LIMIT algorithm limit period [BURST burst] [LIMIT ...] [SHADOW] | DENY | ALLOW)"
	// always is the flags of commands that answer in every state of the server.
	always     = "noscript loading stale"
	alwaysFast = "noscript loading stale fast"
	loading    = "loading stale"
	admin      = "admin noscript loading stale"
	listening  = "pubsub noscript loading stale"
)

// A commandGroup is the rows of one group.
type commandGroup struct {
	name string
	rows []*command
}

// commandGroups is the command table, in the order of the reference page. The fields of a row
// are explained in command.go. A field that a row does not name is zero: no arguments, no keys,
// nothing special. Every container also has the subcommand HELP.
func commandGroups() []commandGroup {
	return []commandGroup{
		{"limiter", limiterCommands()},
		{"policies", policyCommands()},
		{"connection", connectionCommands()},
		{"keys", keysCommands()},
		{"pubsub", pubsubCommands()},
		{"transactions", transactionsCommands()},
		{"cluster", clusterCommands()},
		{"server", serverCommands()},
		{"replication", replicationCommands()},
	}
}

func limiterCommands() []*command {
	return []*command{
		{name: "rl.check", summary: "Takes units from a key if they fit, and says whether they did.",
			synopsis: limitArguments + " [FORCE]", flags: "write fast", unnamed: 5, keys: keyFirst, asksLimiter: true, run: cmdCheck},
		{name: "rl.explain", summary: "Tells of each limit of a key how it stands, when one unit more is free, and which override applies; takes nothing.",
			synopsis: limitArguments, flags: "readonly fast", unnamed: 5, keys: keyFirst, run: cmdExplain},
		{name: "rl.mcheck", summary: "Takes units from several keys at once, all or nothing.",
			synopsis: "numkeys key @policy [key @policy ...] [COST cost] [FORCE]", flags: "write fast movablekeys", keys: keyPairs, asksLimiter: true, run: cmdMultiCheck},
		{name: "rl.peek", summary: "Asks what RL.CHECK would answer; takes and writes nothing.",
			synopsis: limitArguments, flags: "readonly fast", unnamed: 5, keys: keyFirst, asksLimiter: true, run: cmdPeek},
		{name: "rl.refund", summary: "Gives units back to a key, never beyond full.",
			synopsis: limitArguments, flags: "write fast", unnamed: 5, keys: keyFirst, asksLimiter: true, run: cmdRefund},
		{name: "rl.reset", summary: "Forgets keys; replies how many there were.",
			synopsis: "key [key ...]", flags: "write fast", keys: keyAll, asksLimiter: true, run: cmdReset},
	}
}

func policyCommands() []*command {
	return []*command{
		{name: "rl.policy", summary: "Changes the policies, and looks at them.", subs: []*command{
			{name: "del", summary: "Forgets a policy that was set, with its overrides; that of the settings file, if it has one, is in force again.",
				synopsis: "name", flags: "write", run: cmdPolicyDel},
			{name: "get", summary: "A policy: its definition, where it comes from, how many overrides it has, and how many requests its shadow would have denied.",
				synopsis: "name", flags: "readonly", brief: true, run: cmdPolicyGet},
			{name: "list", summary: "Every policy with its definition.", flags: "readonly", run: cmdPolicyList},
			{name: "override", summary: "Gives one key of a policy limits of its own, or denies or allows it.",
				synopsis: "name key " + definitionArguments, flags: "write", run: cmdPolicyOverride},
			{name: "overrides", summary: "Every override of a policy with its definition, however many there are.", synopsis: "name", flags: "readonly", run: cmdPolicyOverrides},
			{name: "reload", summary: "Reads the policies of the settings file again.", flags: "write", run: cmdPolicyReload},
			{name: "set", summary: "Makes a policy, or puts another definition in its place.",
				synopsis: "name " + definitionArguments, flags: "write", run: cmdPolicySet},
			{name: "unset", summary: "Forgets the override of a key.", synopsis: "name key", flags: "write", run: cmdPolicyUnset},
		}},
	}
}

func connectionCommands() []*command {
	return []*command{
		{name: "auth", summary: "Gives the password.", synopsis: "[username] password", flags: alwaysFast + " no_auth", run: cmdAuth},
		{name: "client", summary: "Looks at connections and names them.", subs: []*command{
			{name: "caching", summary: "Says of the next command that its keys are tracked, or not (CLIENT TRACKING).",
				synopsis: "YES|NO", flags: always, brief: true, run: cmdClientCaching},
			{name: "getname", summary: "The connection's name.", flags: always, brief: true, run: cmdClientGetName},
			{name: "getredir", summary: "The connection that is told of tracked keys; 0 is this one, -1 none.",
				flags: always, brief: true, run: cmdClientGetRedir},
			{name: "id", summary: "The connection's number.", flags: always, brief: true, run: cmdClientID},
			{name: "info", summary: "The connection's line of CLIENT LIST.", flags: always, brief: true, run: cmdClientInfo},
			{name: "kill", summary: "Closes connections, by address or by filters.",
				synopsis: "[ip:port] [ID client-id] [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO]",
				arity:    -3, flags: admin, run: cmdClientKill},
			{name: "list", summary: "Lists the connections.",
				synopsis: "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]", flags: admin, run: cmdClientList},
			{name: "no-evict", summary: "Accepted; connections are not evicted here.", synopsis: "ON|OFF", flags: admin, brief: true, run: cmdClientNoEvict},
			{name: "no-touch", summary: "Accepted; reads do not touch keys here.", synopsis: "ON|OFF", flags: always, brief: true, run: cmdClientNoTouch},
			{name: "pause", summary: "Holds commands for so many milliseconds: all, or those that write.",
				synopsis: "timeout [WRITE|ALL]", flags: admin, brief: true, run: cmdClientPause},
			{name: "reply", summary: "Drops replies: all from now on, or the next one.",
				synopsis: "ON|OFF|SKIP", flags: always, brief: true, run: cmdClientReply},
			{name: "setinfo", summary: "Tells the client library's name or version.",
				synopsis: "LIB-NAME|LIB-VER value", flags: always, brief: true, run: cmdClientSetInfo},
			{name: "setname", summary: "Names the connection.", synopsis: "connection-name", flags: always, brief: true, run: cmdClientSetName},
			{name: "tracking", summary: "For clients with a cache: tells them at once that what they read has changed, because it may not be kept.",
				synopsis: "ON|OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
				arity:    -3, flags: always, brief: true, run: cmdClientTracking},
			{name: "trackinginfo", summary: "The connection's state of CLIENT TRACKING.", flags: always, brief: true, run: cmdClientTrackingInfo},
			{name: "unblock", summary: "Replies 0: no client waits in a way that another could end.",
				synopsis: "client-id [TIMEOUT|ERROR]", flags: admin, brief: true, run: cmdClientUnblock},
			{name: "unpause", summary: "Ends CLIENT PAUSE.", flags: admin, brief: true, run: cmdClientUnpause},
		}},
		{name: "echo", summary: "Replies the message.", synopsis: "message", flags: "fast loading stale", run: cmdEcho},
		{name: "hello", summary: "Chooses RESP2 or RESP3 and introduces the server.",
			synopsis: "[protover] [AUTH username password] [SETNAME clientname]", flags: alwaysFast + " no_auth", run: cmdHello},
		{name: "ping", summary: "Replies PONG, or the message.", synopsis: "[message]", flags: "fast loading stale", whileSubscribed: true, run: cmdPing},
		{name: "quit", summary: "Closes the connection.", arity: -1, flags: alwaysFast + " no_auth", runsInMulti: true, whileSubscribed: true, run: cmdQuit},
		{name: "reset", summary: "Returns the connection to how it began.",
			flags: alwaysFast + " no_auth", runsInMulti: true, whileSubscribed: true, run: cmdResetConnection},
		{name: "select", summary: "Chooses a database; there is only 0.", synopsis: "index", flags: "fast loading stale", run: cmdSelect},
	}
}

func keysCommands() []*command {
	return []*command{
		{name: "dbsize", summary: "Counts the keys in memory; idle keys that are not reclaimed yet count too.",
			flags: "readonly fast", needsStore: true, run: cmdDBSize},
		{name: "del", summary: "The same as RL.RESET.", synopsis: "key [key ...]", flags: "write", keys: keyAll, asksLimiter: true, run: cmdReset},
		{name: "exists", summary: "Counts the keys that are not idle.",
			synopsis: "key [key ...]", flags: "readonly fast", keys: keyAll, needsStore: true, run: cmdExists},
		{name: "flushall", summary: "Forgets every key.", synopsis: "[ASYNC|SYNC]", flags: "write", needsStore: true, run: cmdFlush},
		{name: "flushdb", summary: "Forgets every key.", synopsis: "[ASYNC|SYNC]", flags: "write", needsStore: true, run: cmdFlush},
		{name: "keys", summary: "Lists the keys that match a pattern; SCAN does it in steps.",
			synopsis: "pattern", flags: "readonly", needsStore: true, run: cmdKeys},
		{name: "memory", summary: "Looks at memory.", subs: []*command{
			{name: "doctor", summary: "Says what stands out.", brief: true, run: cmdMemoryDoctor},
			{name: "malloc-stats", summary: "Says that there are none; INFO memory tells of the heap.", brief: true, run: cmdMemoryMallocStats},
			{name: "purge", summary: "Accepted; memory that is free is given back by itself.", brief: true, run: cmdOK},
			{name: "stats", summary: "The memory of keys and connections, with Redis's names.", run: cmdMemoryStats},
			{name: "usage", summary: "Estimates the bytes that a key takes.",
				synopsis: "key [SAMPLES count]", flags: "readonly", keys: keySecond, needsStore: true, run: cmdMemoryUsage},
		}},
		{name: "object", summary: "Looks at how a key is kept.", subs: []*command{
			{name: "encoding", summary: "The shape of the key's state: word or log.",
				synopsis: "key", flags: "readonly", keys: keySecond, needsStore: true, brief: true, run: cmdObjectEncoding},
			{name: "freq", summary: "An error for every key: how often keys are used is not counted.",
				synopsis: "key", flags: "readonly", keys: keySecond, needsStore: true, brief: true, run: cmdObjectFreq},
			{name: "idletime", summary: "An error for every key: when keys were used is not kept; PTTL says when they are idle.",
				synopsis: "key", flags: "readonly", keys: keySecond, needsStore: true, brief: true, run: cmdObjectIdleTime},
			{name: "refcount", summary: "1 for every key.",
				synopsis: "key", flags: "readonly", keys: keySecond, needsStore: true, brief: true, run: cmdObjectRefCount},
		}},
		{name: "pttl", summary: "Milliseconds until the key is idle; -2 if it is.",
			synopsis: "key", flags: "readonly fast", keys: keyFirst, needsStore: true, run: cmdPTTL},
		{name: "scan", summary: "Lists keys in steps; TYPE takes the name of an algorithm.",
			synopsis: "cursor [MATCH pattern] [COUNT count] [TYPE type]", flags: "readonly", needsStore: true, run: cmdScan},
		{name: "ttl", summary: "Seconds, rounded up, until the key is idle; -2 if it is.",
			synopsis: "key", flags: "readonly fast", keys: keyFirst, needsStore: true, run: cmdTTL},
		{name: "type", summary: "The algorithm that the key belongs to, or none.",
			synopsis: "key", flags: "readonly fast", keys: keyFirst, needsStore: true, run: cmdType},
		{name: "unlink", summary: "The same as RL.RESET.", synopsis: "key [key ...]", flags: "write fast", keys: keyAll, asksLimiter: true, run: cmdReset},
	}
}

func pubsubCommands() []*command {
	return []*command{
		{name: "psubscribe", summary: "Receives what is published to channels that match patterns.",
			synopsis: "pattern [pattern ...]", flags: listening, whileSubscribed: true, run: cmdPSubscribe},
		{name: "publish", summary: "Sends a message to a channel's subscribers; replies how many there are.",
			synopsis: "channel message", flags: "pubsub loading stale may_replicate", briefWhen: publishIsBrief, run: cmdPublish},
		{name: "pubsub", summary: "Looks at channels and their subscribers.", subs: []*command{
			{name: "channels", summary: "The channels that have subscribers, all or those that match.",
				synopsis: "[pattern]", flags: "pubsub loading stale", run: cmdPubsubChannels},
			{name: "numpat", summary: "Counts the distinct patterns that have subscribers.", flags: "pubsub loading stale", run: cmdPubsubNumPat},
			{name: "numsub", summary: "Counts the subscribers of channels; those of patterns do not count.",
				synopsis: "[channel [channel ...]]", flags: "pubsub loading stale", run: cmdPubsubNumSub},
			{name: "shardchannels", summary: "The sharded channels that have subscribers, all or those that match.",
				synopsis: "[pattern]", flags: "pubsub loading stale", run: cmdPubsubShardChannels},
			{name: "shardnumsub", summary: "Counts the subscribers of sharded channels.",
				synopsis: "[shardchannel [shardchannel ...]]", flags: "pubsub loading stale", run: cmdPubsubShardNumSub},
		}},
		{name: "punsubscribe", summary: "Ends PSUBSCRIBE, of all patterns unless told.",
			synopsis: "[pattern [pattern ...]]", flags: listening, whileSubscribed: true, run: cmdPUnsubscribe},
		{name: "spublish", summary: "Sends a message to a sharded channel's subscribers; replies how many there are.",
			synopsis: "shardchannel message", flags: "pubsub loading stale may_replicate", keys: keyFirst, briefWhen: publishIsBrief, run: cmdSPublish},
		{name: "ssubscribe", summary: "Receives what is published to sharded channels, which are channels of their own.",
			synopsis: "shardchannel [shardchannel ...]", flags: listening, keys: keyAll, whileSubscribed: true, run: cmdSSubscribe},
		{name: "subscribe", summary: "Receives what is published to channels.",
			synopsis: "channel [channel ...]", flags: listening, whileSubscribed: true, run: cmdSubscribe},
		{name: "sunsubscribe", summary: "Ends SSUBSCRIBE, of all sharded channels unless told.",
			synopsis: "[shardchannel [shardchannel ...]]", flags: listening, keys: keyAll, whileSubscribed: true, run: cmdSUnsubscribe},
		{name: "unsubscribe", summary: "Ends SUBSCRIBE, of all channels unless told.",
			synopsis: "[channel [channel ...]]", flags: listening, whileSubscribed: true, run: cmdUnsubscribe},
	}
}

func transactionsCommands() []*command {
	return []*command{
		{name: "discard", summary: "Forgets what has been queued since MULTI.", flags: alwaysFast, runsInMulti: true, run: cmdDiscard},
		{name: "exec", summary: "Runs what has been queued since MULTI, in order; commands of others may come in between.",
			flags: always + " skip_slowlog", runsInMulti: true, endsTransaction: true, briefWhen: execIsBrief, run: cmdExec},
		{name: "multi", summary: "Queues the commands from now on until EXEC; not with a backend of Redis.",
			flags: alwaysFast, runsInMulti: true, run: cmdMulti},
		{name: "unwatch", summary: "Does nothing; no key is ever watched.", flags: alwaysFast, run: cmdOK},
		{name: "watch", summary: "Answers an error: keys cannot be watched; a decision is one step by itself.",
			synopsis: "key [key ...]", flags: alwaysFast, keys: keyAll, runsInMulti: true, run: cmdWatch},
	}
}

func clusterCommands() []*command {
	const flags = "loading stale"
	return []*command{
		{name: "asking", summary: "Does nothing; no slot is ever moved.", flags: "fast", run: clustered(cmdOK)},
		{name: "cluster", summary: "Tells clients of Redis Cluster which server has all slots, with cluster-enabled emulated.", subs: []*command{
			{name: "countkeysinslot", summary: "Counts the keys of a slot; it looks at every key.",
				synopsis: "slot", flags: "stale", needsStore: true, run: clustered(cmdClusterCountKeysInSlot)},
			{name: "getkeysinslot", summary: "Lists keys of a slot, at most so many; it looks at every key.",
				synopsis: "slot count", flags: "stale", needsStore: true, run: clustered(cmdClusterGetKeysInSlot)},
			{name: "info", summary: "The state of the cluster, which is always ok.", flags: flags, brief: true, run: clustered(cmdClusterInfo)},
			{name: "keyslot", summary: "The slot of a key.", synopsis: "key", flags: flags, brief: true, run: clustered(cmdClusterKeySlot)},
			{name: "links", summary: "Lists nothing: there are no links but those of replicas.", flags: flags, brief: true, run: clustered(cmdNone)},
			{name: "myid", summary: "The server's id, which follows from its address.", flags: flags, brief: true, run: clustered(cmdClusterMyID)},
			{name: "nodes", summary: "The primary and its replicas, one a line.", flags: flags, brief: true, run: clustered(cmdClusterNodes)},
			{name: "replicas", summary: "The replicas of the primary, by its id.",
				synopsis: "node-id", flags: flags, brief: true, run: clustered(cmdClusterReplicas)},
			{name: "shards", summary: "The primary and its replicas, as one shard with all slots.", flags: flags, brief: true, run: clustered(cmdClusterShards)},
			{name: "slaves", summary: "The same as CLUSTER REPLICAS.",
				synopsis: "node-id", flags: flags, brief: true, run: clustered(cmdClusterReplicas)},
			{name: "slots", summary: "The primary and its replicas, for the one range of all slots.", flags: flags, brief: true, run: clustered(cmdClusterSlots)},
		}},
		{name: "readonly", summary: "Lets a client of a cluster read from a replica, which else sends it to the primary.",
			flags: "fast loading stale", run: cmdReadOnly},
		{name: "readwrite", summary: "Ends READONLY.", flags: "fast loading stale", run: cmdReadWrite},
	}
}

func serverCommands() []*command {
	return []*command{
		{name: "command", summary: "Describes the commands.", arity: -1, run: cmdCommand, subs: []*command{
			{name: "count", summary: "Counts the commands.", flags: "loading stale", run: cmdCommandCount},
			{name: "docs", summary: "Documents commands.", synopsis: "[command-name [command-name ...]]", flags: "loading stale", run: cmdCommandDocs},
			{name: "getkeys", summary: "Finds the keys in a command line.", synopsis: "command [arg ...]", flags: "loading stale", run: cmdCommandGetKeys},
			{name: "getkeysandflags", summary: "Finds the keys in a command line, and what is done with them.",
				synopsis: "command [arg ...]", flags: "loading stale", run: cmdCommandGetKeysAndFlags},
			{name: "info", summary: "Describes commands for clients.",
				synopsis: "[command-name [command-name ...]]", flags: "loading stale", run: cmdCommandInfo},
			{name: "list", summary: "Lists the commands' names.", synopsis: "[FILTERBY PATTERN pattern]", flags: "loading stale", run: cmdCommandList},
		}},
		{name: "config", summary: "Reads and changes settings.", subs: []*command{
			{name: "get", summary: "Reads the settings that match patterns.", synopsis: "parameter [parameter ...]", flags: admin, run: cmdConfigGet},
			{name: "resetstat", summary: "Sets the statistics of INFO to zero.", flags: admin, run: cmdConfigResetStat},
			{name: "rewrite", summary: "Writes what was changed, and the role, to the configuration file.", flags: admin, run: cmdConfigRewrite},
			{name: "set", summary: "Changes settings while running: all of those given, or none.",
				synopsis: "parameter value [parameter value ...]", flags: admin, run: cmdConfigSet},
		}},
		{name: "info", summary: "Statistics and state, in sections.", synopsis: "[section [section ...]]", flags: "loading stale", run: cmdInfo},
		{name: "latency", summary: "Looks at how long commands take.", subs: []*command{
			{name: "doctor", summary: "Says that there is no latency monitor, and where to look.", flags: admin, brief: true, run: cmdLatencyDoctor},
			{name: "graph", summary: "An error: there is no latency monitor.", synopsis: "event", flags: admin, brief: true, run: cmdLatencyGraph},
			{name: "histogram", summary: "How many calls took at most so many microseconds, of the calls that were timed.",
				synopsis: "[command [command ...]]", flags: admin, run: cmdLatencyHistogram},
			{name: "history", summary: "Lists nothing: there is no latency monitor.", synopsis: "event", flags: admin, brief: true, run: cmdNone},
			{name: "latest", summary: "Lists nothing: there is no latency monitor.", flags: admin, brief: true, run: cmdNone},
			{name: "reset", summary: "Replies 0: there is no latency monitor.", synopsis: "[event [event ...]]", flags: admin, brief: true, run: cmdLatencyReset},
		}},
		{name: "module", summary: "Looks at modules; there are none.", subs: []*command{
			{name: "list", summary: "Lists nothing.", flags: "admin noscript", brief: true, run: cmdNone},
		}},
		{name: "monitor", summary: "Streams every command that the server is sent.", flags: admin, run: cmdMonitor},
		{name: "slowlog", summary: "Looks at commands that took long.", subs: []*command{
			{name: "get", summary: "The newest entries, 10 unless told.", synopsis: "[count]", flags: admin, run: cmdSlowlogGet},
			{name: "len", summary: "Counts the entries.", flags: admin, run: cmdSlowlogLen},
			{name: "reset", summary: "Forgets the entries.", flags: admin, run: cmdSlowlogReset},
		}},
		{name: "shutdown", summary: "Ends the server as SIGTERM does.", synopsis: "[NOSAVE|SAVE]", flags: admin + " no_multi", run: cmdShutdown},
		{name: "time", summary: "The clock that decisions use: seconds and microseconds.", flags: "fast loading stale", run: cmdTime},
	}
}

func replicationCommands() []*command {
	return []*command{
		{name: "bgrewriteaof", summary: "Writes the append-only file anew, in the background.",
			flags: "admin noscript", run: replicated(cmdRewriteAppendOnly)},
		{name: "bgsave", summary: "Writes a snapshot in the background.",
			synopsis: "[SCHEDULE]", flags: "admin noscript", run: replicated(cmdBackgroundSave)},
		{name: "lastsave", summary: "When the last snapshot was on disk, or while there is none when the server began, in seconds since the Unix epoch.",
			flags: "loading stale fast", run: replicated(cmdLastSave)},
		{name: "replconf", summary: "What a replica tells of itself.",
			synopsis: "option value [option value ...]", arity: -1, flags: admin, run: replicated(cmdReplConf)},
		{name: "replicaof", summary: "Makes the server a replica; NO ONE makes it a primary.",
			synopsis: "host port", flags: "admin noscript stale", run: replicated(cmdReplicaOf)},
		{name: "rl.sync", summary: "Makes the connection a replica's, which is sent every change.",
			synopsis: "version id offset", flags: "admin noscript no_multi", deferred: true, run: replicated(cmdSync)},
		{name: "role", summary: "Whether the server is a primary or a replica, and of whom.", flags: alwaysFast, run: cmdRole},
		{name: "save", summary: "Writes a snapshot, and replies when it is on disk.",
			flags: "admin noscript no_multi", deferred: true, run: replicated(cmdSave)},
		{name: "slaveof", summary: "The same as REPLICAOF.", synopsis: "host port", flags: "admin noscript stale", run: replicated(cmdReplicaOf)},
		{name: "wait", summary: "Waits until so many replicas have every change; replies how many have.",
			synopsis: "numreplicas timeout", flags: "blocking no_multi", deferred: true, run: replicated(cmdWait)},
	}
}
