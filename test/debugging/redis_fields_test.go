package debugging

import (
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/test/harness"
)

// A fieldSet has the fields of INFO by section, as "stats expired_keys". The parts of a field's value
// are fields too: "keyspace db0.expires". Of the commands and errors that are counted it has one.
type fieldSet map[string]bool

var (
	partsPattern  = regexp.MustCompile(`^([a-z0-9_.]+=[^,=]*,?)+$`)
	countedOthers = regexp.MustCompile(`^(cmdstat|latency_percentiles_usec|errorstat)_`)
	countedOnes   = []string{"cmdstat_ping", "latency_percentiles_usec_ping", "errorstat_ERR"}
)

// add adds what a server's INFO has.
func (set fieldSet) add(c *harness.Conn) {
	section := ""
	for line := range strings.SplitSeq(c.Ask("INFO", "everything").Text, "\r\n") {
		name, value, isField := strings.Cut(line, ":")
		if heading, isHeading := strings.CutPrefix(line, "# "); isHeading {
			section = strings.ToLower(heading)
			set[section+" "+line] = true
		}
		if !isField || countedOthers.MatchString(name) && !slices.Contains(countedOnes, name) {
			continue
		}
		set[section+" "+name] = true
		if partsPattern.MatchString(value) {
			for part := range strings.SplitSeq(value, ",") {
				part, _, _ = strings.Cut(part, "=")
				set[section+" "+name+"."+part] = true
			}
		}
	}
}

// fieldsOf has the fields of a primary with an append-only file, a key and a replica, and of the
// replica.
func fieldsOf(t *testing.T, primary, replica *harness.Process, write ...string) fieldSet {
	t.Helper()
	set := fieldSet{}
	p, r := primary.Dial(), replica.Dial()
	harness.Eventually(t, "the replica to be in step", func() bool {
		_, fields := r.Info("replication")
		return fields["master_link_status"] == "up"
	})
	for _, c := range []*harness.Conn{p, r} {
		c.Ask("PING")
		c.MustFail("ERR", "NOSUCH")
	}
	harness.Eventually(t, "the primary to have enough replicas for a write", func() bool { return p.Ask(write...).Kind != '-' })
	harness.Eventually(t, "the replica to have the key", func() bool { return r.Ask("DBSIZE").Text == "1" })
	set.add(p)
	set.add(r)
	return set
}

// missingFields reads the list of docs/OPERATING.md: fields of Redis that do not exist here.
func missingFields(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "These fields of Redis 7.0 do not exist here:\n\n")
	list, _, _ = strings.Cut(list, "\n\n")
	missing, section := map[string]string{}, ""
	for line := range strings.SplitSeq(list, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		if name := strings.TrimSpace(cells[0]); name != "" {
			section = name
		}
		for i, name := range strings.Split(cells[1], "`") {
			if i%2 == 1 {
				missing[section+" "+name] = strings.TrimSpace(cells[2])
			}
		}
	}
	return missing
}

// INFO has every field of Redis, but for those that docs/OPERATING.md lists with a reason.
func TestInfoHasTheFieldsOfRedis(t *testing.T) {
	flags := []string{"--appendonly", "yes", "--min-replicas-to-write", "1"}
	redis := harness.StartRedis(t, append(flags, "--repl-diskless-sync-delay", "0")...)
	ours := harness.StartServer(t, append(flags, "--dir", t.TempDir())...)
	theirs := fieldsOf(t, redis, harness.StartRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(redis.Port)), "SET", "k", "v")
	have := fieldsOf(t, ours, harness.StartServer(t, "--dir", t.TempDir(), "--replicaof", "127.0.0.1 "+strconv.Itoa(ours.Port)),
		"RL.CHECK", "k", "token_bucket", "10", "1h")
	if len(theirs) < 150 {
		t.Fatalf("Redis has %d fields", len(theirs))
	}
	listed := missingFields(t)
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if _, isListed := listed[name]; !have[name] && !isListed {
			t.Errorf("Redis has the field %q: INFO lacks it, and docs/OPERATING.md does not say why", name)
		}
	}
	for name, reason := range listed {
		switch {
		case reason == "":
			t.Errorf("docs/OPERATING.md lists %q without a reason", name)
		case have[name]:
			t.Errorf("docs/OPERATING.md lists %q, which INFO has", name)
		case !theirs[name]:
			t.Errorf("docs/OPERATING.md lists %q, which Redis has not", name)
		}
	}
}

// CLIENT LIST and CLIENT INFO have the fields of Redis 7.0 in its order, and behind them those that
// 7.2 has added.
func TestClientListHasTheFieldsOfRedis(t *testing.T) {
	names := func(c *harness.Conn, command string) (list []string) {
		for word := range strings.FieldsSeq(c.Ask("CLIENT", command).Text) {
			name, _, _ := strings.Cut(word, "=")
			list = append(list, name)
		}
		return list
	}
	redis, ours := harness.StartRedis(t).Dial(), harness.StartServer(t).Dial()
	added := []string{"lib-name", "lib-ver"}
	var order []string // of Redis 7.2, where the command stands behind the events
	for _, command := range []string{"LIST", "INFO"} {
		order = append(names(redis, command), added...)
		if got := names(ours, command); !slices.Equal(got, order) {
			t.Errorf("CLIENT %s has the fields\n%q, Redis\n%q", command, got, order)
		}
	}
}

// The counts of calls, rejections, failures, errors and look-ups are those of Redis after the same
// commands.
func TestCountsAreThoseOfRedis(t *testing.T) {
	count := func(p *harness.Process, write ...string) map[string]string {
		c := p.Dial()
		c.Ask(write...)
		c.MustSay("OK", "CONFIG", "RESETSTAT")
		for _, line := range []string{
			"PING", "PING a b", "PING a b c", "ECHO", "ECHO x", "CLIENT", "CLIENT FOO", "CLIENT GETNAME", "CLIENT SETNAME a\nb", "NOSUCH", "SELECT x",
			"EXISTS a b", "TTL a", "PTTL a", "TYPE a", "MEMORY USAGE a", "DEL a", "SCAN 0", "HELLO 9", "AUTH a b", "MULTI", "PING", "SELECT x", "EXEC",
			"MULTI", "NOSUCH", "PING", "EXEC", "EXEC", "MULTI", "ECHO", "DISCARD", "SUBSCRIBE a", "ECHO x", "UNSUBSCRIBE a", "CONFIG SET nosuch 1",
		} {
			c.Ask(strings.Split(line, " ")...)
		}
		broken := p.Dial()
		broken.Send("*x\r\n")
		broken.Reply()
		_, fields := c.Info("everything")
		counts := map[string]string{}
		for name, value := range fields {
			switch {
			case strings.HasPrefix(name, "cmdstat_"):
				counts[name] = regexp.MustCompile("usec=.*usec_per_call=[^,]*,").ReplaceAllString(value, "")
			case strings.HasPrefix(name, "errorstat_"), strings.HasPrefix(name, "keyspace_"), name == "total_error_replies", name == "total_commands_processed":
				counts[name] = value
			case strings.HasPrefix(name, "latency_percentiles_usec_"):
				counts[name] = "measured"
			}
		}
		return counts
	}
	theirs, ours := count(harness.StartRedis(t), "SET", "a", "x"), count(harness.StartServer(t), "RL.CHECK", "a", "token_bucket", "10", "1h")
	for name := range maps.All(theirs) {
		if ours[name] != theirs[name] {
			t.Errorf("%s is %q, from Redis %q", name, ours[name], theirs[name])
		}
	}
	for name := range ours {
		if theirs[name] == "" {
			t.Errorf("%s is %q, and Redis has no such field", name, ours[name])
		}
	}
}

// While nothing was saved, LASTSAVE is when the server started.
func TestLastSaveIsTheStart(t *testing.T) {
	before := time.Now().Unix()
	for name, p := range map[string]*harness.Process{"Redis": harness.StartRedis(t), "rlserver": harness.StartServer(t)} {
		c := p.Dial()
		saved := c.Ask("LASTSAVE").Number(t)
		if saved < before || saved > time.Now().Unix() || c.InfoNumber("rdb_last_save_time") != saved {
			t.Errorf("%s: LASTSAVE is %d, INFO says %d, and it started at %d", name, saved, c.InfoNumber("rdb_last_save_time"), before)
		}
	}
}

// CLIENT LIST has the sizes of buffers, of connections in every state.
func TestClientListTellsOfBuffers(t *testing.T) {
	for name, p := range map[string]*harness.Process{"Redis": harness.StartRedis(t), "event loops": harness.StartServer(t), "goroutines": harness.StartServer(t, "--event-loops", "0")} {
		c, own := p.Dial(), harness.Command("CLIENT", "LIST")
		line := func(of *harness.Conn, field string) int64 {
			for _, fields := range c.Listed("LIST") {
				if fields["addr"] == of.LocalAddr().String() {
					n, err := strconv.ParseInt(fields[field], 10, 64)
					if err != nil {
						t.Errorf("%s: %s=%s", name, field, fields[field])
					}
					return n
				}
			}
			return -1 // it is not accepted yet
		}
		if query, arguments := line(c, "qbuf"), line(c, "argv-mem"); query != int64(len(own)) || arguments != int64(len("CLIENTLIST")) {
			t.Errorf("%s: CLIENT LIST takes qbuf=%d argv-mem=%d", name, query, arguments)
		}
		partial, queueing, deaf := p.Dial(), p.Dial(), p.Dial()
		partial.Send("*2\r\n$4\r\nECHO\r\n$900\r\n" + strings.Repeat("x", 500))
		harness.Eventually(t, name+": the begun command to be seen", func() bool { return line(partial, "qbuf") >= 500 })
		queueing.MustSay("OK", "MULTI")
		queueing.MustSay("QUEUED", "ECHO", "abc")
		if n := line(queueing, "multi-mem"); n < 7 {
			t.Errorf("%s: multi-mem=%d", name, n)
		}
		go func() {
			_, _ = io.WriteString(deaf, strings.Repeat(harness.Command("ECHO", strings.Repeat("x", 1<<19)), 40))
		}()
		harness.Eventually(t, name+": the replies that are not read to be seen", func() bool {
			return line(deaf, "obl")+line(deaf, "omem") >= 1<<19 && line(deaf, "tot-mem") >= 1<<19
		})
		idle := p.Dial()
		idle.MustSay("PONG", "PING")
		harness.Eventually(t, name+": the buffers of an idle connection to be empty", func() bool {
			return line(idle, "qbuf")+line(idle, "argv-mem")+line(idle, "multi-mem")+line(idle, "obl")+line(idle, "oll")+line(idle, "omem") == 0
		})
	}
}

// INFO counts every byte of every connection, whatever carries it.
func TestInfoCountsBytes(t *testing.T) {
	for name, p := range map[string]*harness.Process{"Redis": harness.StartRedis(t), "event loops": harness.StartServer(t), "goroutines": harness.StartServer(t, "--event-loops", "0")} {
		c, other := p.Dial(), p.Dial()
		ask := harness.Command("INFO", "stats")
		count := func() (bytesIn, bytesOut int64, reply int) {
			reply = len(c.Ask("INFO", "stats").Text)
			_, fields := c.Info("stats")
			bytesIn, _ = strconv.ParseInt(fields["total_net_input_bytes"], 10, 64)
			bytesOut, _ = strconv.ParseInt(fields["total_net_output_bytes"], 10, 64)
			return bytesIn, bytesOut, reply
		}
		in, out, _ := count()
		long, short := harness.Command("ECHO", strings.Repeat("x", 100_000)), harness.Command("PING")
		other.Send(long)
		answers := len(other.Reply())
		other.Send(short)
		answers += len(other.Reply())
		inAfter, outAfter, reply := count()
		if got, want := inAfter-in, int64(len(long)+len(short)+2*len(ask)); got != want {
			t.Errorf("%s: %d bytes were counted, want %d", name, got, want)
		}
		// The last answers may not be counted yet. The replies to INFO differ by a few digits, and
		// have a header.
		if got, want := outAfter-out, int64(answers+2*reply); got < want-100 || got > want+100 {
			t.Errorf("%s: %d bytes of answers were counted, want about %d", name, got, want)
		}
		for _, field := range []string{"total_reads_processed", "total_writes_processed"} {
			if n := c.InfoNumber(field); n < 6 {
				t.Errorf("%s: %s is %d", name, field, n)
			}
		}
		c.MustSay("OK", "CONFIG", "RESETSTAT")
		if n := c.InfoNumber("total_net_input_bytes"); n >= int64(len(long)) {
			t.Errorf("%s: after CONFIG RESETSTAT total_net_input_bytes is %d", name, n)
		}
	}
}
