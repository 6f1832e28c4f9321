package server

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/rlserver/rlserver/policy"
	"github.com/rlserver/rlserver/server/resp"
)

// A command is one row of the command table. Everything that can be said about a command
// follows from its row: dispatch and arity errors, COMMAND and COMMAND DOCS (and with them
// the hints of redis-cli), the HELP of containers, and docs/COMMANDS.md. No other code asks
// which command this is.
type command struct {
	name     string // lower case; of a subcommand, without the container's name
	summary  string
	synopsis string // the arguments, in the notation of synopsis.go
	// arity is how many words the command has, its own name counted, and the container's for a
	// subcommand; −n means n or more. As in Redis. It follows from the synopsis, unless the row says
	// it.
	arity int
	// unnamed is how many words the command has at least where the third does not name a policy; 0: that
	// makes no difference.
	unnamed int
	flags   string // Redis's names, separated by spaces
	keys    keyRange
	subs    []*command       // of a container
	run     func(r *request) // of a container: nil, unless it is a command by itself

	// What dispatch must know beyond Redis's flags.

	// asksLimiter: the limiter answers, which is the store or a backend.
	asksLimiter bool
	// needsStore: the command looks at the keys of the store. A backend does not show its own.
	needsStore bool
	// brief: the command never takes long, although it has not the flag "fast". An event loop
	// runs it.
	brief bool
	// briefWhen says of a command that may take long whether it does not at this moment; nil:
	// that cannot be known.
	briefWhen func(*session) bool
	// deferred: the reply comes when it is ready, or is not written by this server. Replies
	// that wait must leave before it.
	deferred bool
	// runsInMulti: a transaction does not queue the command, which runs at once.
	runsInMulti bool
	// endsTransaction: a transaction is over even if this command is refused.
	endsTransaction bool
	// whileSubscribed: a subscriber may send the command in RESP2.
	whileSubscribed bool

	// Filled in by newCommandTable.

	group     string
	container *command
	bySub     map[string]*command
	arguments []argument
	upperName string
	isPlain   bool // neither a container nor a subcommand
	// From the flags.
	isFast, isBrief, needsNoAuth, writes bool
	mayReplicate                         bool // it writes nothing here, and Redis may replicate it
	onPrimary                            bool // of a cluster it is for the primary, also after READONLY
	isPrivate                            bool // kept from MONITOR and the slow log
	refusedInMulti                       bool
	// movesKeys: in front of the first key stands how many keys there are, and a word follows each. To
	// clients that look at the range of keys only, the first is the key.
	movesKeys bool

	stats atomic.Pointer[commandStats]
}

// keyRange says which arguments are keys, as Redis does: the first, the last (−1: to the
// end) and the step. The zero keyRange is none.
type keyRange struct{ first, last, step int }

// keysOf are the keys in a command line that fits.
func (c *command) keysOf(words [][]byte) (keys [][]byte) {
	last, step := c.keys.last, c.keys.step
	switch {
	case c.movesKeys:
		n, ok := wholeNumber(words[c.keys.first-1])
		if step = 2; !ok || n < 1 || n > int64(len(words)-c.keys.first)/2 {
			return nil
		}
		last += 2 * int(n-1)
	case last < 0:
		last += len(words)
	}
	for i := c.keys.first; i > 0 && i <= last; i += step {
		keys = append(keys, words[i])
	}
	return keys
}

// commandNameMax bounds the length of a command's name, in bytes.
const commandNameMax = 32

// since is the version that brought the commands; there has been one so far.
const since = "0.1.0"

// fullName is the name with the container's: "client|list".
func (c *command) fullName() string {
	if c.container != nil {
		return c.container.name + "|" + c.name
	}
	return c.name
}

func (c *command) has(flag string) bool { return slices.Contains(strings.Fields(c.flags), flag) }

// fits says whether a command line has the right arity.
func (c *command) fits(words [][]byte) bool {
	n := len(words)
	if c.arity < 0 {
		return n >= -c.arity && (n >= c.unnamed || policy.IsName(words[2]))
	}
	return n == c.arity
}

// A commandTable finds commands by name.
type commandTable struct {
	rows   []*command // in the order of the table
	byName map[string]*command
}

func newCommandTable() *commandTable {
	t := &commandTable{byName: map[string]*command{}}
	for _, g := range commandGroups() {
		for _, c := range g.rows {
			c.group = g.name
			t.byName[c.name] = c
			c.bySub = map[string]*command{}
			if c.subs != nil {
				c.subs = append(c.subs, helpRow(c))
			}
			for _, sub := range c.subs {
				sub.container, sub.group = c, g.name
				c.bySub[sub.name] = sub
			}
		}
		t.rows = append(t.rows, g.rows...)
	}
	t.each((*command).derive)
	return t
}

// derive fills in what follows from the row.
func (c *command) derive() {
	c.isPlain = c.subs == nil && c.container == nil
	c.arguments = parseSynopsis(c.synopsis)
	c.arity = cmp.Or(c.arity, c.arityOfSynopsis())
	c.stats.Store(&commandStats{})
	c.upperName = strings.ToUpper(c.name)
	c.isFast, c.needsNoAuth, c.writes = c.has("fast"), c.has("no_auth"), c.has("write")
	c.isBrief = c.isFast || c.brief
	c.movesKeys = c.has("movablekeys")
	c.onPrimary = c.writes || c.has("pubsub") // a replica has not the subscribers of its primary
	c.refusedInMulti, c.mayReplicate = c.has("no_multi"), c.has("may_replicate")
	// A line that may hold a password is shown neither to MONITOR nor in the slow log, as in
	// Redis. EXEC, which has skip_slowlog, shows itself to MONITOR.
	c.isPrivate = c.has("admin") || c.needsNoAuth || c.has("skip_slowlog")
}

// arityOfSynopsis is the arity that the arguments ask for. A container needs a subcommand.
func (c *command) arityOfSynopsis() int {
	words, open := 1, c.subs != nil
	if !c.isPlain {
		words++
	}
	for _, a := range c.arguments {
		open = open || a.multiple || a.optional || a.varies()
		if !a.optional {
			words += a.words()
		}
	}
	if open {
		return -words
	}
	return words
}

// find looks a command up by the words of a command line: the subcommand, if the line names one.
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
	return lookup(c.bySub, words[1])
}

// errUnknown is the error for a command line for which find finds nothing.
func (t *commandTable) errUnknown(words [][]byte) string {
	if container := lookup(t.byName, words[0]); container != nil {
		return errUnknownSubcommand(container.name, words[1])
	}
	return errUnknownCommand(words)
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
		lower[i] = lowerByte(c)
	}
	return names[string(lower[:len(name)])]
}

// helpRow is the row of a container's HELP. Without a store it is refused where all the other
// subcommands are.
func helpRow(container *command) *command {
	needsNone := slices.ContainsFunc(container.subs, func(sub *command) bool { return !sub.needsStore })
	return &command{name: "help", summary: "Lists the subcommands.", flags: "loading stale", brief: true,
		needsStore: !needsNone, run: cmdHelp}
}

// cmdHelp is the HELP of every container.
func cmdHelp(r *request) {
	container := r.command.container
	lines := []any{resp.Simple(strings.ToUpper(container.name) + " <subcommand> [<arg> [value] ...]. Subcommands are:")}
	for _, sub := range container.subs {
		lines = append(lines, resp.Simple(strings.TrimSpace(strings.ToUpper(sub.name)+" "+sub.synopsis)), resp.Simple("    "+sub.summary))
	}
	r.reply.Value(lines)
}
