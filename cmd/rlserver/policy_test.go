package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rlserver/rlserver/test/harness"
)

const somePolicies = `# settings
maxclients: 77
Policies:
  api: token_bucket 100 1s BURST 200 + fixed_window 100000 month
  login:   # a list
    - sliding_window_log 5 1m
    - fixed_window 50 day
  llm:
    limits: token_bucket 90000 minute
    shadow: yes
    overrides:
      customer:7: "token_bucket 900000 minute"
      bad guy: deny
      12: [leaky_bucket 5 1s]
  nobody: deny
  folded: >-
    token_bucket 1 1s
    + token_bucket 2 1h
`

func TestPolicyCheck(t *testing.T) {
	call(nil, "policy", "check", writeFile(t, somePolicies)).expect(t, 0, `POLICY  OVERRIDES  LIMITS
api     0          token_bucket 100 1s BURST 200 + fixed_window 100000 month
login   0          sliding_window_log 5 1m + fixed_window 50 1d
llm     3          token_bucket 90000 1m SHADOW
nobody  0          deny
folded  0          token_bucket 1 1s + token_bucket 2 1h
policies: 5, overrides: 3
`, "")
	for _, file := range []string{"", "port: 7\n", "policies:\n", "policies: {}\n"} {
		call(nil, "policy", "check", writeFile(t, file)).expect(t, 0, "policies: 0, overrides: 0\n", "")
	}
}

func TestPolicyCheckRefuses(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"elephants: 2\n", `1: unknown setting "elephants"`},
		{"polices:\n  api: deny\n", `1: unknown setting "polices": did you mean policies?`},
		{"policies: deny\n", `1: policies must be a mapping, not a plain value: expected name: limits`},
		{"policies:\n- deny\n", `2: policies must be a mapping, not a list: expected name: limits`},
		{"policies:\n  api: deny\npolicies:\n  api: allow\n", `3: policies is set twice, first in line 1`},
		{"policies:\n  api: deny\n  b: deny\n  api: allow\n", `4: policies have "api" twice, first in line 2`},
		{"policies:\n  a b: deny\n", `2: policy name "a b" is not accepted: accepted is 1 to 64 letters, digits, _ . and -`},
		{"policies:\n  \"\": deny\n", `2: policy name "" is not accepted`},
		{"policies:\n  " + strings.Repeat("x", 65) + ": deny\n", `2: policy name "xxx`},
		{"policies:\n  ~: deny\n", `2: policies have a key that is nothing: expected name: limits`},
		{"policies:\n  [a]: deny\n", `2: policies have a key that is a list: expected name: limits`},
		{"policies:\n  api:\n", `2: policy 'api': no limit: accepted is 1 to 8 limits`},
		{"policies:\n  api: ''\n", `2: policy 'api': no limit: accepted is 1 to 8 limits`},
		{"policies:\n  api: []\n", `2: policy 'api': no limit: accepted is 1 to 8 limits`},
		{"policies:\n  api:\n    limits: " + strings.Repeat("+ token_bucket 1 1s ", 9)[2:] + "\n", `3: policy 'api': more than 8 limits`},
		{"policies:\n  api: [" + strings.Repeat("token_bucket 1 1s,", 9) + "]\n", `2: policy 'api': 9 limits: accepted is 1 to 8`},
		{"policies:\n  api:\n  - token_bucket 1 1s\n  - token_bucket 1 soon\n", `4: policy 'api': rule 2: period 'soon' is not accepted`},
		{"policies:\n  api:\n  - token_bucket 1 1s\n  - deny\n", `4: policy 'api': rule 2: 'deny' is not a limit: accepted is ALGORITHM LIMIT PERIOD [BURST n]`},
		{"policies:\n  api:\n  - token_bucket 1 1s SHADOW\n", `3: policy 'api': rule 1: SHADOW is for the whole policy: expected shadow: yes beside limits`},
		{"policies:\n  api:\n  - token_bucket 1 1s\n  - [token_bucket 1 1s]\n", `4: policy 'api': rule 2: expected text, ALGORITHM LIMIT PERIOD [BURST n], not a list`},
		{"policies:\n  api:\n  - token_bucket 1 1s + token_bucket 2 1s\n", `3: policy 'api': rule 1: option '+' is not known: accepted is BURST n`},
		{"policies:\n  api: token_bucket 1 month\n", `2: policy 'api': rule 1: period month is not accepted by token_bucket`},
		{"policies:\n  api: sliding_window_log 1 1m BURST 5\n", `2: policy 'api': rule 1: option BURST is not accepted by sliding_window_log`},
		{"policies:\n  api: token_bucket 1 1s + token_bucket 1 1000ms\n", `2: policy 'api': rules 1 and 2 would count in the same state`},
		{"policies:\n  api: sliding_window_log 6 1m\nmax-log-limit: 5\n", `2: policy 'api': rule 1: limit of sliding_window_log 6 is out of range: accepted is a whole number from 1 to 5`},
		{"policies:\n  api: !secret deny\n", `2: policy 'api' must be text or a list, not a value with the tag !secret`},
		{"policies:\n  a: &x deny\n  b: *x\n", `3: policy 'b' must be text or a list, not an alias`},
		{"policies:\n  a: {limits: deny, shadow: yes}\n", `2: policy 'a': shadow is for limits, not for deny`},
		{"policies:\n  a:\n    limits: deny\n    shadow: perhaps\n", `4: policy 'a': shadow must be yes or no`},
		{"policies:\n  a:\n    limits: deny\n    overides: {}\n", `4: policy 'a': unknown key "overides": did you mean overrides?`},
		{"policies:\n  a:\n    limits: deny\n    burst: 5\n", `4: policy 'a': unknown key "burst": expected limits, shadow or overrides`},
		{"policies:\n  a:\n    shadow: yes\n", `3: policy 'a' has no limits: expected limits: ALGORITHM LIMIT PERIOD [BURST n]`},
		{"policies:\n  a:\n    limits: deny\n    overrides: deny\n", `4: the overrides of policy 'a' must be a mapping, not a plain value`},
		{"policies:\n  a:\n    limits: deny\n    overrides:\n      k: allowed\n", `5: policy 'a', override for the key 'k': rule 1: 'allowed' is not a limit`},
		{"policies:\n  a:\n    limits: deny\n    overrides:\n      k: deny\n      j: deny\n      k: allow\n", `7: the overrides of policy 'a' have "k" twice, first in line 5`},
		{"policies:\n  a:\n    limits: deny\n    overrides:\n      '': deny\n", `5: policy 'a', override for the key '': key is 0 bytes long`},
		{"policies:\n  a:\n    limits: deny\n    overrides:\n      k: {limits: deny}\n", `5: policy 'a', override for the key 'k' must be text or a list, not a mapping`},
		{"policies: {a: deny\n", `1: not YAML`},
	} {
		path := writeFile(t, c.file)
		got := call(nil, "policy", "check", path)
		if want := "rlserver: " + path + ":" + c.want; got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%q: exit %d, %s%s, want %s", c.file, got.code, got.stdout, got.stderr, want)
		}
		if got := call(nil, "serve", "--port", "auto", "--config", path); got.code != 1 || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%q: serve exits with %d: %s, want %s", c.file, got.code, got.stderr, c.want)
		}
	}
	call(nil, "policy", "check", "/nowhere").expect(t, 1, "", "rlserver: cannot read the configuration file /nowhere (FILE): no such file or directory\n")
	call(nil, "policy", "check").expect(t, 1, "", "rlserver: check takes one argument, FILE, but was given 0 (see rlserver policy check --help)\n")
	call(nil, "policy", "chek", "x").expect(t, 1, "", "rlserver: unknown command \"chek\": did you mean check? (see rlserver policy --help)\n")
}

// The file's policies are in force at the start, and after SIGHUP and RL.POLICY RELOAD. A file that is
// wrong changes nothing, neither settings nor policies.
func TestPoliciesOfTheFile(t *testing.T) {
	file := writeFile(t, somePolicies)
	c := startChild(t, nil, "--config", file)
	conn := harness.DialAddr(t, c.address)
	policies := func(want ...string) {
		t.Helper()
		if got := conn.Ask("RL.POLICY", "LIST").Texts(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the policies are %q, want %q", got, want)
		}
	}
	conn.MustSay("OK", "RL.POLICY", "SET", "mine", "DENY")
	policies("api", "token_bucket 100 1s BURST 200 + fixed_window 100000 month", "folded", "token_bucket 1 1s + token_bucket 2 1h", "llm", "token_bucket 90000 1m SHADOW",
		"login", "sliding_window_log 5 1m + fixed_window 50 1d", "mine", "deny", "nobody", "deny")

	rewriteFile(t, file, "maxclients: 78\npolicies:\n  api: token_bucket 5 1s\n  bad: deny all\n")
	if log := c.hangUp(t); !strings.Contains(log, file+":4: policy 'bad': 'all' behind DENY is not accepted: DENY stands alone") {
		t.Errorf("the log of the reload is %s", log)
	}
	c.mustHave(t, "maxclients", "77")
	if got := conn.Ask("RL.POLICY", "RELOAD").Text; got != "ERR "+file+":4: policy 'bad': 'all' behind DENY is not accepted: DENY stands alone" {
		t.Errorf("RELOAD of a file that is wrong answers %s", got)
	}
	if got := len(conn.Ask("RL.POLICY", "LIST").Texts()); got != 12 {
		t.Errorf("%d words are left", got)
	}

	rewriteFile(t, file, "maxclients: 79\npolicies:\n  api: token_bucket 5 1s\n  mine: allow\n")
	if log := c.hangUp(t); !strings.Contains(log, `"configuration reloaded"`) || !strings.Contains(log, `"policies","policies":2,"overrides":0,"version":3}`) {
		t.Errorf("the log of the reload is %s", log)
	}
	c.mustHave(t, "maxclients", "79")
	policies("api", "token_bucket 5 1s", "mine", "deny")
	conn.MustSay("OK", "RL.POLICY", "DEL", "mine")
	policies("api", "token_bucket 5 1s", "mine", "allow")

	rewriteFile(t, file, somePolicies)
	conn.MustSay("OK", "CONFIG", "SET", "maxclients", "81")
	conn.MustSay("OK", "CONFIG", "REWRITE")
	_, policiesText, _ := strings.Cut(somePolicies, "maxclients: 77\n")
	if text, err := os.ReadFile(file); err != nil || !strings.HasSuffix(string(text), "\n"+policiesText) || !strings.Contains(string(text), "maxclients: 81\n") {
		t.Errorf("CONFIG REWRITE makes of the file\n%s (%v)", text, err)
	}

	rewriteFile(t, file, "maxclients: 80\n")
	conn.MustSay("OK", "RL.POLICY", "RELOAD")
	policies()
	if log := c.logUntil(`"msg":"policies"`); !strings.Contains(log, `"policies","policies":0,"overrides":0,"version":5}`) {
		t.Errorf("the log of RELOAD is %s", log)
	}
}

func TestCheckOfAPolicy(t *testing.T) {
	c := startChild(t, nil, "--config", writeFile(t, `policies:
  api: {limits: token_bucket 1 40d BURST 2 + fixed_window 3 year, overrides: {blocked: deny, free: allow}}
  shape: leaky_bucket 2 40d
`))
	_, port, _ := strings.Cut(c.address, ":")
	for _, c := range []struct {
		args   string
		code   int
		output string // a regular expression
	}{
		{"u @api --peek", 0, `would be allowed: 2 of 2 left, full now`},
		{"u @api", 0, `allowed: 1 of 2 left, full again in 40d0h`},
		{"u @api --json", 0, `{"key":"u","policy":"api","allowed":true,"limit":2,"remaining":0,"retry_after_ms":0,"reset_after_ms":\d+,"delay_ms":0}`},
		{"u @api", 1, `denied: try again in 40d0h \(0 of 2 left\)`},
		{"u @api --cost 3", 1, `denied: this can never pass, it costs more than the 2 that can be taken at once \(0 of 2 left\)`},
		{"blocked @api", 1, `denied: the policy denies this key, whatever it asks for`},
		{"free @api --cost 1000", 0, `allowed: the policy has no limit for this key`},
		{"free @api --peek", 0, `would be allowed: the policy has no limit for this key`},
		{"u @shape", 0, `allowed: 1 of 2 left, full again in 20d0h`},
		{"u @shape", 0, `allowed: go ahead in 20d0h; 0 of 2 left, full again in 40d0h`},
	} {
		got := call([]string{"RLSERVER_PORT=" + port}, append([]string{"check"}, strings.Fields(c.args)...)...)
		if got.code != c.code || got.stderr != "" || !regexp.MustCompile("^"+c.output+"\n$").MatchString(got.stdout) {
			t.Errorf("check %s: %+v\nwant exit %d and %s", c.args, got, c.code, c.output)
		}
	}
	call(nil, "check", "u", "@apl", "-p", port).expect(t, 2, "", "rlserver: "+c.address+" answers: ERR unknown policy 'apl': did you mean api? RL.POLICY LIST shows all\n")

	names := "@api\ttoken_bucket 1 40d BURST 2 + fixed_window 3 year\n@shape\tleaky_bucket 2 40d\n"
	if got := call(nil, "__complete", "check", "-p", port, "u", "").stdout; !strings.HasPrefix(got, names+"token_bucket\t") {
		t.Errorf("the completions of a policy are %q", got)
	}
	if got := call(nil, "__complete", "check", "-p", port, "u", "@api", ""); got.stdout != ":36\n" {
		t.Errorf("the completions behind a policy are %q", got.stdout)
	}
	if got := call(nil, "__complete", "check", "-p", fmt.Sprint(harness.FreePort(t)), "u", ""); strings.Contains(got.stdout, "@") || !strings.Contains(got.stdout, "token_bucket\t") {
		t.Errorf("the completions without a server are %q", got.stdout)
	}
}
