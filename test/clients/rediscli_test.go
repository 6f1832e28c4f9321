package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/rlserver/rlserver/test/harness"
)

// tool prepares a program of redis-tools against the server, bounded in time.
func tool(p *harness.Process, name string, args ...string) *exec.Cmd {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	p.T.Cleanup(cancel)
	return exec.CommandContext(ctx, name, append([]string{"-p", strconv.Itoa(p.Port)}, args...)...)
}

// prints runs a tool that must succeed, and gives what it prints.
func prints(p *harness.Process, name string, args ...string) string {
	p.T.Helper()
	out, err := tool(p, name, args...).CombinedOutput()
	if err != nil {
		p.T.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

func TestRedisCliAsksOnce(t *testing.T) {
	p := harness.StartServer(t)
	ask := func(args ...string) string { return prints(p, "redis-cli", append([]string{"--no-raw"}, args...)...) }
	six := func(numbers ...string) string {
		var lines []string
		for i, n := range numbers {
			lines = append(lines, fmt.Sprintf("%d) (integer) %s", i+1, n))
		}
		return "^" + strings.ReplaceAll(regexp.QuoteMeta(strings.Join(lines, "\n")), "ALMOST_AN_HOUR", `3(600000|59\d{4})`) + "$"
	}
	for _, step := range []struct{ line, want string }{
		{"RL.PEEK k sliding_window_log 2 1h", six("1", "2", "2", "0", "0", "0")},
		{"RL.CHECK k sliding_window_log 2 1h", six("1", "2", "1", "0", "ALMOST_AN_HOUR", "0")},
		{"rl.check k SLIDING_WINDOW_LOG 2 1h", six("1", "2", "0", "0", "ALMOST_AN_HOUR", "0")},
		{"RL.CHECK k sliding_window_log 2 1h", six("0", "2", "0", "ALMOST_AN_HOUR", "ALMOST_AN_HOUR", "0")},
		{"-3 RL.CHECK k sliding_window_log 2 1h COST 3", six("0", "2", "0", "-1", "ALMOST_AN_HOUR", "0")},
		{"RL.REFUND k sliding_window_log 2 1h COST 2", six("1", "2", "2", "0", "0", "0")},
		{"RL.CHECK k token_bucket 1 1h BURST 5", six("1", "5", "4", "0", "ALMOST_AN_HOUR", "0")},
		{"-3 RL.CHECK k leaky_bucket 1 1h", `^\(error\) WRONGTYPE `},
		{"RL.RESET k missing", `^\(integer\) 1$`},
		{"RL.CHECK k token_bucket 0 1", `^\(error\) ERR limit 0 is out of range`},
		{"-3 CONFIG GET databases", `^1# "databases" => "1"$`},
		{"-3 PING", `^PONG$`},
	} {
		if got := ask(strings.Fields(step.line)...); !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("redis-cli %s\n%s\nwant %s", step.line, got, step.want)
		}
	}
	if info := prints(p, "redis-cli", "-3", "INFO", "server"); !strings.HasPrefix(info, "# Server") {
		t.Errorf("redis-cli -3 INFO prints %.80q", info)
	}
}

func TestRedisCliWithAPassword(t *testing.T) {
	p := harness.StartServer(t, "--requirepass", "geheim")
	for _, args := range [][]string{{"-a", "geheim"}, {"-3", "-a", "geheim"}, {"--user", "default", "--pass", "geheim"}} {
		if got := prints(p, "redis-cli", append(args, "--no-auth-warning", "PING")...); got != "PONG" {
			t.Errorf("redis-cli %q PING: %q", args, got)
		}
	}
	if got := prints(p, "redis-cli", "PING"); got != "NOAUTH Authentication required." {
		t.Errorf("without the password: %q", got)
	}
	if got := prints(p, "redis-cli", "-a", "falsch", "--no-auth-warning", "PING"); !strings.Contains(got, "WRONGPASS") {
		t.Errorf("with a wrong password: %q", got)
	}
}

// firstLines runs redis-cli, gives what it prints until enough holds, and ends it.
func firstLines(p *harness.Process, enough func(string) bool, args ...string) string {
	p.T.Helper()
	var out harness.LockedBuffer
	cli := tool(p, "redis-cli", args...)
	cli.Stdout, cli.Stderr = &out, &out
	if err := cli.Start(); err != nil {
		p.T.Fatal(err)
	}
	defer func() {
		_ = cli.Process.Kill()
		_ = cli.Wait() // it was killed
	}()
	harness.Eventually(p.T, fmt.Sprintf("redis-cli %q prints enough", args), func() bool { return enough(out.String()) })
	return out.String()
}

func TestRedisCliStat(t *testing.T) {
	t.Parallel()
	p := harness.StartServer(t)
	p.Dial().Fill("k", "token_bucket", 7)
	// keys, memory, clients, blocked, requests (+ since the line before), connections
	row := regexp.MustCompile(`(?m)^7 +\d+\.\d+[KMG] +\d+ +0 +\d+ \(\+\d+\) +\d+ *$`)
	// It does not flush to a pipe, so this takes as many rows as fill its buffer.
	firstLines(p, func(out string) bool { return len(row.FindAllString(out, -1)) >= 3 }, "--stat", "-i", "0.01")
}

func TestRedisCliLatency(t *testing.T) {
	t.Parallel()
	p := harness.StartServer(t)
	// To a pipe it prints one row and ends: least, most, average, samples.
	if got := prints(p, "redis-cli", "--raw", "--latency", "-i", "1"); !regexp.MustCompile(`^\d+ \d+ \d+\.\d+ [1-9]\d+$`).MatchString(got) {
		t.Errorf("--latency prints %q", got)
	}
}

func TestRedisCliScanFindsEveryKeyOnce(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	c.Fill("user:", "token_bucket", 300)
	c.Fill("login:", "leaky_bucket", 200)
	for _, test := range []struct {
		args []string
		want map[string]int // prefix → how many
	}{
		{nil, map[string]int{"user:": 300, "login:": 200}},
		{[]string{"--pattern", "login:*"}, map[string]int{"login:": 200}},
		{[]string{"--pattern", "*:?"}, map[string]int{"user:": 10, "login:": 10}},
		{[]string{"--pattern", "nothing*"}, map[string]int{}},
	} {
		seen := map[string]bool{}
		got := map[string]int{}
		for key := range strings.FieldsSeq(prints(p, "redis-cli", append([]string{"--scan"}, test.args...)...)) {
			if seen[key] {
				t.Errorf("--scan %q prints %s twice", test.args, key)
			}
			seen[key] = true
			got[key[:strings.Index(key, ":")+1]]++
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("--scan %q finds %v, want %v", test.args, got, test.want)
		}
	}
}

func TestRedisCliBigkeysAndMemkeys(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	c.Fill("t", "token_bucket", 30)
	c.Send(strings.Repeat(harness.Command("RL.CHECK", "the-big-one", "sliding_window_log", "500", "1h"), 500))
	for range 500 {
		c.Value()
	}
	for _, option := range []string{"--bigkeys", "--memkeys"} {
		out := prints(p, "redis-cli", option)
		if !strings.Contains(out, "Sampled 31 keys in the keyspace!") || strings.Contains(out, "rror") {
			t.Errorf("redis-cli %s:\n%s", option, out)
		}
		for _, want := range []string{"30 token_bucket", "1 sliding_window_log"} {
			if !strings.Contains(out, want) {
				t.Errorf("redis-cli %s does not say %q:\n%s", option, want, out)
			}
		}
		if option == "--memkeys" && !regexp.MustCompile(`Biggest sliding_window_log found .*the-big-one.* has \d{4,} bytes`).MatchString(out) {
			t.Errorf("redis-cli --memkeys does not find the biggest log:\n%s", out)
		}
	}
}

func TestRedisCliPipe(t *testing.T) {
	const n = 20_000
	p := harness.StartServer(t)
	var commands strings.Builder
	for i := range n {
		commands.WriteString(harness.Command("RL.CHECK", "k"+strconv.Itoa(i%5000), "token_bucket", "2", "1h"))
	}
	cli := tool(p, "redis-cli", "--pipe")
	cli.Stdin = strings.NewReader(commands.String())
	out, err := cli.CombinedOutput()
	if want := fmt.Sprintf("errors: 0, replies: %d", n); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("--pipe: %v, want %s\n%s", err, want, out)
	}
	if got := prints(p, "redis-cli", "DBSIZE"); got != "5000" {
		t.Errorf("after the pipe DBSIZE is %s", got)
	}
	cli = tool(p, "redis-cli", "--pipe")
	cli.Stdin = strings.NewReader(harness.Command("PING") + harness.Command("NOSUCH") + harness.Command("PING"))
	if out, _ := cli.CombinedOutput(); !strings.Contains(string(out), "errors: 1, replies: 3") {
		t.Errorf("--pipe with one error of three:\n%s", out)
	}
}

func TestRedisCliMonitor(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	out := firstLines(p, func(out string) bool {
		if strings.HasPrefix(out, "OK\n") {
			c.Ask("AUTH", "geheim")
			c.Ask("RL.CHECK", "k y", "token_bucket", "1", "1")
		}
		return strings.Contains(out, `"RL.CHECK" "k y" "token_bucket" "1" "1"`)
	}, "MONITOR")
	if strings.Contains(out, "geheim") {
		t.Errorf("MONITOR shows a password:\n%s", out)
	}
}

// What redis-cli 7.0 knows of a command that it was not built with comes from COMMAND: a
// hint that counts the arguments. The names come with redis-cli 7.2, from COMMAND DOCS;
// TestCommandDocsHasTheTypesThatRedisCliAsserts stands for that one.
func TestRedisCliHintsAndHelps(t *testing.T) {
	p := harness.StartServer(t)
	cli := tool(p, "redis-cli")
	cli.Env = append(os.Environ(), "TERM=xterm", "HOME="+t.TempDir())
	terminal, err := pty.StartWithSize(cli, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	var screen harness.LockedBuffer
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(&screen, terminal) // ends with an error when redis-cli ends
	}()
	see := func(want string) {
		t.Helper()
		harness.Eventually(t, fmt.Sprintf("the terminal shows %s", want), func() bool {
			return regexp.MustCompile(want).MatchString(escapes.ReplaceAllString(screen.String(), ""))
		})
	}
	typing := func(text string) {
		t.Helper()
		if _, err := io.WriteString(terminal, text); err != nil {
			t.Fatal(err)
		}
	}
	see(`127\.0\.0\.1:\d+> `)
	typing("RL.CHECK ")
	see(`RL\.CHECK (key arg \.\.\.options\.\.\.|key @policy\|algorithm limit period \[BURST burst\] \[COST cost\] \[FORCE\])`)
	typing("k token_bucket 10 1h\r")
	see(`1\) \(integer\) 1\r?\n2\) \(integer\) 10\r?\n3\) \(integer\) 9`)
	typing("help RL.CHECK\r")
	see(`RL\.CHECK (key arg|key @policy\|algorithm limit period)[^\n]*\r?\n\s+summary: \S`)
	typing("RL.RES\t")
	see("RL.RESET|rl.reset") // completion knows the name
	typing(" k\r")
	see(`\(integer\) 1\r?\n127`)
	typing("quit\r")
	<-ended
	var exit *exec.ExitError
	if err := cli.Wait(); errors.As(err, &exit) && exit.ExitCode() != 0 {
		t.Errorf("redis-cli ended with %v", err)
	}
}

// escapes are what a terminal takes as orders: colours, moves.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

func TestRedisBenchmarkRunsToItsEnd(t *testing.T) {
	p := harness.StartServer(t)
	for _, args := range [][]string{
		{"-n", "20000", "-c", "10", "-P", "16", "-r", "1000", "RL.CHECK", "k:__rand_int__", "token_bucket", "100", "60"},
		{"-3", "-n", "20000", "-c", "10", "-P", "16", "-r", "1000", "RL.CHECK", "log:__rand_int__", "sliding_window_log", "5", "60"},
		{"-n", "5000", "-c", "50", "-t", "ping"},
		{"-n", "5000", "-c", "5", "--threads", "2", "RL.RESET", "k"},
	} {
		before := p.Dial().InfoNumber("total_error_replies")
		out := prints(p, "redis-benchmark", append([]string{"-q"}, args...)...)
		for _, bad := range []string{"WARNING", "ERROR", "rror:", "Could not"} {
			if strings.Contains(out, bad) {
				t.Errorf("redis-benchmark %q says %s:\n%s", args, bad, out)
			}
		}
		if !strings.Contains(out, "requests per second") {
			t.Errorf("redis-benchmark %q measured nothing:\n%s", args, out)
		}
		if errors := p.Dial().InfoNumber("total_error_replies") - before; errors != 0 {
			t.Errorf("redis-benchmark %q got %d errors", args, errors)
		}
	}
	_, fields := p.Dial().Info("commandstats")
	calls, _, _ := strings.Cut(strings.TrimPrefix(fields["cmdstat_rl.check"], "calls="), ",")
	if n, err := strconv.Atoi(calls); err != nil || n < 40_000 {
		t.Errorf("after 40000 checks, cmdstat_rl.check is %q", fields["cmdstat_rl.check"])
	}
}
