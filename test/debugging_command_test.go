package test

import (
	"slices"
	"strings"
	"testing"
)

// What redis-cli 7.2 and later assert of COMMAND DOCS, for every command, in both
// protocols; it aborts on the first type that is wrong.
func TestCommandDocsHasTheTypesThatRedisCliAsserts(t *testing.T) {
	c := startServer(t).dial()
	for _, protocol := range []string{"2", "3"} {
		c.ask("HELLO", protocol)
		d := docsChecker{t: t, mapKind: '*', setKind: '*'}
		if protocol == "3" {
			d.mapKind, d.setKind = '%', '~'
		}
		docs := c.ask("COMMAND", "DOCS")
		d.commands("COMMAND DOCS", docs)
		names := slices.Sorted(slices.Values(keysOf(docs)))
		if want := topLevel(c.ask("COMMAND", "LIST").texts()); !slices.Equal(names, want) {
			t.Errorf("RESP%s: COMMAND DOCS has %q, COMMAND LIST %q", protocol, names, want)
		}
		check := docs.pairs()["rl.check"].pairs()
		var words []string
		for _, a := range check["arguments"].parts {
			words = append(words, a.pairs()["token"].text+"/"+a.pairs()["name"].text+"/"+a.pairs()["type"].text)
		}
		want := []string{"/key/key", "/algorithm/string", "/limit/integer", "/period/string", "BURST/burst/integer", "COST/cost/integer"}
		if !slices.Equal(words, want) {
			t.Errorf("RESP%s: the arguments of rl.check are %q, want %q", protocol, words, want)
		}
		for i, a := range check["arguments"].parts {
			if optional := slices.Contains(a.pairs()["flags"].texts(), "optional"); optional != (i >= 4) {
				t.Errorf("RESP%s: argument %d of rl.check: optional is %v", protocol, i, optional)
			}
		}
		// One by one, by name and by container|subcommand.
		some := c.ask("COMMAND", "DOCS", "RL.CHECK", "no-such-command", "client|list")
		d.commands("COMMAND DOCS …", some)
		if got := keysOf(some); !slices.Equal(got, []string{"rl.check", "client|list"}) {
			t.Errorf("RESP%s: COMMAND DOCS of two: %q", protocol, got)
		}
	}
}

type docsChecker struct {
	t                testing.TB
	mapKind, setKind byte
}

func (d docsChecker) is(what string, v value, kind byte) {
	d.t.Helper()
	if v.kind != kind || v.null {
		d.t.Errorf("%s is a %c%q, want a %c", what, v.kind, v.text, kind)
	}
}

func (d docsChecker) commands(what string, v value) {
	d.t.Helper()
	d.is(what, v, d.mapKind)
	for i := 0; i+1 < len(v.parts); i += 2 {
		d.is(what+": a name", v.parts[i], '$')
		d.command(what+" "+v.parts[i].text, v.parts[i+1])
	}
}

func (d docsChecker) command(name string, v value) {
	d.t.Helper()
	d.is(name, v, d.mapKind)
	for i := 0; i+1 < len(v.parts); i += 2 {
		d.is(name+": a key", v.parts[i], '$')
		what := name + " " + v.parts[i].text
		switch field := v.parts[i+1]; v.parts[i].text {
		case "summary", "since", "group":
			if d.is(what, field, '$'); field.text == "" {
				d.t.Errorf("%s is empty", what)
			}
		case "arguments":
			d.arguments(what, field)
		case "subcommands":
			d.commands(what, field)
		default:
			d.t.Errorf("%s: what is that?", what)
		}
	}
	for _, must := range []string{"summary", "since", "group"} {
		if v.pairs()[must].text == "" {
			d.t.Errorf("%s has no %s", name, must)
		}
	}
}

func (d docsChecker) arguments(name string, v value) {
	d.t.Helper()
	d.is(name, v, '*')
	for _, a := range v.parts {
		fields := a.pairs()
		what := name + " " + fields["name"].text
		d.is(what, a, d.mapKind)
		kind := fields["type"].text
		if !slices.Contains([]string{"string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block"}, kind) {
			d.t.Errorf("%s has the type %q", what, kind)
		}
		nested := kind == "oneof" || kind == "block"
		if _, has := fields["arguments"]; has != nested {
			d.t.Errorf("%s is a %s; has arguments: %v", what, kind, has)
		}
		if kind == "pure-token" && fields["token"].text == "" {
			d.t.Errorf("%s is a pure-token without a token", what)
		}
		for field, v := range fields {
			switch field {
			case "name", "type", "display_text", "token":
				d.is(what+" "+field, v, '$')
			case "flags":
				d.is(what+" flags", v, d.setKind)
				for _, flag := range v.parts {
					d.is(what+" flag", flag, '+')
				}
			case "arguments":
				d.arguments(what, v)
			default:
				d.t.Errorf("%s has a field %q", what, field)
			}
		}
		if fields["name"].text == "" {
			d.t.Errorf("%s: an argument without a name", name)
		}
	}
}

func keysOf(v value) (keys []string) {
	for i := 0; i < len(v.parts); i += 2 {
		keys = append(keys, v.parts[i].text)
	}
	return keys
}

func topLevel(names []string) []string {
	return slices.Sorted(slices.Values(slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, "|") })))
}

func TestCommandDescribesEveryCommand(t *testing.T) {
	c := startServer(t).dial()
	for _, protocol := range []string{"2", "3"} {
		c.ask("HELLO", protocol)
		set := map[string]byte{"2": '*', "3": '~'}[protocol]
		all := c.ask("COMMAND")
		if n := c.ask("COMMAND", "COUNT").number(t); n != int64(len(all.parts)) || n < 20 {
			t.Errorf("COMMAND COUNT is %d, and COMMAND has %d", n, len(all.parts))
		}
		var names []string
		var check func(e value)
		check = func(e value) {
			if e.kind != '*' || len(e.parts) != 10 {
				t.Fatalf("an entry of COMMAND is %+v", e)
			}
			name := e.parts[0].text
			names = append(names, name)
			if e.parts[0].kind != '$' || name != strings.ToLower(name) {
				t.Errorf("the name %c%q", e.parts[0].kind, name)
			}
			for i, kind := range []byte{'$', ':', set, ':', ':', ':', set, set, set, '*'} {
				if e.parts[i].kind != kind {
					t.Errorf("RESP%s: element %d of %s is a %c, want a %c", protocol, i, name, e.parts[i].kind, kind)
				}
			}
			for _, word := range slices.Concat(e.parts[2].parts, e.parts[6].parts) {
				if word.kind != '+' || word.text == "" || word.text == "movablekeys" {
					t.Errorf("a flag or category of %s: %c%q", name, word.kind, word.text)
				}
			}
			if arity := e.parts[1].number(t); arity == 0 {
				t.Errorf("%s has arity 0", name)
			}
			for _, sub := range e.parts[9].parts {
				check(sub)
				if !strings.HasPrefix(sub.parts[0].text, name+"|") {
					t.Errorf("%s has a subcommand %s", name, sub.parts[0].text)
				}
			}
		}
		for _, e := range all.parts {
			check(e)
		}
		if list := c.ask("COMMAND", "LIST").texts(); !slices.Equal(slices.Sorted(slices.Values(list)), slices.Sorted(slices.Values(names))) {
			t.Errorf("COMMAND LIST %q\nCOMMAND %q", list, names)
		}
	}
	c.ask("HELLO", "2")
	// What cluster clients look for.
	info := c.ask("COMMAND", "INFO", "RL.CHECK", "no-such-command", "rl.reset")
	if len(info.parts) != 3 || !info.parts[1].null {
		t.Fatalf("COMMAND INFO of three, one unknown: %+v", info)
	}
	for i, want := range map[int]string{0: "rl.check -5 [write fast] 1 1 1", 2: "rl.reset -2 [write fast] 1 -1 1"} {
		e := info.parts[i].parts
		got := strings.Join([]string{e[0].text, e[1].text, "[" + strings.Join(e[2].texts(), " ") + "]", e[3].text, e[4].text, e[5].text}, " ")
		if got != want {
			t.Errorf("COMMAND INFO: %s, want %s", got, want)
		}
	}
}

func TestCommandListFiltersAndGetKeysFindsKeys(t *testing.T) {
	c := startServer(t).dial()
	for _, test := range []struct{ ask, want string }{
		{"LIST FILTERBY PATTERN RL.*", "rl.check rl.peek rl.refund rl.reset rl.sync"},
		{"LIST filterby pattern x*", ""},
		{"LIST FILTERBY MODULE m", ""},
		{"GETKEYS RL.CHECK k token_bucket 1 1", "k"},
		{"GETKEYS rl.peek k token_bucket 1 1 COST 5", "k"},
		{"GETKEYS RL.RESET a b a", "a b a"},
		{"GETKEYS MEMORY USAGE k", "k"},
		{"GETKEYS EXISTS a", "a"},
	} {
		if got := strings.Join(c.ask(strings.Fields("COMMAND "+test.ask)...).texts(), " "); got != test.want {
			t.Errorf("COMMAND %s: %q, want %q", test.ask, got, test.want)
		}
	}
	c.mustSay("ERR Invalid command specified", "COMMAND", "GETKEYS", "NOSUCH", "k")
	c.mustSay("ERR The command has no key arguments", "COMMAND", "GETKEYS", "ECHO", "k")
	c.mustSay("ERR Invalid number of arguments specified for command", "COMMAND", "GETKEYS", "RL.CHECK", "k")
}

func TestEveryContainerHelps(t *testing.T) {
	c := startServer(t).dial()
	containers := 0
	for _, e := range c.ask("COMMAND").parts {
		subs := e.parts[9].parts
		if len(subs) == 0 {
			continue
		}
		containers++
		name := strings.ToUpper(e.parts[0].text)
		help := c.ask(name, "HELP")
		text := strings.Join(help.texts(), "\n")
		if help.kind != '*' || !strings.HasPrefix(text, name+" <subcommand>") {
			t.Errorf("%s HELP: %c %q", name, help.kind, text)
		}
		for _, line := range help.parts {
			if line.kind != '+' {
				t.Errorf("%s HELP has a line that is a %c", name, line.kind)
			}
		}
		for _, sub := range subs {
			_, subName, _ := strings.Cut(sub.parts[0].text, "|")
			if !strings.Contains(text, "\n"+strings.ToUpper(subName)) {
				t.Errorf("%s HELP leaves out %s", name, subName)
			}
		}
		c.mustSay("ERR unknown subcommand 'nosuch'. Try "+name+" HELP.", name, "nosuch")
	}
	if containers < 5 {
		t.Errorf("%d containers; want CLIENT, COMMAND, CONFIG, MEMORY and SLOWLOG at least", containers)
	}
}

// Errors and small replies are Redis's to the letter, because clients compare them.
func TestRepliesAreThoseOfRedis(t *testing.T) {
	p, redis := startServer(t), startRedis(t)
	for _, line := range []string{
		"PING a b", "TTL", "EXISTS", "KEYS", "DBSIZE 1", "TIME 1", "NOSUCH a b", "NOSUCH", "ECHO", "SELECT x", "SELECT 99",
		"SCAN x", "SCAN 0 COUNT 0", "SCAN 0 COUNT x", "SCAN 0 MATCH", "SCAN 0 FOO 1", "SCAN 0",
		"CLIENT", "CLIENT NOSUCH", "CLIENT GETNAME x", "CLIENT GETNAME", "CLIENT ID x", "CLIENT KILL", "CLIENT KILL 1.2.3.4:5",
		"CLIENT KILL ID 0", "CLIENT KILL ID x", "CLIENT KILL ID 4242", "CLIENT KILL ID 4242 FOO 1", "CLIENT KILL TYPE zebra",
		"CLIENT KILL TYPE pubsub", "CLIENT KILL USER nobody", "CLIENT KILL SKIPME maybe", "CLIENT KILL LADDR x", "CLIENT KILL LADDR x y",
		"CLIENT LIST FOO", "CLIENT LIST ID", "CLIENT LIST ID x", "CLIENT LIST ID 0", "CLIENT LIST TYPE zebra", "CLIENT LIST TYPE pubsub",
		"CLIENT NO-EVICT maybe", "CLIENT SETNAME a\tb",
		"COMMAND NOSUCH", "COMMAND INFO nosuch", "COMMAND DOCS nosuch", "COMMAND LIST FOO", "COMMAND LIST FILTERBY FOO x", "COMMAND GETKEYS",
		"CONFIG", "CONFIG NOSUCH", "CONFIG GET", "CONFIG GET save", "CONFIG GET nosuch", "CONFIG SET maxclients", "CONFIG SET nosuch 1", "CONFIG SET databases 1",
		"CONFIG SET maxclients 100 maxclients 200", "CONFIG RESETSTAT x", "CONFIG RESETSTAT",
		"MEMORY", "MEMORY NOSUCH", "MEMORY USAGE", "MEMORY USAGE k", "MEMORY USAGE k SAMPLES", "MEMORY USAGE k FOO 1", "MEMORY USAGE k SAMPLES x",
		"SLOWLOG", "SLOWLOG NOSUCH", "SLOWLOG GET x", "SLOWLOG GET -2", "SLOWLOG LEN", "SLOWLOG RESET",
		"FLUSHALL NOW", "FLUSHDB SYNC x", "FLUSHALL", "INFO nosuch", "READONLY x", "RESET x", "MONITOR x", "AUTH", "AUTH a b c", "AUTH x", "HELLO x", "HELLO 4", "HELLO 2 FOO",
	} {
		for _, protocol := range []string{"2", "3"} {
			answer := func(p *process) string {
				c := p.dial()
				defer func() { _ = c.Close() }()
				c.ask("HELLO", protocol)
				c.send(command(strings.Split(line, " ")...))
				return c.reply()
			}
			if got, want := answer(p), answer(redis); got != want {
				t.Errorf("RESP%s %q: %q, and Redis %q", protocol, line, got, want)
			}
		}
	}
}
