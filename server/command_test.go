package server

import (
	"slices"
	"strings"
	"testing"
)

// Every row must agree with itself: what is said of a command in several ways is the same.
func TestCommandTable(t *testing.T) {
	table := newCommandTable()
	known := strings.Fields("write readonly fast admin noscript loading stale no_auth no_multi may_replicate movablekeys blocking pubsub skip_slowlog")
	table.each(func(c *command) {
		name := c.fullName()
		if c.name != strings.ToLower(c.name) || len(c.name) > commandNameMax {
			t.Errorf("%s: a name is lower case and at most %d bytes", name, commandNameMax)
		}
		if c.summary == "" || !strings.HasSuffix(c.summary, ".") && !strings.Contains(c.summary, ";") && !strings.Contains(c.summary, "none") {
			t.Errorf("%s: the summary is a sentence, got %q", name, c.summary)
		}
		if c.group == "" || c.run == nil && c.subs == nil {
			t.Errorf("%s: no group or no handler", name)
		}
		for flag := range strings.FieldsSeq(c.flags) {
			if !slices.Contains(known, flag) {
				t.Errorf("%s: flag %q is none of Redis's", name, flag)
			}
		}
		if found := table.findByLabel(strings.ToUpper(name)); found != c {
			t.Errorf("%s is not found by its name", name)
		}
	})
}

// The arity follows from the synopsis.
func TestArity(t *testing.T) {
	table := newCommandTable()
	for label, want := range map[string]int{
		"rl.check": -3, "rl.mcheck": -4, "rl.policy|set": -4, "rl.policy|override": -5, "rl.policy|get": 3, "rl.reset": -2, "echo": 2, "ping": -1, "publish": 3, "quit": -1, "command": -1, "config": -2, "config|help": 2,
		"config|set": -4, "client|kill": -3, "client|no-evict": 3, "client|setinfo": 4, "memory|usage": -3, "command|getkeys": -3, "replconf": -1,
	} {
		if got := table.findByLabel(label).arity; got != want {
			t.Errorf("%s: arity %d, want %d", label, got, want)
		}
	}
}

func TestSynopsis(t *testing.T) {
	for _, test := range []struct {
		synopsis string
		want     []argument
	}{
		{"", nil},
		{"key limit", []argument{{name: "key", kind: "key"}, {name: "limit", kind: "integer"}}},
		{"key [key ...]", []argument{{name: "key", kind: "key", multiple: true}}},
		{"[BURST burst]", []argument{{name: "burst", kind: "integer", token: "BURST", optional: true}}},
		{"[section [section ...]]", []argument{{name: "section", kind: "string", optional: true, multiple: true}}},
		{"command [arg ...]", []argument{{name: "command", kind: "string"}, {name: "arg", kind: "string", optional: true, multiple: true}}},
		{"[ID client-id [client-id ...]]", []argument{{name: "client-id", kind: "integer", token: "ID", optional: true, multiple: true}}},
		{"ON|OFF", []argument{{name: "on", kind: "oneof", parts: []argument{{name: "on", kind: "pure-token", token: "ON"}, {name: "off", kind: "pure-token", token: "OFF"}}}}},
		{"parameter value [parameter value ...]", []argument{{name: "parameter-value", kind: "block", multiple: true, parts: []argument{
			{name: "parameter", kind: "string"}, {name: "value", kind: "string"}}}}},
		{"(@policy | algorithm limit [BURST burst] | DENY)", []argument{{name: "@policy", kind: "oneof", parts: []argument{
			{name: "@policy", kind: "string"},
			{name: "algorithm", kind: "block", parts: []argument{{name: "algorithm", kind: "string"}, {name: "limit", kind: "integer"},
				{name: "burst", kind: "integer", token: "BURST", optional: true}}},
			{name: "deny", kind: "pure-token", token: "DENY"}}}}},
		{"[AUTH username password]", []argument{{name: "auth", kind: "block", token: "AUTH", optional: true, parts: []argument{
			{name: "username", kind: "string"}, {name: "password", kind: "string"}}}}},
	} {
		got := parseSynopsis(test.synopsis)
		if !slices.EqualFunc(got, test.want, sameArgument) {
			t.Errorf("%q: got %+v, want %+v", test.synopsis, got, test.want)
		}
	}
}

func sameArgument(a, b argument) bool {
	return a.name == b.name && a.kind == b.kind && a.token == b.token && a.optional == b.optional &&
		a.multiple == b.multiple && slices.EqualFunc(a.parts, b.parts, sameArgument)
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"user:*", "user:1", true}, {"user:*", "use", false},
		{"*:1", "user:1", true}, {"h?llo", "hello", true}, {"h?llo", "hllo", false}, {"a/*", "a/b/c", true},
		{"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false},
		{"h[a-c]llo", "hbllo", true}, {"h[c-a]llo", "hbllo", true}, {"h[a-c]llo", "hdllo", false},
		{`h\*llo`, "h*llo", true}, {`h\*llo`, "hello", false}, {"[a", "a", true}, {"[", "a", false}, {`a\`, `a\`, true},
		{"*a*b*c*", "xxaxxbxxcxx", true}, {"*a*b*c*", "xxaxxcxxbxx", false}, {`[\]]`, "]", true},
	} {
		if got := globMatch(test.pattern, test.s); got != test.want {
			t.Errorf("globMatch(%q, %q) = %v, want %v", test.pattern, test.s, got, test.want)
		}
	}
	// A backtracking matcher would need longer than anybody waits.
	if globMatch(strings.Repeat("a*", 500)+"b", strings.Repeat("a", 1000)) {
		t.Error("matched without a b")
	}
}
