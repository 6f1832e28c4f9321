package main

import (
	"os"
	"strings"
	"testing"
)

// FILE stands for the path.
func TestBadFile(t *testing.T) {
	const port = "expected auto, or 0 to 65535; 0 is none, auto a free one"
	for _, c := range []struct{ name, content, want string }{
		{"unknown key", "port: 1\nprot: 2\n", `FILE:2: unknown setting "prot": did you mean port? See rlserver serve --help for all of them`},
		{"underscores", "max_log_limit: 2\n", `FILE:1: unknown setting "max_log_limit": did you mean max-log-limit? See rlserver serve --help for all of them`},
		{"unlike any", "elephants: 2\n", `FILE:1: unknown setting "elephants": expected one of ` + strings.Join(settingNames(), ", ") + ", policies"},
		{"duplicate", "port: 1\nbind: ::1\nport: 1\n", "FILE:3: port is set twice, first in line 1"},
		{"duplicate in another case", "port: 1\nPort: 2\n", "FILE:2: port is set twice, first in line 1"},
		{"nested", "port:\n  number: 1\n", "FILE:2: port must be one plain value, not a mapping: " + port},
		{"list", "\nport: [1, 2]\n", "FILE:2: port must be one plain value, not a list: " + port},
		{"list of lists", "bind:\n- ::1\n- [a]\n", "FILE:3: each item of bind must be a plain value: expected IP addresses, separated by commas or spaces"},
		{"empty list", "bind: []\n", `FILE:1: "" is not accepted for bind: expected IP addresses, separated by commas or spaces`},
		{"alias", "port: &p 1\nmaxclients: *p\n", "FILE:2: maxclients must be one plain value, not an alias: expected 1 to 1000000"},
		{"tag", "port: !secret 1\n", "FILE:1: port must be one plain value, not a value with the tag !secret: " + port},
		{"wrong type", "port: many\n", `FILE:1: "many" is not accepted for port: ` + port},
		{"no value", "port:\n", `FILE:1: "" is not accepted for port: ` + port},
		{"fraction", "port: 6380.0\n", `FILE:1: "6380.0" is not accepted for port: ` + port},
		{"out of range", "bind: ::1\nport: -1\n", `FILE:2: "-1" is not accepted for port: ` + port},
		{"root list", "- port\n", "FILE:1: expected settings, one a line, name: value; see rlserver serve --help"},
		{"root scalar", "port 6380\n", "FILE:1: expected settings, one a line, name: value; see rlserver serve --help"},
		{"key that is a list", "[a, b]: 1\n", "FILE:1: expected the name of a setting; see rlserver serve --help"},
		{"two documents", "port: 1\n---\nport: 2\n", "FILE:2: a second YAML document; expected one mapping of settings, name: value"},
		{"second document broken", "port: 1\n---\n}\n", "FILE:3: not YAML: did not find expected node content"},
		{"unclosed list", "port: 1\nbind: [a\n", "FILE:2: not YAML: did not find expected ',' or ']'"},
		{"list item in mapping", "# x\n\nport: 1\nmaxclients: 1\n- b\n", "FILE:5: not YAML: did not find expected key while parsing a block mapping from line 3 on"},
		{"tab", "---\nport: 1\n\tbind: ::1\n", "FILE:3: not YAML: found a tab character that violates indentation while scanning a plain scalar from line 2 on"},
		{"no colon", "# x\nport: 1\nbind\n", "FILE:3: not YAML: could not find expected ':'"},
		{"no colon, and more below", "# x\nbind\nport: 1\n", "FILE:3: not YAML: mapping values are not allowed in this context"},
		{"no colon in the middle", "port: 1\nbind\nmaxclients: 1\n", "FILE:3: not YAML: could not find expected ':' while scanning a simple key from line 2 on"},
		{"two colons in line 1", "port: 1: 2\n", "FILE:1: not YAML: mapping values are not allowed in this context"},
		{"two colons", "# x\nbind: ::1\nport: 1: 2\n", "FILE:3: not YAML: mapping values are not allowed in this context"},
		{"unclosed quote", "# x\nbind: ::1\nport: \"1\n", "FILE:3: not YAML: found unexpected end of stream"},
		{"unknown anchor", "port: *p\n", "FILE:1: not YAML: unknown anchor 'p' referenced"},
		{"binary", "\x00\x01", "FILE: not YAML: control characters are not allowed (value: 0)"},
		{"too big", strings.Repeat("#\n", configBytesMax/2) + "#", "cannot read the configuration file FILE (--config): it has more than 33554432 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeFile(t, c.content)
			want := "rlserver: " + strings.ReplaceAll(c.want, "FILE", path) + "\n"
			call(nil, "serve", "--config", path).expect(t, 1, "", want)
		})
	}
}

func TestMissingFile(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{dir + "/missing.yaml": "no such file or directory", dir: "is a directory"} {
		call(nil, "--config", path).expect(t, 1, "",
			"rlserver: cannot read the configuration file "+path+" (--config): "+want+"\n")
	}
	if os.Getuid() == 0 {
		t.Log("root reads everything: an unreadable file is not tried")
		return
	}
	secret := writeFile(t, "port: 1\n")
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	call(nil, "--config", secret).expect(t, 1, "",
		"rlserver: cannot read the configuration file "+secret+" (--config): permission denied\n")
}

func TestGoodFile(t *testing.T) {
	for content, want := range map[string]string{
		"": "", "# nothing\n": "", "---\n": "", "~\n": "", "{}\n": "", "\ufeff# with a mark\n": "",
		"# x\nbind: [::1]\n": "bind=::1;",
		"requirepass:\n":     "requirepass=;",
		"---\nBind:\n- 127.0.0.1\n- '::1'\nredis-addr: [\"[::1]:1\", b:2]\nport: \"7000\"\nrequirepass: 0x10\nprotected-mode: no\ntimeout: 0 # never\n": "bind=127.0.0.1 ::1;port=7000;protected-mode=no;requirepass=0x10;timeout=0;redis-addr=[::1]:1,b:2;",
	} {
		c, err := configure(t, nil, "--config", writeFile(t, content))
		got := ""
		for _, row := range c.cfg.Settings() {
			if c.origins[row.Name] != "" {
				got += row.Name + "=" + row.Get() + ";"
			}
		}
		if err != nil || got != want {
			t.Errorf("%q: %v, %s, want %s", content, err, got, want)
		}
	}
}
