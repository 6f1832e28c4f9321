package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asProgram is the variable that makes the test binary rlserver, for the tests that need a process
// of its own.
const asProgram = "TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		version = "v1.2.3-test"
		main()
	}
	os.Exit(m.Run())
}

// A result is the exit code and the output of a run of the program.
type result struct {
	code           int
	stdout, stderr string
}

// call runs the program in this process.
func call(env []string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(args, env, &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func (r result) expect(t *testing.T, code int, stdout, stderr string) {
	t.Helper()
	if r != (result{code, stdout, stderr}) {
		t.Errorf("got\n  exit %d\n  stdout %q\n  stderr %q\nwant\n  exit %d\n  stdout %q\n  stderr %q",
			r.code, r.stdout, r.stderr, code, stdout, stderr)
	}
}

func TestUsageErrors(t *testing.T) {
	const accepted = "expected auto, or 0 to 65535; 0 is none, auto a free one"
	for _, c := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"serev", 1, `unknown command "serev": did you mean serve? (see rlserver --help)`},
		{"elephant", 1, `unknown command "elephant" (see rlserver --help)`},
		{"serve file.yaml", 1, `serve takes no arguments, but was given "file.yaml" (see rlserver serve --help)`},
		{"--prot 1", 1, `unknown flag: --prot: did you mean --port? (see rlserver --help)`},
		{"serve --elephants", 1, `unknown flag: --elephants (see rlserver serve --help)`},
		{"serve -p 1", 1, `unknown shorthand flag: 'p' in -p (see rlserver serve --help)`},
		{"serve --port", 1, `flag needs an argument: --port (see rlserver serve --help)`},
		{"serve --port abc", 1, `--port: "abc" is not accepted for port: ` + accepted},
		{"--port 65536", 1, `--port: "65536" is not accepted for port: ` + accepted},
		{"--protected-mode maybe", 1, `--protected-mode: "maybe" is not accepted for protected-mode: expected yes or no`},
		{"ping --timeout 0s", 1, `--timeout: "0s" is not accepted: expected 1ms to 1h, in whole seconds or with ms, s, m or h (see rlserver ping --help)`},
		{"ping --port 0", 1, `--port: "0" is not accepted: expected 1 to 65535 (see rlserver ping --help)`},
		{"ping -h -1", 1, `--host: "-1" is not accepted: expected a name or an IP address (see rlserver ping --help)`},
		{"completion elephant", 1, `unknown command "elephant" (see rlserver completion --help)`},
		{"completion bsh", 1, `unknown command "bsh": did you mean bash? (see rlserver completion --help)`},
		{"help elephant", 1, `unknown command "elephant" (see rlserver --help)`},
		{"help aof elephant", 1, `unknown command "elephant" (see rlserver aof --help)`},
		{"aof check /nonexistent", 2, `there is no directory /nonexistent`},
		{"aof repair /dev/null", 2, `/dev/null is not a directory`},
		{"ping -h", 1, `flag needs an argument: 'h' in -h (see rlserver ping --help)`},
		{"ping now", 1, `ping takes no arguments, but was given "now" (see rlserver ping --help)`},
		{"check a b", 2, `check takes KEY @POLICY, or KEY ALGORITHM LIMIT PERIOD: did you mean @b? (see rlserver check --help)`},
		{"check a", 2, `check takes KEY @POLICY, or KEY ALGORITHM LIMIT PERIOD, but was given 1 (see rlserver check --help)`},
		{"check a @b c", 2, `check takes KEY @POLICY, or KEY ALGORITHM LIMIT PERIOD, but was given 3 (see rlserver check --help)`},
		{"check a @b --burst 5", 2, `--burst goes without a policy, which has its own (see rlserver check --help)`},
		{"check a b c d --port x", 2, `--port: "x" is not accepted: expected 1 to 65535 (see rlserver check --help)`},
		{"check a b c d --brust 1", 2, `unknown flag: --brust: did you mean --burst? (see rlserver check --help)`},
	} {
		t.Run(c.args, func(t *testing.T) {
			call(nil, strings.Fields(c.args)...).expect(t, c.code, "", "rlserver: "+c.stderr+"\n")
		})
	}
}

// Every command has a help with an example, on stdout.
func TestHelp(t *testing.T) {
	for _, command := range []string{"", "serve", "check", "ping", "bench", "aof", "aof check", "aof repair", "version"} {
		got := call(nil, append(strings.Fields(command), "--help")...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  ") {
			t.Errorf("help of %q: %+v", command, got)
		}
	}
	// The settings are shown once, by groups, and rlserver takes them as rlserver serve does.
	root, serve := call(nil, "--help").stdout, call(nil, "serve", "--help").stdout
	at := 0
	for _, row := range table {
		for _, want := range []string{"\n" + row.Group.String() + ":\n", "      --" + row.Name + " VALUE "} {
			if strings.Count(serve, want) != 1 {
				t.Errorf("%q is %d times in the help of serve", want, strings.Count(serve, want))
			}
			if i := strings.Index(serve, want); want[0] == ' ' && i < at {
				t.Errorf("%s stands before the setting before it", row.Name)
			} else {
				at = max(at, i)
			}
		}
		if strings.Contains(root, "--"+row.Name+" VALUE") {
			t.Errorf("%s is in the help of rlserver", row.Name)
		}
	}
	if !strings.Contains(root, "rlserver serve") {
		t.Errorf("the help of rlserver does not name that of serve:\n%s", root)
	}
}

// What stands on a terminal when a server has started.
func TestBanner(t *testing.T) {
	for _, c := range []struct {
		flags         string
		port, tlsPort int
		want          string
	}{
		{"", 6380, 0, " -p 6380"},
		{"--requirepass x --bind 10.0.0.5", 7000, 7001, " -p 7000 -h 10.0.0.5 -a PASSWORD"},
		{"--port 0", 0, 7001, " --tls --cacert FILE -p 7001"},
		{"--port 0 --unixsocket /tmp/s", 0, 0, " -s /tmp/s"},
	} {
		cfg, err := configure(t, nil, strings.Fields(c.flags)...)
		if err != nil {
			t.Fatal(err)
		}
		got := banner(cfg.cfg, c.port, c.tlsPort, nil)
		for _, want := range []string{
			"\n  redis-cli" + c.want + " RL.CHECK user:123 token_bucket 100 60\n", "\n  rlserver check user:123 token_bucket 100 60" + c.want + "\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", c.flags, want, got)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	out, err := exec.Command("go", "run", "-ldflags", "-X main.version=v1.2.3-test", ".", "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "rlserver v1.2.3-test, ") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%q, %v", out, err)
	}
	call(nil, "--version").expect(t, 0, call(nil, "version").stdout, "")
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := call(nil, "completion", shell); got.code != 0 || !strings.Contains(got.stdout, "rlserver") {
			t.Errorf("completion %s: exit %d, %s", shell, got.code, got.stderr)
		}
	}
	if got := call(nil, "completion", "bash").stdout; !strings.HasSuffix(got, "\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n") {
		t.Error("bash takes the @ of a policy for the end of a word")
	}
	got := call(nil, "__complete", "check", "user:1", "")
	for _, name := range []string{"token_bucket\t", "leaky_bucket\t", "sliding_window_log\t"} {
		if !strings.Contains(got.stdout, name) {
			t.Errorf("no %q among the completions of ALGORITHM:\n%s", name, got.stdout)
		}
	}
	for args, want := range map[string]string{
		"serve --appendfsync ": "always\neverysec\nno\n:36\n", "--protected-mode ": "yes\nno\n:36\n", "--port ": "auto\n:36\n",
		"--maxclients ": ":36\n", "--tls-cert-file ": ":0\n", "bench token_bucket 100 60 ": "BURST\nCOST\n:4\n",
		"bench --key-space ": "uniform\teach key as often as any other\nzipf\tthe k-th key is drawn in proportion to k to the power of -1.1\n" +
			"hot\tone key\nnew\tevery request has a key that was never used before\n:36\n",
	} {
		if got := call(nil, append([]string{"__complete"}, strings.Split(args, " ")...)...); got.stdout != want {
			t.Errorf("completions of %s: %q, want %q", args, got.stdout, want)
		}
	}
	if got := call(nil, "__complete", "bench", "--target", "").stdout; !strings.Contains(got, "cl.throttle\tCL.THROTTLE of redis-cell and Dragonfly\n") {
		t.Errorf("completions of --target: %q", got)
	}
	if got := call(nil, "__complete", "check", ""); strings.Contains(got.stdout, "token_bucket") {
		t.Errorf("KEY completes to algorithms:\n%s", got.stdout)
	}
}
