package server

import (
	"slices"
	"strings"
	"sync/atomic"
)

// A command is one row of the command table. Everything that can be said about a command
// follows from its row: dispatch and arity errors, COMMAND and COMMAND DOCS (and with them
// the hints of redis-cli), the HELP of containers, and docs/COMMANDS.md.
type command struct {
	name     string // lower case; of a subcommand, without the container's name
	synopsis string // the arguments, in the notation of synopsis.go
	// arity counts the command's own name, and the container's for a subcommand; −n
	// means n or more. As in Redis.
	arity   int
	flags   string // Redis's names, separated by spaces
	keys    keyRange
	group   string
	summary string
	run     func(r *request)
	subs    []*command // of a container

	container *command
	bySub     map[string]*command
	arguments []argument
	calls     atomic.Uint64
	// What dispatch asks of the flags for every command. A plain one has no subcommands and
	// is none.
	// A brief one need not step aside: it is fast, or one of those that connections begin with.
	isFast, isBrief, needsNoAuth, isPrivate, isPlain bool
	// writes is whether it may change keys.
	writes bool
	// isLater: its reply is found in its own time, or is not this server's to write, so that
	// those before must have gone.
	isLater bool
	// asks says that a remote answers it, and needsKeys that it looks at keys that a remote
	// has and does not show.
	asks, needsKeys bool
	upperName       string
	// briefFor says of a command that may take long whether it does now; nil: it may.
	briefFor func(*session) bool
	// What restrict asks: that a command is no part of any transaction, that it runs where
	// others are queued, and where a subscriber speaks RESP2.
	neverQueued, pastQueue, whileSubscribed bool
	isExec                                  bool
}

// keyRange says which arguments are keys, as Redis does: the first, the last (−1: to the
// end) and the step. The zero keyRange is none.
type keyRange struct{ first, last, step int }

// commandNameMax bounds the length of a command's name, in bytes.
const commandNameMax = 32

// since is the version in which the commands came; there has been one so far.
const since = "0.1.0"

// fullName is the name with the container's: "client|list".
func (c *command) fullName() string {
	if c.container != nil {
		return c.container.name + "|" + c.name
	}
	return c.name
}

// isBriefNow says whether a command that may take long does not do so now.
func (c *command) isBriefNow(of *session) bool { return c.briefFor != nil && c.briefFor(of) }

func (c *command) has(flag string) bool {
	for f := range strings.FieldsSeq(c.flags) {
		if f == flag {
			return true
		}
	}
	return false
}

// fits says whether a command line of n words has the right arity.
func (c *command) fits(n int) bool {
	if c.arity < 0 {
		return n >= -c.arity
	}
	return n == c.arity
}

// A commandTable finds commands by name.
type commandTable struct {
	rows   []*command // in the order of the table
	byName map[string]*command
}

func newCommandTable() *commandTable {
	t := &commandTable{rows: commandRows(), byName: map[string]*command{}}
	for _, c := range t.rows {
		t.byName[c.name] = c
		if c.subs == nil {
			continue
		}
		c.subs = append(c.subs, row("help", "", 2, "loading stale", noKeys, cmdHelp, "Lists the subcommands."))
		c.bySub = map[string]*command{}
		for _, sub := range c.subs {
			sub.container, sub.group = c, c.group
			c.bySub[sub.name] = sub
		}
	}
	t.each(func(c *command) {
		c.arguments = parseSynopsis(c.synopsis)
		c.isFast, c.needsNoAuth, c.writes = c.has("fast"), c.has("no_auth"), c.has("write")
		ofClient := c.container != nil && c.container.name == "client" && c.name != "list" && c.name != "kill"
		c.isBrief = c.isFast || ofClient
		c.asks = c.group == "limiter" || c.name == "del" || c.name == "unlink"
		c.needsKeys = c.group == "keys" && !c.asks && c.subs == nil
		c.isLater = c.has("blocking") || c.name == "save" || c.name == "rl.sync"
		c.isPlain, c.upperName = c.subs == nil && c.container == nil, strings.ToUpper(c.name)
		c.isExec = c.name == "exec"
		c.neverQueued = c.has("no_multi")
		c.pastQueue = slices.Contains(runInMulti, c.name) && c.container == nil
		c.whileSubscribed = slices.Contains(runWhileSubscribed, c.name) && c.container == nil
		// What may hold a password is not shown to MONITOR or the slow log; as in Redis. EXEC
		// shows itself.
		c.isPrivate = c.has("admin") || c.needsNoAuth || c.isExec
	})
	return t
}

// Commands that a transaction does not queue, and that a subscriber in RESP2 may send.
var (
	runInMulti         = []string{"exec", "discard", "multi", "watch", "quit", "reset"}
	runWhileSubscribed = []string{"subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ping", "quit", "reset"}
)

// find looks a command up by the words of a command line. For a container it finds the
// subcommand, if there is one by that name, and else the container itself.
//
// Most command lines are of the command that the connection sent last, which is tried first.
func (t *commandTable) find(words [][]byte, last *command) *command {
	if last != nil && last.isPlain && (string(words[0]) == last.upperName || string(words[0]) == last.name) {
		return last
	}
	c := lookup(t.byName, words[0])
	if c == nil || c.subs == nil || len(words) < 2 {
		return c
	}
	if sub := lookup(c.bySub, words[1]); sub != nil {
		return sub
	}
	return c
}

// findByLabel looks up "get" or "client|list", in any case.
func (t *commandTable) findByLabel(label string) *command {
	name, sub, isSub := strings.Cut(lower(label), "|")
	c := t.byName[name]
	if c != nil && isSub {
		return c.bySub[sub]
	}
	return c
}

// each visits every command, subcommands behind their container.
func (t *commandTable) each(visit func(*command)) {
	for _, c := range t.rows {
		visit(c)
		for _, sub := range c.subs {
			visit(sub)
		}
	}
}

// lookup finds a name in any case, without allocating.
func lookup(names map[string]*command, name []byte) *command {
	if len(name) > commandNameMax {
		return nil
	}
	var lower [commandNameMax]byte
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return names[string(lower[:len(name)])]
}

// cmdHelp is the HELP of every container.
func cmdHelp(r *request) {
	container := r.command.container
	r.reply.Array(2*len(container.subs) + 1)
	r.reply.Simple(strings.ToUpper(container.name) + " <subcommand> [<arg> [value] ...]. Subcommands are:")
	for _, sub := range container.subs {
		r.reply.Simple(strings.TrimSpace(strings.ToUpper(sub.name) + " " + sub.synopsis))
		r.reply.Simple("    " + sub.summary)
	}
}
