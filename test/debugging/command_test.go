package debugging

import (
	"slices"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

// What redis-cli 7.2 and later assert of COMMAND DOCS, for every command, in both
// protocols; it aborts on the first type that is wrong.
func TestCommandDocsHasTheTypesThatRedisCliAsserts(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, protocol := range []string{"2", "3"} {
		c.Ask("HELLO", protocol)
		d := docsChecker{t: t, mapKind: '*', setKind: '*'}
		if protocol == "3" {
			d.mapKind, d.setKind = '%', '~'
		}
		docs := c.Ask("COMMAND", "DOCS")
		d.commands("COMMAND DOCS", docs)
		names := slices.Sorted(slices.Values(keysOf(docs)))
		if want := topLevel(c.Ask("COMMAND", "LIST").Texts()); !slices.Equal(names, want) {
			t.Errorf("RESP%s: COMMAND DOCS has %q, COMMAND LIST %q", protocol, names, want)
		}
		check := docs.Pairs()["rl.check"].Pairs()
		var words []string
		for _, a := range check["arguments"].Parts {
			words = append(words, a.Pairs()["token"].Text+"/"+a.Pairs()["name"].Text+"/"+a.Pairs()["type"].Text)
		}
		want := []string{"/key/key", "/@policy/oneof", "COST/cost/integer", "FORCE/force/pure-token"}
		if !slices.Equal(words, want) {
			t.Errorf("RESP%s: the arguments of rl.check are %q, want %q", protocol, words, want)
		}
		for i, a := range check["arguments"].Parts {
			if optional := slices.Contains(a.Pairs()["flags"].Texts(), "optional"); optional != (i >= 2) {
				t.Errorf("RESP%s: argument %d of rl.check: optional is %v", protocol, i, optional)
			}
		}
		// One by one, by name and by container|subcommand.
		some := c.Ask("COMMAND", "DOCS", "RL.CHECK", "no-such-command", "client|list")
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

func (d docsChecker) is(what string, v harness.Value, kind byte) {
	d.t.Helper()
	if v.Kind != kind || v.Null {
		d.t.Errorf("%s is a %c%q, want a %c", what, v.Kind, v.Text, kind)
	}
}

func (d docsChecker) commands(what string, v harness.Value) {
	d.t.Helper()
	d.is(what, v, d.mapKind)
	for i := 0; i+1 < len(v.Parts); i += 2 {
		d.is(what+": a name", v.Parts[i], '$')
		d.command(what+" "+v.Parts[i].Text, v.Parts[i+1])
	}
}

func (d docsChecker) command(name string, v harness.Value) {
	d.t.Helper()
	d.is(name, v, d.mapKind)
	for i := 0; i+1 < len(v.Parts); i += 2 {
		d.is(name+": a key", v.Parts[i], '$')
		what := name + " " + v.Parts[i].Text
		switch field := v.Parts[i+1]; v.Parts[i].Text {
		case "summary", "since", "group":
			if d.is(what, field, '$'); field.Text == "" {
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
		if v.Pairs()[must].Text == "" {
			d.t.Errorf("%s has no %s", name, must)
		}
	}
}

func (d docsChecker) arguments(name string, v harness.Value) {
	d.t.Helper()
	d.is(name, v, '*')
	for _, a := range v.Parts {
		fields := a.Pairs()
		what := name + " " + fields["name"].Text
		d.is(what, a, d.mapKind)
		kind := fields["type"].Text
		if !slices.Contains([]string{"string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block"}, kind) {
			d.t.Errorf("%s has the type %q", what, kind)
		}
		nested := kind == "oneof" || kind == "block"
		if _, has := fields["arguments"]; has != nested {
			d.t.Errorf("%s is a %s; has arguments: %v", what, kind, has)
		}
		if kind == "pure-token" && fields["token"].Text == "" {
			d.t.Errorf("%s is a pure-token without a token", what)
		}
		for field, v := range fields {
			switch field {
			case "name", "type", "display_text", "token":
				d.is(what+" "+field, v, '$')
			case "flags":
				d.is(what+" flags", v, d.setKind)
				for _, flag := range v.Parts {
					d.is(what+" flag", flag, '+')
				}
			case "arguments":
				d.arguments(what, v)
			default:
				d.t.Errorf("%s has a field %q", what, field)
			}
		}
		if fields["name"].Text == "" {
			d.t.Errorf("%s: an argument without a name", name)
		}
	}
}

func keysOf(v harness.Value) (keys []string) {
	for i := 0; i < len(v.Parts); i += 2 {
		keys = append(keys, v.Parts[i].Text)
	}
	return keys
}

func topLevel(names []string) []string {
	return slices.Sorted(slices.Values(slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, "|") })))
}

func TestCommandDescribesEveryCommand(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, protocol := range []string{"2", "3"} {
		c.Ask("HELLO", protocol)
		set := map[string]byte{"2": '*', "3": '~'}[protocol]
		all := c.Ask("COMMAND")
		if n := c.Ask("COMMAND", "COUNT").Number(t); n != int64(len(all.Parts)) || n < 20 {
			t.Errorf("COMMAND COUNT is %d, and COMMAND has %d", n, len(all.Parts))
		}
		var names []string
		var check func(e harness.Value)
		check = func(e harness.Value) {
			if e.Kind != '*' || len(e.Parts) != 10 {
				t.Fatalf("an entry of COMMAND is %+v", e)
			}
			name := e.Parts[0].Text
			names = append(names, name)
			if e.Parts[0].Kind != '$' || name != strings.ToLower(name) {
				t.Errorf("the name %c%q", e.Parts[0].Kind, name)
			}
			for i, kind := range []byte{'$', ':', set, ':', ':', ':', set, set, set, '*'} {
				if e.Parts[i].Kind != kind {
					t.Errorf("RESP%s: element %d of %s is a %c, want a %c", protocol, i, name, e.Parts[i].Kind, kind)
				}
			}
			for _, word := range slices.Concat(e.Parts[2].Parts, e.Parts[6].Parts) {
				if word.Kind != '+' || word.Text == "" || word.Text == "movablekeys" && name != "rl.mcheck" {
					t.Errorf("a flag or category of %s: %c%q", name, word.Kind, word.Text)
				}
			}
			if arity := e.Parts[1].Number(t); arity == 0 {
				t.Errorf("%s has arity 0", name)
			}
			for _, sub := range e.Parts[9].Parts {
				check(sub)
				if !strings.HasPrefix(sub.Parts[0].Text, name+"|") {
					t.Errorf("%s has a subcommand %s", name, sub.Parts[0].Text)
				}
			}
		}
		for _, e := range all.Parts {
			check(e)
		}
		if list := c.Ask("COMMAND", "LIST").Texts(); !slices.Equal(slices.Sorted(slices.Values(list)), slices.Sorted(slices.Values(names))) {
			t.Errorf("COMMAND LIST %q\nCOMMAND %q", list, names)
		}
	}
	c.Ask("HELLO", "2")
	// What cluster clients look for.
	info := c.Ask("COMMAND", "INFO", "RL.CHECK", "no-such-command", "rl.reset")
	if len(info.Parts) != 3 || !info.Parts[1].Null {
		t.Fatalf("COMMAND INFO of three, one unknown: %+v", info)
	}
	for i, want := range map[int]string{0: "rl.check -3 [write fast] 1 1 1", 2: "rl.reset -2 [write fast] 1 -1 1"} {
		e := info.Parts[i].Parts
		got := strings.Join([]string{e[0].Text, e[1].Text, "[" + strings.Join(e[2].Texts(), " ") + "]", e[3].Text, e[4].Text, e[5].Text}, " ")
		if got != want {
			t.Errorf("COMMAND INFO: %s, want %s", got, want)
		}
	}
}

func TestCommandListFiltersAndGetKeysFindsKeys(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, test := range []struct{ ask, want string }{
		{"LIST FILTERBY PATTERN RL.?*[^yp]", "rl.check rl.explain rl.mcheck rl.peek rl.refund rl.reset rl.policy|del rl.policy|get rl.policy|list rl.policy|override rl.policy|overrides rl.policy|reload rl.policy|set rl.policy|unset rl.sync"},
		{"LIST filterby pattern x*", ""},
		{"LIST FILTERBY MODULE m", ""},
		{"GETKEYS RL.CHECK k token_bucket 1 1", "k"},
		{"GETKEYS rl.peek k token_bucket 1 1 COST 5", "k"},
		{"GETKEYS RL.PEEK k @p", "k"},
		{"GETKEYS RL.MCHECK 2 k @p j @q COST 3", "k j"},
		{"GETKEYS RL.RESET a b a", "a b a"},
		{"GETKEYS MEMORY USAGE k", "k"},
		{"GETKEYS EXISTS a", "a"},
	} {
		if got := strings.Join(c.Ask(strings.Fields("COMMAND "+test.ask)...).Texts(), " "); got != test.want {
			t.Errorf("COMMAND %s: %q, want %q", test.ask, got, test.want)
		}
	}
	c.MustSay("ERR Invalid command specified", "COMMAND", "GETKEYS", "NOSUCH", "k")
	c.MustSay("ERR The command has no key arguments", "COMMAND", "GETKEYS", "ECHO", "k")
	c.MustSay("ERR Invalid number of arguments specified for command", "COMMAND", "GETKEYS", "RL.CHECK", "k")
}

func TestEveryContainerHelps(t *testing.T) {
	c := harness.StartServer(t).Dial()
	containers := 0
	for _, e := range c.Ask("COMMAND").Parts {
		subs := e.Parts[9].Parts
		if len(subs) == 0 {
			continue
		}
		containers++
		name := strings.ToUpper(e.Parts[0].Text)
		help := c.Ask(name, "HELP")
		text := strings.Join(help.Texts(), "\n")
		if help.Kind != '*' || !strings.HasPrefix(text, name+" <subcommand>") {
			t.Errorf("%s HELP: %c %q", name, help.Kind, text)
		}
		for _, line := range help.Parts {
			if line.Kind != '+' {
				t.Errorf("%s HELP has a line that is a %c", name, line.Kind)
			}
		}
		for _, sub := range subs {
			_, subName, _ := strings.Cut(sub.Parts[0].Text, "|")
			if !strings.Contains(text, "\n"+strings.ToUpper(subName)) {
				t.Errorf("%s HELP leaves out %s", name, subName)
			}
		}
		c.MustSay("ERR unknown subcommand 'nosuch'. Try "+name+" HELP.", name, "nosuch")
	}
	if containers < 5 {
		t.Errorf("%d containers; want CLIENT, COMMAND, CONFIG, MEMORY and SLOWLOG at least", containers)
	}
}

// Errors and small replies are Redis's to the letter, because clients compare them.
func TestRepliesAreThoseOfRedis(t *testing.T) {
	p, redis := harness.StartServer(t), harness.StartRedis(t)
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
			answer := func(p *harness.Process) string {
				c := p.Dial()
				defer func() { _ = c.Close() }()
				c.Ask("HELLO", protocol)
				c.Send(harness.Command(strings.Split(line, " ")...))
				return c.Reply()
			}
			if got, want := answer(p), answer(redis); got != want {
				t.Errorf("RESP%s %q: %q, and Redis %q", protocol, line, got, want)
			}
		}
	}
}
