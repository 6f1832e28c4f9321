package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rewritten writes a file, rewrites it, and returns its new content.
func rewritten(t *testing.T, before string, changed map[string]string) (string, error) {
	t.Helper()
	path := writeFile(t, before)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	err := configFile{path, "--config"}.rewrite(changed)
	after, readErr := os.ReadFile(path)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("the file has the permissions %v", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return string(after), err
}

// All else stays as it is: comments, order, blank lines, quotes.
func TestRewriteKeepsTheRest(t *testing.T) {
	const file = `# rlserver of the checkout

port: 7000   # aligned

# Sentinel changes
# these
replicaof: "10.0.0.1 6380" # the first one
timeout:  5

requirepass: 'a''b'
bind: [127.0.0.1, "::1"]
# the end
`
	for _, c := range []struct {
		name    string
		changed map[string]string
		edit    [][2]string
	}{
		{"nothing", map[string]string{"replicaof": "10.0.0.1 6380", "timeout": "5"}, nil},
		{"the primary", map[string]string{"replicaof": "10.0.0.2 6381"}, [][2]string{{`"10.0.0.1 6380"`, "10.0.0.2 6381"}}},
		{"primary no more", map[string]string{"replicaof": ""}, [][2]string{{`"10.0.0.1 6380"`, `""`}}},
		{"a password", map[string]string{"requirepass": "#'\"\\ x: y", "timeout": "60"}, [][2]string{{`'a''b'`, `'#''"\ x: y'`}, {"timeout:  5", "timeout: 60"}}},
		{"new settings", map[string]string{"maxclients": "5", "appendonly": "yes", "save": "", "replicaof": "::1 80"},
			[][2]string{{`"10.0.0.1 6380"`, `::1 80`}, {"# the end\n", "# the end\nappendonly: yes\nmaxclients: 5\nsave: \"\"\n"}}},
	} {
		want := file
		for _, e := range c.edit {
			want = strings.Replace(want, e[0], e[1], 1)
		}
		if got, err := rewritten(t, file, c.changed); err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, got, want)
		}
	}
}

// A file of any form has the new values afterwards, and keeps the others.
func TestRewriteOfAnyForm(t *testing.T) {
	changed := map[string]string{"replicaof": "10.0.0.2 6381", "timeout": "7", "masterauth": "null", "requirepass": "two\nlines: \t\"'\\"}
	for _, file := range []string{
		"", "\n\n", "# only a comment", "# only a comment\n", "---\n", "---\nport: 7000\n...\n", "null\n", "~", "{}\n", "{port: 7000, timeout: 5}\n",
		"timeout: 5", "timeout:\n", "TIMEOUT: 5\r\nport: 7000\r\n", "  timeout: 5\n  port: 7000\n", "timeout: >-\n  5\nport: 7000\n",
		"requirepass: |\n  a\n  b\nport: 7000\n", "requirepass: \"a\n  b\" # c\nport: 7000\n", "requirepass: a\n  b\nport: 7000\n",
		"? timeout\n: 5\n", "\"timeout\": 5\n", "masterauth: # secret\n", "%YAML 1.1\n---\ntimeout: 5\n", "replicaof: 10.0.0.1 6380\ntimeout: 5\n# c",
	} {
		before, err := configFile{writeFile(t, file), "--config"}.contents()
		if err != nil {
			t.Fatalf("%q: %v", file, err)
		}
		after, err := rewritten(t, file, changed)
		if err != nil {
			t.Errorf("%q: %v", file, err)
			continue
		}
		found, err := configFile{writeFile(t, after), "--config"}.contents()
		got := values(found.settings)
		for name, want := range changed {
			if got[name] != want {
				t.Errorf("%q became %q, %v: %s is %q, want %q", file, after, err, name, got[name], want)
			}
		}
		for name, want := range values(before.settings) {
			if _, isChanged := changed[name]; !isChanged && got[name] != want {
				t.Errorf("%q became %q: %s is %q, want %q", file, after, name, got[name], want)
			}
		}
		if again, err := rewritten(t, after, changed); err != nil || again != after {
			t.Errorf("%q, rewritten again, became %q, %v", after, again, err)
		}
	}
}

// The policies of a file stay byte for byte, whatever becomes of the settings.
func TestRewriteLeavesPolicies(t *testing.T) {
	const policies = "# How much\r\n# for whom\npolicies:   # here\n  'api' : token_bucket 100 1s BURST 200\n\n  login:\n    - fixed_window 5 minute # five\n  # and\n  llm: {limits: \"deny\"}\n"
	changed := map[string]string{"timeout": "7", "requirepass": "two\nlines", "maxclients": "5"}
	for _, c := range []struct{ name, before, after string }{
		{"alone", "", ""},
		{"at the end", "timeout: 5\n", ""},
		{"at the start", "", "timeout: 5 # seconds\nport: 7000\n"},
		{"between", "port: 7000\n\n", "# how long\ntimeout: 5\n"},
		{"beside settings of several lines", "requirepass: |\n  a\n  b\n", "timeout: >-\n  5\n"},
		{"with an end", "---\n", "..."},
		{"with a comment at the end", "timeout: 5\n", "# end"},
	} {
		file := c.before + policies + c.after
		after, err := rewritten(t, file, changed)
		if err != nil || !strings.Contains(after, policies) {
			t.Errorf("%s: %q became %q (%v)", c.name, file, after, err)
			continue
		}
		found, err := configFile{writeFile(t, after), "--config"}.contents()
		for name, want := range changed {
			if got := values(found.settings); err != nil || got[name] != want {
				t.Errorf("%s: %s is %q, want %q (%v)", c.name, name, got[name], want, err)
			}
		}
	}
	for _, file := range []string{"{timeout: 5, policies: {api: deny}}\n", "  timeout: >-\n    5\n  policies: {api: deny}\n"} {
		if after, err := rewritten(t, file, changed); !errors.Is(err, errNotRewritten) {
			t.Errorf("%q became %q (%v)", file, after, err)
		}
	}
}

// A primary that was never anything else gets no line about it.
func TestRewriteOfAPrimary(t *testing.T) {
	if got, err := rewritten(t, "port: 7000\n", map[string]string{"replicaof": ""}); err != nil || got != "port: 7000\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// A link to the file stays a link, and a file that cannot be replaced stays as it was.
func TestRewriteThroughLink(t *testing.T) {
	path := writeFile(t, "timeout: 5\n")
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := (configFile{link, "--config"}).rewrite(map[string]string{"timeout": "6"}); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != path {
		t.Errorf("the link points to %q, %v", target, err)
	}
	if text, _ := os.ReadFile(path); string(text) != "timeout: 6\n" {
		t.Errorf("the file is %q", text)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := (configFile{link, "--config"}).rewrite(map[string]string{"timeout": "7"}); err == nil {
		t.Error("a file that is gone was rewritten")
	}
}
