package test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rlserver/rlserver/engine"
)

// A key has the type of its algorithm and a TTL until it is at rest, and then it is gone,
// for every command that looks.
func TestAKeyCanBeSeenUntilItIsAtRest(t *testing.T) {
	c := startServer(t).dial()
	for _, a := range engine.Algorithms() {
		key := "k:" + a.String()
		c.ask("RL.CHECK", key, a.String(), "2", "600ms", "COST", "2")
		c.mustSay(a.String(), "TYPE", key)
		if got := c.ask("TYPE", key).kind; got != '+' {
			t.Errorf("TYPE replies a %c, want a simple string", got)
		}
		c.mustSay("1", "EXISTS", key)
		c.mustSay("1", "TTL", key)
		last := int64(600)
		if got := c.ask("PTTL", key).number(t); got < 300 || got > 600 {
			t.Errorf("%v: PTTL is %d just after 600 ms worth was taken", a, got)
		}
		eventually(t, "PTTL falls, and is -2 in the end", func() bool {
			left := c.ask("PTTL", key).number(t)
			if left > last || left == 0 || left < -2 || left == -1 {
				t.Errorf("%v: PTTL is %d after %d", a, left, last)
			}
			last = left
			return left == -2
		})
		c.mustSay("none", "TYPE", key)
		c.mustSay("0", "EXISTS", key)
		c.mustSay("-2", "TTL", key)
		c.mustSay("0", "RL.RESET", key)
		if got := c.ask("MEMORY", "USAGE", key); !got.null {
			t.Errorf("%v: at rest, MEMORY USAGE replies %c%q", a, got.kind, got.text)
		}
		if got := c.ask("KEYS", "*"); len(got.parts) != 0 {
			t.Errorf("%v: at rest, KEYS lists %q", a, got.texts())
		}
	}
	c.ask("RL.CHECK", "long", "token_bucket", "1", "90500ms")
	c.mustSay("91", "TTL", "long") // rounded up
	eventually(t, "keys at rest are swept", func() bool { return c.ask("DBSIZE").text == "1" })
}

func TestKeysNamedTwiceCountTwiceOnlyForExists(t *testing.T) {
	c := startServer(t).dial()
	c.fill("", "token_bucket", 6) // 0 … 5
	c.mustSay("6", "DBSIZE")
	c.mustSay("3", "EXISTS", "0", "1", "missing", "0")
	c.mustSay("1", "DEL", "0", "0", "missing")
	c.mustSay("2", "UNLINK", "1", "2", "1")
	c.mustSay("1", "RL.RESET", "3", "3")
	c.mustSay("0", "DEL", "missing")
	c.mustSay("2", "EXISTS", "0", "1", "2", "3", "4", "5")
	c.mustSay("2", "DBSIZE")
}

func TestFlushForgetsEveryKey(t *testing.T) {
	c := startServer(t).dial()
	for _, words := range [][]string{{"FLUSHALL"}, {"FLUSHDB"}, {"FLUSHALL", "ASYNC"}, {"FLUSHDB", "sync"}, {"flushall", "Sync"}, {"FLUSHDB", "async"}} {
		c.fill("k", "leaky_bucket", 100)
		c.mustFail("syntax error", "FLUSHALL", "LATER")
		c.mustFail("syntax error", "FLUSHDB", "ASYNC", "SYNC")
		c.mustSay("100", "DBSIZE")
		c.mustSay("OK", words...)
		c.mustSay("0", "DBSIZE")
		c.mustSay("0", "EXISTS", "k0", "k99")
	}
}

func TestMemoryUsageTellsBytes(t *testing.T) {
	c := startServer(t).dial()
	c.ask("RL.CHECK", "bucket", "token_bucket", "10", "1h")
	c.send(strings.Repeat(command("RL.CHECK", "log", "sliding_window_log", "1000", "1h"), 1000))
	for range 1000 {
		c.value()
	}
	bucket, log := c.ask("MEMORY", "USAGE", "bucket").number(t), c.ask("memory", "usage", "log", "samples", "5").number(t)
	if bucket < 16 || bucket > 512 {
		t.Errorf("a bucket takes %d bytes", bucket)
	}
	if log < 8*1000 || log > 16*1000+512 {
		t.Errorf("a log of 1000 units takes %d bytes; want 8 to 16 for each", log)
	}
	for _, protocol := range []string{"2", "3"} {
		c.ask("HELLO", protocol)
		if got := c.ask("MEMORY", "USAGE", "missing"); !got.null {
			t.Errorf("RESP%s: of a key that is not there, %c%q; want null", protocol, got.kind, got.text)
		}
	}
	c.mustFail("syntax error", "MEMORY", "USAGE", "bucket", "SAMPLES")
	c.mustFail("syntax error", "MEMORY", "USAGE", "bucket", "TIMES", "5")
	c.mustFail("syntax error", "MEMORY", "USAGE", "bucket", "SAMPLES", "-1")
	c.mustFail("not an integer", "MEMORY", "USAGE", "bucket", "SAMPLES", "some")
}

// scanAll scans from the start to the end and counts how often it saw each key.
func (c *rawConn) scanAll(options ...string) map[string]int {
	c.t.Helper()
	seen, cursor := map[string]int{}, "0"
	for range 1_000_000 {
		reply := c.ask(append([]string{"SCAN", cursor}, options...)...)
		if reply.kind != '*' || len(reply.parts) != 2 || reply.parts[0].kind != '$' || reply.parts[1].kind != '*' {
			c.t.Fatalf("SCAN replies %+v", reply)
		}
		for _, key := range reply.parts[1].texts() {
			seen[key]++
		}
		if cursor = reply.parts[0].text; cursor == "0" {
			return seen
		}
	}
	c.t.Fatalf("SCAN %q never ends", options)
	return nil
}

// A scan returns every key that is there from its beginning to its end, whatever comes and
// goes meanwhile.
func TestScanReturnsEveryKeyWhileOthersComeAndGo(t *testing.T) {
	const kept = 3000
	p := startServer(t)
	c := p.dial()
	c.fill("kept:", "token_bucket", kept)
	stop, turns := make(chan struct{}), 0
	var churning sync.WaitGroup
	churn := p.dial()
	churning.Go(func() {
		const alive = 20 // turns, after which what came goes again
		for ; ; turns++ {
			select {
			case <-stop:
				return
			default:
			}
			churn.fill(fmt.Sprintf("other:%d:", turns), "leaky_bucket", 500)
			if turns < alive {
				continue
			}
			gone := []string{"DEL"}
			for i := range 500 {
				gone = append(gone, fmt.Sprintf("other:%d:%d", turns-alive, i))
			}
			churn.mustSay("500", gone...)
		}
	})
	defer churning.Wait()
	defer close(stop)
	eventually(t, "keys come and go", func() bool { return c.ask("DBSIZE").number(t) > kept+5000 })
	for _, options := range [][]string{{"COUNT", "50"}, {"COUNT", "10"}, {"MATCH", "kept:*", "COUNT", "1000"}, {"TYPE", "token_bucket"}} {
		seen := c.scanAll(options...)
		missing := 0
		for i := range kept {
			if seen["kept:"+strconv.Itoa(i)] == 0 {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("SCAN %q left out %d of %d keys", options, missing, kept)
		}
		for key := range seen {
			if options[0] != "COUNT" && !strings.HasPrefix(key, "kept:") {
				t.Errorf("SCAN %q returns %q", options, key)
				break
			}
		}
	}
}

func TestScanOptions(t *testing.T) {
	c := startServer(t).dial()
	c.fill("a", "token_bucket", 40)
	c.fill("b", "leaky_bucket", 40)
	c.fill("c", "sliding_window_log", 40)
	for _, test := range []struct {
		options []string
		want    int
	}{
		{nil, 120},
		{[]string{"COUNT", "1"}, 120},
		{[]string{"count", "1000000000"}, 120},
		{[]string{"MATCH", "*"}, 120},
		{[]string{"MATCH", "b*"}, 40},
		{[]string{"match", "[bc]1?"}, 20},
		{[]string{"TYPE", "SLIDING_window_log"}, 40},
		{[]string{"TYPE", "string"}, 0},
		{[]string{"TYPE", "none"}, 0},
		{[]string{"MATCH", "a*", "TYPE", "leaky_bucket"}, 0},
		{[]string{"TYPE", "leaky_bucket", "COUNT", "7", "MATCH", "*3"}, 4},
	} {
		seen := c.scanAll(test.options...)
		if len(seen) != test.want {
			t.Errorf("SCAN %q: %d keys, want %d", test.options, len(seen), test.want)
		}
		for key, times := range seen {
			if times > 1 {
				t.Errorf("SCAN %q returns %q %d times, and nothing else went on", test.options, key, times)
			}
		}
	}
	for _, test := range []struct{ want, words string }{
		{"invalid cursor", "abc"},
		{"invalid cursor", "1x"},
		{"invalid cursor", "99999999999999999999"},
		{"syntax error", "0 COUNT 0"},
		{"syntax error", "0 COUNT -5"},
		{"syntax error", "0 MATCH"},
		{"syntax error", "0 FILTER x"},
		{"value is not an integer or out of range", "0 COUNT many"},
	} {
		c.mustFail(test.want, append([]string{"SCAN"}, strings.Fields(test.words)...)...)
	}
	c.mustFail("invalid cursor", "SCAN", "")
	c.mustFail("wrong number of arguments for 'scan' command", "SCAN")
	// A cursor that nobody gave out is no error, and ends.
	for _, cursor := range []string{"1", "12345", "18446744073709551615"} {
		if got := c.ask("SCAN", cursor, "COUNT", "1000"); got.kind != '*' {
			t.Errorf("SCAN %s: %c%q", cursor, got.kind, got.text)
		}
	}
}

// KEYS matches as a real Redis does.
func TestKeysMatchesAsRedisDoes(t *testing.T) {
	ours, theirs := startServer(t).dial(), startRedis(t).dial()
	names := []string{"a", "b", "ab", "abc", "a*c", "a?c", "a[b]c", `a\c`, "axxc", "A", "z", "-", "]", "^", "é", "\x00\xff", "a\nb", "user:1", "user:22", "abcabcabd"}
	for _, name := range names {
		ours.ask("RL.CHECK", name, "token_bucket", "1", "1h")
		theirs.ask("SET", name, "1")
	}
	for _, pattern := range []string{"*", "a", "a*", "?", "??", "a?c", `a\*c`, `a\?c`, `a\[b\]c`, "[ab]", "[^a]", "[a-c]", "[c-a]", "[^a-c]*",
		"[]", "[a", "[^", "[", "a[", `\`, `a\`, "[]]", `[\]]`, "[a-]", "[--a]", "*b*", "*c*d", "**a**", "a**c", "user:*", "user:?", "user:[0-9][0-9]", "", "\x00*", "nothing", "*abd", "*?*"} {
		want, got := slices.Sorted(slices.Values(theirs.ask("KEYS", pattern).texts())), slices.Sorted(slices.Values(ours.ask("KEYS", pattern).texts()))
		if !slices.Equal(got, want) {
			t.Errorf("KEYS %q: %q, and Redis %q", pattern, got, want)
		}
		if pattern == "" {
			continue
		}
		if scanned := slices.Sorted(maps.Keys(ours.scanAll("MATCH", pattern))); !slices.Equal(scanned, want) {
			t.Errorf("SCAN 0 MATCH %q: %q, and Redis %q", pattern, scanned, want)
		}
	}
}
