package server

import "strings"

// COMMAND and its subcommands tell clients what there is. Types matter: redis-cli asserts
// them.

func cmdCommand(r *request) {
	if len(r.args) > 1 {
		cmdUnknownSubcommand(r)
		return
	}
	r.reply.Array(len(r.server.table.rows))
	for _, c := range r.server.table.rows {
		r.writeCommandInfo(c)
	}
}

func cmdCommandCount(r *request) { r.reply.Int(len(r.server.table.rows)) }

func cmdCommandInfo(r *request) {
	if len(r.args) == 2 {
		r.args = r.args[:1]
		cmdCommand(r)
		return
	}
	r.reply.Array(len(r.args) - 2)
	for _, name := range r.args[2:] {
		if c := r.server.table.findByLabel(string(name)); c != nil {
			r.writeCommandInfo(c)
		} else {
			r.reply.Null()
		}
	}
}

// writeCommandInfo writes the ten elements of a command.
func (r *request) writeCommandInfo(c *command) {
	r.reply.Array(10)
	r.reply.BulkString(c.fullName())
	r.reply.Int(c.arity)
	r.writeSimpleSet(strings.Fields(c.flags))
	r.reply.Int(c.keys.first)
	r.reply.Int(c.keys.last)
	r.reply.Int(c.keys.step)
	r.writeSimpleSet(c.categories())
	r.reply.Set(0) // tips
	r.writeKeySpecs(c)
	r.reply.Array(len(c.subs))
	for _, sub := range c.subs {
		r.writeCommandInfo(sub)
	}
}

func (r *request) writeSimpleSet(words []string) {
	r.reply.Set(len(words))
	for _, word := range words {
		r.reply.Simple(word)
	}
}

// categories are the ACL categories, which follow from flags and group.
func (c *command) categories() []string {
	var list []string
	for _, pair := range [...][2]string{{"write", "@write"}, {"readonly", "@read"}, {"admin", "@admin"}, {"admin", "@dangerous"}} {
		if c.has(pair[0]) {
			list = append(list, pair[1])
		}
	}
	if c.group == "connection" {
		list = append(list, "@connection")
	}
	if c.has("pubsub") {
		list = append(list, "@pubsub")
	}
	if c.group == "transactions" {
		list = append(list, "@transaction")
	}
	if c.has("fast") {
		return append(list, "@fast")
	}
	return append(list, "@slow")
}

// writeKeySpecs writes where the keys are, in the form of Redis 7.
func (r *request) writeKeySpecs(c *command) {
	if c.keys == noKeys {
		r.reply.Set(0)
		return
	}
	flags := []string{"RO", "ACCESS"}
	if c.has("write") {
		flags = []string{"RW", "ACCESS", "UPDATE"}
	}
	last := c.keys.last
	if last > 0 {
		last -= c.keys.first // Redis counts it from the first key here
	}
	r.reply.Set(1)
	r.reply.Map(3)
	r.reply.BulkString("flags")
	r.writeSimpleSet(flags)
	r.reply.BulkString("begin_search")
	r.writeSpec("index", "index", c.keys.first)
	r.reply.BulkString("find_keys")
	r.writeSpec("range", "lastkey", last, "keystep", c.keys.step, "limit", 0)
}

func (r *request) writeSpec(kind string, pairs ...any) {
	r.reply.Map(2)
	r.reply.BulkString("type")
	r.reply.BulkString(kind)
	r.reply.BulkString("spec")
	r.reply.Map(len(pairs) / 2)
	for i := 0; i < len(pairs); i += 2 {
		r.reply.BulkString(pairs[i].(string))
		r.reply.Int(pairs[i+1].(int))
	}
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
	words := r.args[2:]
	c := r.server.table.find(words, nil)
	switch {
	case c == nil:
		r.fail(errBadCommand)
	case c.keys == noKeys:
		r.fail(errNoKeyArgs)
	case !c.fits(len(words)):
		r.fail(errBadArgCount)
	default:
		last := c.keys.last
		if last < 0 {
			last += len(words)
		}
		var keys []string
		for i := c.keys.first; i <= last; i += c.keys.step {
			keys = append(keys, string(words[i]))
		}
		r.reply.Strings(keys)
	}
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
	r.reply.Map(len(found))
	for _, c := range found {
		r.reply.BulkString(c.fullName())
		r.writeCommandDocs(c)
	}
}

func (r *request) writeCommandDocs(c *command) {
	pairs := 3
	if len(c.arguments) > 0 {
		pairs++
	}
	if len(c.subs) > 0 {
		pairs++
	}
	r.reply.Map(pairs)
	for _, pair := range [...][2]string{{"summary", c.summary}, {"since", since}, {"group", c.group}} {
		r.reply.BulkString(pair[0])
		r.reply.BulkString(pair[1])
	}
	if len(c.arguments) > 0 {
		r.reply.BulkString("arguments")
		r.writeArguments(c.arguments)
	}
	if len(c.subs) > 0 {
		r.reply.BulkString("subcommands")
		r.reply.Map(len(c.subs))
		for _, sub := range c.subs {
			r.reply.BulkString(sub.fullName())
			r.writeCommandDocs(sub)
		}
	}
}

func (r *request) writeArguments(list []argument) {
	r.reply.Array(len(list))
	for _, a := range list {
		r.writeArgument(a)
	}
}

func (r *request) writeArgument(a argument) {
	texts := [][2]string{{"name", a.name}, {"type", a.kind}}
	if len(a.parts) == 0 {
		texts = append(texts, [2]string{"display_text", a.name})
	}
	if a.token != "" {
		texts = append(texts, [2]string{"token", a.token})
	}
	var flags []string
	if a.optional {
		flags = append(flags, "optional")
	}
	if a.multiple {
		flags = append(flags, "multiple")
	}
	pairs := len(texts)
	if len(flags) > 0 {
		pairs++
	}
	if len(a.parts) > 0 {
		pairs++
	}
	r.reply.Map(pairs)
	for _, pair := range texts {
		r.reply.BulkString(pair[0])
		r.reply.BulkString(pair[1])
	}
	if len(flags) > 0 {
		r.reply.BulkString("flags")
		r.writeSimpleSet(flags)
	}
	if len(a.parts) > 0 {
		r.reply.BulkString("arguments")
		r.writeArguments(a.parts)
	}
}
