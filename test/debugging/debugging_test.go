package debugging

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

func TestInfoGivesTheSectionsAskedFor(t *testing.T) {
	c := harness.StartServer(t).Dial()
	usual := []string{"Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Limiter", "Errorstats", "Cluster", "Keyspace"}
	with := func(more ...string) []string {
		return slices.Sorted(slices.Values(append(slices.Clone(usual), more...)))
	}
	for _, test := range []struct{ ask, want []string }{
		{nil, with()},
		{[]string{"default"}, with()},
		{[]string{"all"}, with("Commandstats", "Latencystats")},
		{[]string{"everything"}, with("Commandstats", "Latencystats")},
		{[]string{"default", "commandstats"}, with("Commandstats")},
		{[]string{"server"}, []string{"Server"}},
		{[]string{"STATS", "Memory"}, []string{"Memory", "Stats"}},
		{[]string{"stats", "stats"}, []string{"Stats"}},
		{[]string{"commandstats"}, []string{"Commandstats"}},
		{[]string{"no-such-section"}, nil},
	} {
		if got, _ := c.Info(test.ask...); !slices.Equal(slices.Sorted(slices.Values(got)), test.want) {
			t.Errorf("INFO %q: sections %q, want %q", test.ask, got, test.want)
		}
	}
	c.Ask("HELLO", "3")
	if got := c.Ask("INFO"); got.Kind != '=' || !strings.HasPrefix(got.Text, "# Server\r\n") {
		t.Errorf("INFO in RESP3: %c%.40q, want verbatim text", got.Kind, got.Text)
	}
}

// The fields that redis-cli --stat, ioredis and Sentinel look for, and what is true of them.
func TestInfoHasWhatToolsLookFor(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	c.Ask("RL.CHECK", "k", "token_bucket", "10", "1h")
	_, fields := c.Info()
	for name, want := range map[string]string{
		"redis_version":              `7\.\d+\.\d+`,
		"rlserver_version":           `\S+`,
		"redis_mode":                 `standalone`,
		"run_id":                     `[0-9a-f]{40}`,
		"tcp_port":                   strconv.Itoa(p.Port),
		"process_id":                 strconv.Itoa(p.Cmd.Process.Pid),
		"uptime_in_seconds":          `\d+`,
		"connected_clients":          `1`,
		"maxclients":                 `10000`,
		"blocked_clients":            `0`,
		"used_memory":                `[1-9]\d{4,}`,
		"used_memory_human":          `[0-9.]+[BKMG]`,
		"used_memory_rss":            `[1-9]\d{5,}`,
		"used_memory_peak":           `[1-9]\d{5,}`,
		"used_memory_dataset":        fields["used_memory"],
		"used_memory_tables":         fields["used_memory"], // no log, so all of it
		"used_memory_logs":           `0`,
		"maxmemory":                  `0`,
		"maxmemory_human":            `0B`,
		"maxmemory_policy":           `volatile-ttl`,
		"gc_percent":                 `-?\d+`,
		"gc_soft_limit":              `\d+`,
		"gc_cycles":                  `\d+`,
		"gc_cpu_percent":             `\d+\.\d\d`,
		"keys":                       `1`,
		"tables_rebuilt":             `\d+`,
		"loading":                    `0`,
		"rdb_bgsave_in_progress":     `0`,
		"aof_enabled":                `0`,
		"aof_rewrite_in_progress":    `0`,
		"total_connections_received": `[12]`, // the harness knocked once
		"total_commands_processed":   `1`,
		"instantaneous_ops_per_sec":  `\d+`,
		"rejected_connections":       `0`,
		"expired_keys":               `0`,
		"evicted_keys":               `0`,
		"evicted_live_keys":          `0`,
		"role":                       `master`,
		"connected_slaves":           `0`,
		"used_cpu_sys":               `\d+\.\d+`,
		"used_cpu_user":              `\d+\.\d+`,
		"db0":                        `keys=1,expires=\d+,avg_ttl=\d+`,
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(fields[name]) {
			t.Errorf("INFO's %s is %q, want %s", name, fields[name], want)
		}
	}
	other := harness.StartServer(t).Dial()
	if _, theirs := other.Info("server"); theirs["run_id"] == fields["run_id"] {
		t.Error("two runs have the same run_id")
	}
}

func TestInfoCountersMove(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	_, before := c.Info("everything")
	for i := range 50 {
		c.Ask("RL.CHECK", "short:"+strconv.Itoa(i), "token_bucket", "1", "20ms")
		c.Ask("RL.PEEK", "short:"+strconv.Itoa(i), "leaky_bucket", "1", "20ms") // WRONGTYPE, or not any more
	}
	c.MustFail("unknown command", "NOSUCH")
	other := p.Dial()
	other.MustSay("PONG", "PING")
	broken := p.Dial()
	broken.Send("*1\r\n+\r\n")
	if reply := broken.Reply(); !strings.HasPrefix(reply, "-ERR Protocol error") {
		t.Errorf("a protocol error is answered %q", reply)
	}
	_, after := c.Info("everything")
	moved := func(name string) int64 {
		from, _ := strconv.ParseInt(before[name], 10, 64)
		to, err := strconv.ParseInt(after[name], 10, 64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return to - from
	}
	// The first INFO is counted by the second; an unknown command is none.
	for name, want := range map[string]int64{"total_commands_processed": 102, "total_connections_received": 2, "protocol_errors": 1} {
		if got := moved(name); got != want {
			t.Errorf("%s moved by %d, want %d", name, got, want)
		}
	}
	if got := moved("total_error_replies"); got < 1 {
		t.Errorf("total_error_replies moved by %d", got)
	}
	for name, calls := range map[string]int{"rl.check": 50, "rl.peek": 50, "ping": 1, "info": 1} {
		if want := fmt.Sprintf("calls=%d", calls); !strings.HasPrefix(after["cmdstat_"+name]+",", want+",") {
			t.Errorf("cmdstat_%s is %q, want %s", name, after["cmdstat_"+name], want)
		}
	}
	_ = other.Close()
	harness.Eventually(t, "the keys come to rest, are swept and counted as expired", func() bool {
		return c.InfoNumber("expired_keys") >= 50 && c.Ask("DBSIZE").Text == "0"
	})
	harness.Eventually(t, "connections that left are not counted", func() bool { return c.InfoNumber("connected_clients") == 1 })
	harness.Eventually(t, "the commands of the last second are counted", func() bool { return c.InfoNumber("instantaneous_ops_per_sec") > 0 })
	harness.Eventually(t, "the bytes of the last second are counted", func() bool {
		_, fields := c.Info("stats")
		return fields["instantaneous_input_kbps"] != "0.00" && fields["instantaneous_output_kbps"] != "0.00"
	})

	c.MustSay("OK", "CONFIG", "RESETSTAT")
	for _, name := range []string{"total_connections_received", "rejected_connections", "expired_keys", "total_error_replies", "protocol_errors"} {
		if got := c.InfoNumber(name); got != 0 {
			t.Errorf("after CONFIG RESETSTAT %s is %d", name, got)
		}
	}
	if got := c.InfoNumber("total_commands_processed"); got > 10 {
		t.Errorf("after CONFIG RESETSTAT total_commands_processed is %d", got)
	}
	if _, fields := c.Info("commandstats"); fields["cmdstat_rl.check"] != "" {
		t.Errorf("after CONFIG RESETSTAT cmdstat_rl.check is %q", fields["cmdstat_rl.check"])
	}
}

func TestConfigGet(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	get := func(patterns ...string) map[string]string {
		reply := c.Ask(append([]string{"CONFIG", "GET"}, patterns...)...)
		m := map[string]string{}
		for i := 0; i+1 < len(reply.Parts); i += 2 {
			if _, twice := m[reply.Parts[i].Text]; twice {
				t.Errorf("CONFIG GET %q gives %s twice", patterns, reply.Parts[i].Text)
			}
			m[reply.Parts[i].Text] = reply.Parts[i+1].Text
		}
		return m
	}
	port := strconv.Itoa(p.Port)
	for _, test := range []struct {
		patterns []string
		want     map[string]string
	}{
		{[]string{"port"}, map[string]string{"port": port}},
		{[]string{"PORT"}, map[string]string{"PORT": port}}, // the name is echoed as it was asked, as Redis does
		{[]string{"p*t", "port", "time?ut"}, map[string]string{"port": port, "timeout": "0"}},
		{[]string{"slowlog-*"}, map[string]string{"slowlog-log-slower-than": "10000", "slowlog-max-len": "128"}},
		{[]string{"save"}, map[string]string{"save": ""}},
		{[]string{"appendonly"}, map[string]string{"appendonly": "no"}},
		{[]string{"databases"}, map[string]string{"databases": "1"}},
		{[]string{"no-such-thing"}, map[string]string{}},
	} {
		if got := get(test.patterns...); !maps.Equal(got, test.want) {
			t.Errorf("CONFIG GET %q: %v, want %v", test.patterns, got, test.want)
		}
	}
	all := get("*")
	for _, name := range []string{"bind", "port", "protected-mode", "requirepass", "maxclients", "timeout", "shutdown-timeout",
		"max-log-limit", "maxmemory", "slowlog-log-slower-than", "slowlog-max-len", "log-level", "log-format", "replica-read-only"} {
		if _, found := all[name]; !found {
			t.Errorf("CONFIG GET * leaves out %s", name)
		}
	}
	c.Ask("HELLO", "3")
	if got := c.Ask("CONFIG", "GET", "save", "port"); got.Kind != '%' || len(got.Parts) != 4 || got.Parts[0].Kind != '$' {
		t.Errorf("CONFIG GET in RESP3: %+v, want a map of bulk strings", got)
	}
}

func TestConfigSetTakesEffectAtOnce(t *testing.T) {
	p := harness.StartServer(t)
	c := p.Dial()
	c.MustSay("OK", "CONFIG", "SET", "requirepass", "geheim", "SLOWLOG-LOG-SLOWER-THAN", "0", "maxclients", "3")
	for name, want := range map[string]string{"requirepass": "geheim", "slowlog-log-slower-than": "0", "maxclients": "3"} {
		if got := c.Ask("CONFIG", "GET", name).Pairs()[name].Text; got != want {
			t.Errorf("CONFIG GET %s: %q, want %q", name, got, want)
		}
	}
	c.MustSay("PONG", "PING") // a connection that was let in stays
	other := p.Dial()
	other.MustSay("NOAUTH Authentication required.", "RL.CHECK", "k", "token_bucket", "1", "1")
	other.MustFail("WRONGPASS", "AUTH", "falsch")
	other.MustSay("OK", "AUTH", "geheim")
	other.MustSay("PONG", "PING")
	if n, _ := strconv.Atoi(c.Ask("SLOWLOG", "LEN").Text); n == 0 {
		t.Error("with slowlog-log-slower-than 0 nothing is logged")
	}
	third := p.Dial()
	third.MustFail("NOAUTH", "PING")
	fourth := p.Dial()
	if reply := fourth.Reply(); reply != "-ERR max number of clients reached\r\n" {
		t.Errorf("with maxclients 3 the fourth connection is told %q", reply)
	}
	c.MustSay("OK", "CONFIG", "SET", "requirepass", "", "maxclients", "100")
	p.Dial().MustSay("PONG", "PING")
	if strings.Contains(p.Log.String(), "geheim") {
		t.Error("the log tells the password")
	}
}

// What cannot be set is refused with a text that helps, and then nothing is changed, not
// even what stands before it.
func TestConfigSetRefusesAsAWhole(t *testing.T) {
	c := harness.StartServer(t).Dial()
	before := fmt.Sprint(c.Ask("CONFIG", "GET", "*"))
	for _, test := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"port", "1"}, "(possibly related to argument 'port') - can't set immutable config"},
		{[]string{"databases", "16"}, "(possibly related to argument 'databases') - can't set immutable config"},
		{[]string{"no-such-thing", "1"}, "Unknown option or number of arguments for CONFIG SET - 'no-such-thing'"},
		{[]string{"maxclients", "0"}, "(possibly related to argument 'maxclients')"},
		{[]string{"maxclients", "many"}, "1 to 1000000"},
		{[]string{"maxclients", ""}, "1 to 1000000"},
		{[]string{"timeout", "-1"}, "0 to 31536000"},
		{[]string{"timeout", "1500ms"}, "0 to 31536000"},
		{[]string{"protected-mode", "maybe"}, "yes or no"},
		{[]string{"log-level", "loud"}, "debug, info, warn or error"},
		{[]string{"slowlog-max-len", "99999999999999999999"}, "0 to 100000"},
		{[]string{"timeout", "7", "maxclients", "0"}, "'maxclients'"},
		{[]string{"timeout", "7", "port", "1"}, "'port'"},
		{[]string{"timeout", "7", "no-such-thing", "1"}, "'no-such-thing'"},
		{[]string{"timeout", "7", "TIMEOUT", "8"}, "(possibly related to argument 'TIMEOUT') - duplicate parameter"},
		{[]string{"timeout", "7", "maxclients"}, "ERR"},
		{[]string{"bad\r\n+OK\r\nname", "1"}, "Unknown option"},
		{[]string{"maxclients", "bad\r\n+OK\r\n"}, "1 to 1000000"},
	} {
		c.MustFail(test.want, append([]string{"CONFIG", "SET"}, test.pairs...)...)
		c.MustSay("in step", "ECHO", "in step")
		if after := fmt.Sprint(c.Ask("CONFIG", "GET", "*")); after != before {
			t.Fatalf("a refused CONFIG SET %q changed\n%s\nto\n%s", test.pairs, before, after)
		}
	}
}

func TestTimeIsNowAndNeverRunsBackwards(t *testing.T) {
	p := harness.StartServer(t)
	conns := []*harness.Conn{p.Dial(), p.Dial()}
	last := int64(0)
	for i := range 500 {
		before := time.Now()
		reply := conns[i%2].Ask("TIME")
		if reply.Kind != '*' || len(reply.Parts) != 2 {
			t.Fatalf("TIME replies %+v", reply)
		}
		s, err1 := strconv.ParseInt(reply.Parts[0].Text, 10, 64)
		us, err2 := strconv.ParseInt(reply.Parts[1].Text, 10, 64)
		if err1 != nil || err2 != nil || us < 0 || us > 999_999 {
			t.Fatalf("TIME replies %q", reply.Texts())
		}
		now := s*1_000_000 + us
		if now < last {
			t.Fatalf("TIME ran back from %d to %d", last, now)
		}
		last = now
		if now < before.UnixMicro() || now > time.Now().UnixMicro() {
			t.Fatalf("TIME is %d, which is not between when it was asked and when it was answered", now)
		}
	}
}
