package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
)

// Every error text that goes over the wire stands here. Where Redis has a text, it is
// Redis's to the letter, because clients compare them.
const (
	errNoAuth              = "NOAUTH Authentication required."
	errWrongPass           = "WRONGPASS invalid username-password pair or user is disabled."
	errHelloNoAuth         = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	errNoPassword          = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errNoProto             = "NOPROTO unsupported protocol version"
	errHelloInt            = "ERR Protocol version is not an integer or out of range"
	errSyntax              = "ERR syntax error"
	errNotInteger          = "ERR value is not an integer or out of range"
	errDBIndex             = "ERR DB index is out of range"
	errCursor              = "ERR invalid cursor"
	errClientName          = "ERR Client names cannot contain spaces, newlines or special characters."
	errNoClient            = "ERR No such client"
	errClientID            = "ERR client-id should be greater than 0"
	errClientListID        = "ERR Invalid client ID"
	errSlowlogGet          = "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."
	errNoKeyArgs           = "ERR The command has no key arguments"
	errBadCommand          = "ERR Invalid command specified"
	errBadArguments        = "ERR Invalid arguments specified for command"
	errBadArgCount         = "ERR Invalid number of arguments specified for command"
	errMaxClients          = "ERR max number of clients reached"
	errSlowCount           = "ERR count should be greater than or equal to -1"
	errNoMemory            = "OOM command not allowed when used memory > 'maxmemory'."
	errPubsubChannels      = "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP."
	errPubsubShardChannels = "ERR unknown subcommand or wrong number of arguments for 'SHARDCHANNELS'. Try PUBSUB HELP."
	errMultiNested         = "ERR MULTI calls can not be nested"
	errExecWithoutMulti    = "ERR EXEC without MULTI"
	errDiscardWithoutMulti = "ERR DISCARD without MULTI"
	errExecAbort           = "EXECABORT Transaction discarded because of previous errors."
	errNotInMulti          = "ERR Command not allowed inside a transaction"
	errWatchInMulti        = "ERR WATCH inside MULTI is not allowed"
	errMonitorInExec       = "ERR MONITOR isn't allowed for DENY BLOCKING client"
	errSSubscribeInExec    = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"
	errWatch               = "ERR WATCH is not available: keys cannot be watched for changes; each RL.CHECK is one atomic step by itself"
	errExecUnread          = "ERR not executed: the answers of this EXEC are more than output-buffer-limit, and they are not read"
	errNoShutdown          = "ERR SHUTDOWN is not available here: who runs this server ends it"
	errNoConfigFile        = "ERR The server is running without a config file"
	errPanic               = "ERR internal error; the connection is closed and the server's log has the details"
	errProtected           = "DENIED rlserver is running in protected mode: no password is set, so only connections from this machine are accepted. " +
		"To accept others, set a password (--requirepass, RLSERVER_REQUIREPASS or requirepass in the configuration file), " +
		"or, where the network itself is trusted, turn protected mode off (--protected-mode no)."
)

// The errors of tracking.
const (
	errRedirectTwice          = "ERR A client can only redirect to a single other client"
	errRedirectUnknown        = "ERR The client ID you want redirect to does not exist"
	errPrefixWithoutBroadcast = "ERR PREFIX option requires BCAST mode to be enabled"
	errOptWithBroadcast       = "ERR OPTIN and OPTOUT are not compatible with BCAST"
	errOptBoth                = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	errCachingWithoutTracking = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	errCachingYes             = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	errCachingNo              = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

var errPrefixesMax = fmt.Sprintf("ERR too many prefixes: a connection may have %d", prefixesMax)

func errTrackingSwitch(mode string) string {
	return "ERR You can't switch " + mode + " before disabling tracking for this client, and then re-enabling it with a different mode."
}

func errPrefixes(prefix, kind, other string) string {
	return fmt.Sprintf("ERR Prefix '%s' overlaps with %s '%s'. Prefixes for a single client must not overlap.",
		cut([]byte(prefix), quotedBytesMax), kind, cut([]byte(other), quotedBytesMax))
}

// The errors of OBJECT.
const (
	errObjectFreq     = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	errObjectIdleTime = "ERR when a key was last used is not kept; PTTL says when it will be idle"
)

func errNoSamples(event []byte) string {
	return fmt.Sprintf("ERR No samples available for event '%s'", cut(event, quotedBytesMax))
}

// The errors of CLIENT PAUSE and CLIENT UNBLOCK.
const (
	errPauseMode     = "ERR CLIENT PAUSE mode must be WRITE or ALL"
	errUnblockReason = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
)

// The errors of clusters.
const (
	errNoCluster      = "ERR This instance has cluster support disabled"
	errClusterDB      = "ERR SELECT is not allowed in cluster mode"
	errSlot           = "ERR Invalid slot"
	errSlotOrCount    = "ERR Invalid slot or number of keys"
	errNotPrimaryNode = "ERR The specified node is not a master"
)

func errUnknownNode(id []byte) string {
	return fmt.Sprintf("ERR Unknown node %s", cut(id, quotedBytesMax))
}

// The texts for subscriptions and transactions that exceed their bounds.
var (
	errSubscriptions       = fmt.Sprintf("ERR too many subscriptions: a connection may have %d channels and patterns", clientSubscriptionsMax)
	errServerSubscriptions = fmt.Sprintf("ERR too many subscriptions: all connections may have %d", serverSubscriptionsMax)
	errPatterns            = fmt.Sprintf("ERR too many patterns: all connections may have %d different ones", distinctPatternsMax)
	errTransactionBounds   = fmt.Sprintf("ERR transaction too large: accepted is at most %d commands and %d bytes", transactionCommandsMax, transactionBytesMax)
)

func errChannel(bytes int) string {
	return fmt.Sprintf("ERR channel is %d bytes long: accepted is at most %d bytes", bytes, channelBytesMax)
}

func errWhileSubscribed(cmd *command) string {
	return "ERR Can't execute '" + cmd.fullName() + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

// errExecRejected is for an EXEC that is wrong itself.
func errExecRejected(text string) string {
	return "EXECABORT Transaction discarded because of: " + strings.TrimPrefix(text, "ERR ")
}

func errMultiBackend(backend string) string {
	return "ERR MULTI is not available with --backend " + backend + ": answers that Redis decides cannot stand in EXEC's; send the commands without it"
}

func errArity(command string) string {
	return "ERR wrong number of arguments for '" + command + "' command"
}

// errUnknownCommand names the command and the first of its arguments, cut to the same
// lengths as Redis cuts them.
func errUnknownCommand(args [][]byte) string {
	const bytesMax = quotedBytesMax // in all, as in Redis
	var text strings.Builder
	fmt.Fprintf(&text, "ERR unknown command '%s', with args beginning with: ", cut(args[0], bytesMax))
	from := text.Len()
	for _, arg := range args[1:] {
		left := bytesMax - (text.Len() - from)
		if left <= 0 {
			break
		}
		fmt.Fprintf(&text, "'%s' ", cut(arg, left))
	}
	return text.String()
}

// quotedBytesMax bounds what an error quotes of an argument.
const quotedBytesMax = 128

func cut(b []byte, bytesMax int) []byte { return b[:min(len(b), bytesMax)] }

func errUnknownSubcommand(command string, sub []byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", cut(sub, quotedBytesMax), strings.ToUpper(command))
}

// errUnknownOrArity is for a subcommand with more words than it takes.
func errUnknownOrArity(cmd *command) string {
	return fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", cmd.upperName, cmd.container.upperName)
}

// errNotHere is for commands about keys that only the backend has.
func errNotHere(cmd *command, backend string) string {
	name := strings.ToUpper(strings.ReplaceAll(cmd.fullName(), "|", " "))
	return "ERR " + name + " is not available with --backend " + backend + "; ask Redis itself"
}

func errConfig(parameter, problem string) string {
	return "ERR CONFIG SET failed (possibly related to argument '" + parameter + "') - " + problem
}

// errTooManyClients is about more clients than there are descriptors for.
func errTooManyClients(most int) string {
	return fmt.Sprintf("The operating system is not able to handle the specified number of clients, try with %d", most)
}

// The errors of replication; those of WAIT and REPLICAOF are Redis's.
const (
	errPrimaryPort     = "ERR Invalid master port"
	errPrimaryHost     = "ERR Invalid master host"
	errPrimarySelf     = "ERR A server cannot be a replica of itself"
	errTimeoutInteger  = "ERR timeout is not an integer or out of range"
	errTimeoutNegative = "ERR timeout is negative"
	errWaitReplica     = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
	errReplicaHost     = "ERR REPLCONF ip-address is not accepted: accepted is a name or an IP address"
	errSyncVersion     = "ERR RL.SYNC version is not accepted: accepted is a whole number from 1 on"
	errSyncID          = "ERR RL.SYNC id is not accepted: accepted is 40 hexadecimal digits, or ? for none"
	errSyncOffset      = "ERR RL.SYNC offset is not accepted: accepted is a whole number from -1 on"
	errSyncDetached    = "ERR RL.SYNC needs a connection of its own"
	errMemoryOnly      = "this server keeps nothing on disk and has no replicas"
	errSyncMore        = "ERR Protocol error: a replica sends nothing between RL.SYNC and its answer"
)

func errReplConf(option []byte) string {
	return fmt.Sprintf("ERR Unrecognized REPLCONF option: %s", cut(option, quotedBytesMax))
}

// errNoReplicator is for commands about the disk and replicas, where there are none.
func errNoReplicator(cmd *command) string {
	return "ERR " + strings.ToUpper(cmd.name) + " is not available: " + errMemoryOnly
}

func errReplicator(err error) string { return codeOf(err) + " " + plainly(err) }

// plainly is an error's text without the name of the package that it comes from.
func plainly(err error) string {
	text := err.Error()
	if name, rest, ok := strings.Cut(text, ": "); ok && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") == "" {
		return rest
	}
	return text
}

// errNotOnDisk answers for changes that were made and are not on disk. MISCONF is Redis's code.
func errNotOnDisk(err error) string { return "MISCONF Errors writing to the AOF file: " + plainly(err) }

func errRewrite(err error) string { return "ERR Rewriting config file: " + err.Error() }

// The errors of policies. What is wrong with words says package policy.

const errPolicyKept = "ERR the server ends, and does not know whether the change of policies was kept"

func errPairCount(word []byte) string {
	return fmt.Sprintf("ERR numkeys '%s' is not accepted: accepted is a whole number from 1 to %d, how many pairs of key and @policy follow", cut(word, quotedBytesMax), policy.PairsMax)
}

func errPairsFewer(numkeys, words int) string {
	return fmt.Sprintf("ERR numkeys is %d, and %d words follow: accepted is key @policy so many times, and then COST n and FORCE", numkeys, words)
}

func errPairsMore(numkeys int, key []byte) string {
	return fmt.Sprintf("ERR numkeys is %d, and behind so many pairs of key and @policy stands '%s': accepted there is COST n and FORCE", numkeys, cut(key, quotedBytesMax))
}

// errMeantPolicy is another error, where a word is the name of a policy without its @.
func errMeantPolicy(problem string, name []byte) string {
	return fmt.Sprintf("%s: did you mean @%s?", problem, name)
}

func errNotPolicy(word []byte) string {
	return fmt.Sprintf("ERR policy '%s' is not accepted: accepted behind each key is @ and the name of a policy", cut(word, quotedBytesMax))
}

func errPairTwice(key, name []byte) string {
	return fmt.Sprintf("ERR key '%s' with %s is given twice", cut(key, quotedBytesMax), name)
}

// errCrossSlot has the text of Redis, and more.
func errCrossSlot(one, other string) string {
	return fmt.Sprintf("CROSSSLOT Keys in request don't hash to the same slot: '%s' and '%s'. Keys with the same {tag} do; nothing was taken",
		cut([]byte(one), quotedBytesMax), cut([]byte(other), quotedBytesMax))
}

// errDecision is the text for an error of the limiter.
func errDecision(err error) string {
	var wrong *engine.WrongTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("WRONGTYPE Operation against a key holding the wrong kind of value: it is held by %s until it is at rest, and %s was asked for; RL.RESET frees it", kindText(wrong.Owner), kindText(wrong.Asked))
	}
	if errors.Is(err, engine.ErrNoMemory) {
		return errNoMemory
	}
	return codeOf(err) + " " + err.Error()
}

// kindText names an algorithm, and says whether it is that of a policy.
func kindText(a engine.Algorithm) string {
	if a&engine.Named != 0 {
		return "a policy (" + a.String() + ")"
	}
	return a.String()
}

// codeOf is the first word of an error.
func codeOf(err error) string {
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		return coded.Code()
	}
	return "ERR"
}
