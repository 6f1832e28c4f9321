package server

import (
	"strings"

	"github.com/rlserver/rlserver/server/resp"
)

// COMMAND and its subcommands tell clients what there is. Types matter: redis-cli asserts
// them.

func cmdCommand(r *request) {
	r.reply.Value(infoOf(r.server.table.rows))
}

func cmdCommandCount(r *request) { r.reply.Int(len(r.server.table.rows)) }

func cmdCommandInfo(r *request) {
	if len(r.args) == 2 {
		r.args = r.args[:1]
		cmdCommand(r)
		return
	}
	list := make([]any, len(r.args)-2) // nil where there is no such command
	for i, name := range r.args[2:] {
		if c := r.server.table.findByLabel(string(name)); c != nil {
			list[i] = c.info()
		}
	}
	r.reply.Value(list)
}

// info has the ten elements of a command.
func (c *command) info() []any {
	tips := resp.Set{}
	if c.keys != noKeys && c.has("readonly") { // time alone changes it, so no client is to keep it
		tips = resp.Set{"nondeterministic_output", "dont_cache"}
	}
	return []any{c.fullName(), c.arity, simpleSet(strings.Fields(c.flags)...), c.keys.first, c.keys.last, c.keys.step,
		simpleSet(c.categories()...), tips, c.keySpecs(), infoOf(c.subs)}
}

func infoOf(commands []*command) (list []any) {
	for _, c := range commands {
		list = append(list, c.info())
	}
	return list
}

func simpleSet(words ...string) (set resp.Set) {
	for _, word := range words {
		set = append(set, resp.Simple(word))
	}
	return set
}

// categories are the ACL categories, in the order of Redis. They follow from flags and group.
func (c *command) categories() (list []string) {
	for _, row := range [...]struct {
		applies  bool
		category string
	}{
		{c.group == "keys", "@keyspace"},
		{c.has("readonly"), "@read"},
		{c.has("write"), "@write"},
		{c.has("pubsub"), "@pubsub"},
		{c.has("admin"), "@admin"},
		{c.isFast, "@fast"},
		{!c.isFast, "@slow"},
		{c.has("blocking"), "@blocking"},
		{c.has("admin"), "@dangerous"},
		{c.group == "connection", "@connection"},
		{c.group == "transactions", "@transaction"},
	} {
		if row.applies {
			list = append(list, row.category)
		}
	}
	return list
}

// keyFlags says what is done with the keys.
func (c *command) keyFlags() resp.Set {
	if c.writes {
		return simpleSet("RW", "access", "update")
	}
	return simpleSet("RO", "access")
}

// keySpecs says where the keys are, in the form of Redis 7.
func (c *command) keySpecs() resp.Set {
	if c.keys == noKeys {
		return nil
	}
	begin, last := c.keys.first, c.keys.last
	if last > 0 {
		last -= c.keys.first // Redis counts it from the first key here
	}
	find := resp.Map{"type", "range", "spec", resp.Map{"lastkey", last, "keystep", c.keys.step, "limit", 0}}
	if c.movesKeys {
		begin--
		find = resp.Map{"type", "keynum", "spec", resp.Map{"keynumidx", 0, "firstkey", 1, "keystep", 2}}
	}
	return resp.Set{resp.Map{
		"flags", c.keyFlags(),
		"begin_search", resp.Map{"type", "index", "spec", resp.Map{"index", begin}},
		"find_keys", find,
	}}
}

func cmdCommandList(r *request) {
	filter, pattern := "", ""
	if len(r.args) == 5 && equalFold(r.arg(2), "filterby") {
		filter, pattern = lower(r.arg(3)), lower(r.arg(4))
	}
	if len(r.args) != 2 && filter != "pattern" && filter != "aclcat" && filter != "module" {
		r.fail(errSyntax)
		return
	}
	var names []string
	r.server.table.each(func(c *command) {
		switch {
		case filter == "module":
			return // there are no modules
		case filter == "pattern" && !globMatch(pattern, c.fullName()):
			return
		case filter == "aclcat" && !strings.Contains(strings.Join(c.categories(), " ")+" ", "@"+pattern+" "):
			return
		}
		names = append(names, c.fullName())
	})
	r.reply.Strings(names)
}

func cmdCommandGetKeys(r *request) {
	if _, keys := r.keysOfWords(); keys != nil {
		r.reply.Array(len(keys))
		for _, key := range keys {
			r.reply.Bulk(key)
		}
	}
}

func cmdCommandGetKeysAndFlags(r *request) {
	if c, keys := r.keysOfWords(); keys != nil {
		list := []any{}
		for _, key := range keys {
			list = append(list, []any{key, c.keyFlags()})
		}
		r.reply.Value(list)
	}
}

// keysOfWords finds the keys of the command line that the arguments are, or replies an error.
func (r *request) keysOfWords() (c *command, keys [][]byte) {
	words := r.args[2:]
	switch c = r.server.table.find(words, nil); {
	case c == nil:
		r.fail(errBadCommand)
	case c.keys == noKeys:
		r.fail(errNoKeyArgs)
	case !c.fits(words):
		r.fail(errBadArgCount)
	default:
		if keys = c.keysOf(words); keys == nil {
			r.fail(errBadArguments)
		}
	}
	return c, keys
}

func cmdCommandDocs(r *request) {
	found := r.server.table.rows
	if len(r.args) > 2 {
		found = nil
		for _, name := range r.args[2:] {
			if c := r.server.table.findByLabel(string(name)); c != nil {
				found = append(found, c)
			}
		}
	}
	r.reply.Value(docsOf(found))
}

func docsOf(commands []*command) (m resp.Map) {
	for _, c := range commands {
		m = append(m, c.fullName(), c.docs())
	}
	return m
}

func (c *command) docs() resp.Map {
	m := resp.Map{"summary", c.summary, "since", since, "group", c.group}
	if len(c.arguments) > 0 {
		m = append(m, "arguments", docsOfArguments(c.arguments))
	}
	if len(c.subs) > 0 {
		m = append(m, "subcommands", docsOf(c.subs))
	}
	return m
}

func docsOfArguments(arguments []argument) (list []any) {
	for _, a := range arguments {
		list = append(list, a.docs())
	}
	return list
}

func (a argument) docs() resp.Map {
	m := resp.Map{"name", a.name, "type", a.kind}
	if len(a.parts) == 0 {
		m = append(m, "display_text", a.name)
	}
	if a.token != "" {
		m = append(m, "token", a.token)
	}
	var flags []string
	if a.optional {
		flags = append(flags, "optional")
	}
	if a.multiple {
		flags = append(flags, "multiple")
	}
	if len(flags) > 0 {
		m = append(m, "flags", simpleSet(flags...))
	}
	if len(a.parts) > 0 {
		m = append(m, "arguments", docsOfArguments(a.parts))
	}
	return m
}
