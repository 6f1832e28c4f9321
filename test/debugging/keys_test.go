package debugging

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// A key has the type of its algorithm and a TTL until it is idle, and then it is gone,
// for every command that looks.
func TestAKeyCanBeSeenUntilItIsIdle(t *testing.T) {
	t.Parallel()
	c := harness.StartServer(t).Dial()
	// lastsFor wants PTTL to be what is left of a span that began then, and TTL to be rounded up.
	lastsFor := func(key string, span time.Duration, began time.Time) {
		t.Helper()
		before, ttl, after := c.Ask("PTTL", key).Number(t), c.Ask("TTL", key).Number(t), c.Ask("PTTL", key).Number(t)
		if least := (span - time.Since(began)).Milliseconds() - 1; before > span.Milliseconds() || after < least {
			t.Errorf("%s: PTTL is %d and then %d; want at most %v and at least %d", key, before, after, span, least)
		}
		if ttl < (after+999)/1000 || ttl > (before+999)/1000 {
			t.Errorf("%s: TTL is %d where PTTL was %d and then %d", key, ttl, before, after)
		}
	}
	for _, a := range engine.Algorithms() {
		key, began, last := "k:"+a.String(), time.Now(), int64(0)
		for last < 1900 { // not a window that is about to end
			time.Sleep(time.Duration(last) * time.Millisecond)
			began = time.Now()
			answer, err := c.Ask("RL.CHECK", key, a.String(), "2", "2s", "COST", "2").Integers()
			if err != nil {
				t.Fatal(err)
			}
			last = answer[4]
		}
		c.MustSay(a.String(), "TYPE", key)
		if got := c.Ask("TYPE", key).Kind; got != '+' {
			t.Errorf("TYPE replies a %c, want a simple string", got)
		}
		c.MustSay("1", "EXISTS", key)
		lastsFor(key, time.Duration(last)*time.Millisecond, began)
		harness.Eventually(t, "PTTL falls, and is -2 in the end", func() bool {
			left := c.Ask("PTTL", key).Number(t)
			if left > last || left == 0 || left < -2 || left == -1 {
				t.Errorf("%v: PTTL is %d after %d", a, left, last)
			}
			last = left
			return left == -2
		})
		c.MustSay("none", "TYPE", key)
		c.MustSay("0", "EXISTS", key)
		c.MustSay("-2", "TTL", key)
		c.MustSay("0", "RL.RESET", key)
		if got := c.Ask("MEMORY", "USAGE", key); !got.Null {
			t.Errorf("%v: idle, MEMORY USAGE replies %c%q", a, got.Kind, got.Text)
		}
		if got := c.Ask("KEYS", "*"); len(got.Parts) != 0 {
			t.Errorf("%v: idle, KEYS lists %q", a, got.Texts())
		}
	}
	began := time.Now()
	c.Ask("RL.CHECK", "long", "token_bucket", "1", "90500ms")
	lastsFor("long", 90500*time.Millisecond, began)
	harness.Eventually(t, "idle keys are swept", func() bool { return c.Ask("DBSIZE").Text == "1" })
}

func TestKeysNamedTwiceCountTwiceOnlyForExists(t *testing.T) {
	c := harness.StartServer(t).Dial()
	c.Fill("", "token_bucket", 6) // 0 … 5
	c.MustSay("6", "DBSIZE")
	c.MustSay("3", "EXISTS", "0", "1", "missing", "0")
	c.MustSay("1", "DEL", "0", "0", "missing")
	c.MustSay("2", "UNLINK", "1", "2", "1")
	c.MustSay("1", "RL.RESET", "3", "3")
	c.MustSay("0", "DEL", "missing")
	c.MustSay("2", "EXISTS", "0", "1", "2", "3", "4", "5")
	c.MustSay("2", "DBSIZE")
}

func TestFlushForgetsEveryKey(t *testing.T) {
	c := harness.StartServer(t).Dial()
	for _, words := range [][]string{{"FLUSHALL"}, {"FLUSHDB"}, {"FLUSHALL", "ASYNC"}, {"FLUSHDB", "sync"}, {"flushall", "Sync"}, {"FLUSHDB", "async"}} {
		c.Fill("k", "leaky_bucket", 100)
		c.MustFail("syntax error", "FLUSHALL", "LATER")
		c.MustFail("syntax error", "FLUSHDB", "ASYNC", "SYNC")
		c.MustSay("100", "DBSIZE")
		c.MustSay("OK", words...)
		c.MustSay("0", "DBSIZE")
		c.MustSay("0", "EXISTS", "k0", "k99")
	}
}

func TestMemoryUsageTellsBytes(t *testing.T) {
	c := harness.StartServer(t).Dial()
	c.Ask("RL.CHECK", "bucket", "token_bucket", "10", "1h")
	c.Send(strings.Repeat(harness.Command("RL.CHECK", "log", "sliding_window_log", "1000", "1h"), 1000))
	for range 1000 {
		c.Value()
	}
	bucket, log := c.Ask("MEMORY", "USAGE", "bucket").Number(t), c.Ask("memory", "usage", "log", "samples", "5").Number(t)
	if bucket < 16 || bucket > 512 {
		t.Errorf("a bucket takes %d bytes", bucket)
	}
	if log < 8*1000 || log > 16*1000+512 {
		t.Errorf("a log of 1000 units takes %d bytes; want 8 to 16 for each", log)
	}
	// A short period's units stay as long as a longer period may count them.
	c.Ask("RL.CHECK", "mixed", "sliding_window_log", "5", "1h")
	c.Send(strings.Repeat(harness.Command("RL.CHECK", "mixed", "sliding_window_log", "2000", "1ms"), 1000))
	for range 1000 {
		c.Value()
	}
	if mixed := c.Ask("MEMORY", "USAGE", "mixed").Number(t); mixed < 8*1000 || mixed > 16*1000+512 {
		t.Errorf("a log of 1000 units of a short period, and one of a long, takes %d bytes; want 8 to 16 for each", mixed)
	}
	if six, err := c.Ask("RL.PEEK", "mixed", "sliding_window_log", "5", "1h").Integers(); err != nil || six[0] != 0 || six[2] != 0 {
		t.Errorf("the long period is told %v, %v", six, err)
	}
	for _, protocol := range []string{"2", "3"} {
		c.Ask("HELLO", protocol)
		if got := c.Ask("MEMORY", "USAGE", "missing"); !got.Null {
			t.Errorf("RESP%s: of a key that is not there, %c%q; want null", protocol, got.Kind, got.Text)
		}
	}
	c.MustFail("syntax error", "MEMORY", "USAGE", "bucket", "SAMPLES")
	c.MustFail("syntax error", "MEMORY", "USAGE", "bucket", "TIMES", "5")
	c.MustFail("syntax error", "MEMORY", "USAGE", "bucket", "SAMPLES", "-1")
	c.MustFail("not an integer", "MEMORY", "USAGE", "bucket", "SAMPLES", "some")
}

// scanAll scans from the start to the end and counts how often it saw each key.
func scanAll(c *harness.Conn, options ...string) map[string]int {
	c.T.Helper()
	seen, cursor := map[string]int{}, "0"
	for range 1_000_000 {
		reply := c.Ask(append([]string{"SCAN", cursor}, options...)...)
		if reply.Kind != '*' || len(reply.Parts) != 2 || reply.Parts[0].Kind != '$' || reply.Parts[1].Kind != '*' {
			c.T.Fatalf("SCAN replies %+v", reply)
		}
		for _, key := range reply.Parts[1].Texts() {
			seen[key]++
		}
		if cursor = reply.Parts[0].Text; cursor == "0" {
			return seen
		}
	}
	c.T.Fatalf("SCAN %q never ends", options)
	return nil
}

// A scan returns every key that is there from its beginning to its end, whatever comes and
// goes meanwhile.
func TestScanReturnsEveryKeyWhileOthersComeAndGo(t *testing.T) {
	const kept = 3000
	p := harness.StartServer(t)
	c := p.Dial()
	c.Fill("kept:", "token_bucket", kept)
	stop, turns := make(chan struct{}), 0
	var churning sync.WaitGroup
	churn := p.Dial()
	churning.Go(func() {
		const alive = 20 // turns, after which what came goes again
		for ; ; turns++ {
			select {
			case <-stop:
				return
			default:
			}
			churn.Fill(fmt.Sprintf("other:%d:", turns), "leaky_bucket", 500)
			if turns < alive {
				continue
			}
			gone := []string{"DEL"}
			for i := range 500 {
				gone = append(gone, fmt.Sprintf("other:%d:%d", turns-alive, i))
			}
			churn.MustSay("500", gone...)
		}
	})
	defer churning.Wait()
	defer close(stop)
	harness.Eventually(t, "keys come and go", func() bool { return c.Ask("DBSIZE").Number(t) > kept+5000 })
	for _, options := range [][]string{{"COUNT", "50"}, {"COUNT", "10"}, {"MATCH", "kept:*", "COUNT", "1000"}, {"TYPE", "token_bucket"}} {
		seen := scanAll(c, options...)
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
	c := harness.StartServer(t).Dial()
	c.Fill("a", "token_bucket", 40)
	c.Fill("b", "leaky_bucket", 40)
	c.Fill("c", "sliding_window_log", 40)
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
		seen := scanAll(c, test.options...)
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
		c.MustFail(test.want, append([]string{"SCAN"}, strings.Fields(test.words)...)...)
	}
	c.MustFail("invalid cursor", "SCAN", "")
	c.MustFail("wrong number of arguments for 'scan' command", "SCAN")
	// A cursor that SCAN never returned is no error, and ends.
	for _, cursor := range []string{"1", "12345", "18446744073709551615"} {
		if got := c.Ask("SCAN", cursor, "COUNT", "1000"); got.Kind != '*' {
			t.Errorf("SCAN %s: %c%q", cursor, got.Kind, got.Text)
		}
	}
}

// KEYS matches as a real Redis does.
func TestKeysMatchesAsRedisDoes(t *testing.T) {
	ours, theirs := harness.StartServer(t).Dial(), harness.StartRedis(t).Dial()
	names := []string{"a", "b", "ab", "abc", "a*c", "a?c", "a[b]c", `a\c`, "axxc", "A", "z", "-", "]", "^", "é", "\x00\xff", "a\nb", "user:1", "user:22", "abcabcabd"}
	for _, name := range names {
		ours.Ask("RL.CHECK", name, "token_bucket", "1", "1h")
		theirs.Ask("SET", name, "1")
	}
	for _, pattern := range []string{"*", "a", "a*", "?", "??", "a?c", `a\*c`, `a\?c`, `a\[b\]c`, "[ab]", "[^a]", "[a-c]", "[c-a]", "[^a-c]*",
		"[]", "[a", "[^", "[", "a[", `\`, `a\`, "[]]", `[\]]`, "[a-]", "[--a]", "*b*", "*c*d", "**a**", "a**c", "user:*", "user:?", "user:[0-9][0-9]", "", "\x00*", "nothing", "*abd", "*?*"} {
		want, got := slices.Sorted(slices.Values(theirs.Ask("KEYS", pattern).Texts())), slices.Sorted(slices.Values(ours.Ask("KEYS", pattern).Texts()))
		if !slices.Equal(got, want) {
			t.Errorf("KEYS %q: %q, and Redis %q", pattern, got, want)
		}
		if pattern == "" {
			continue
		}
		if scanned := slices.Sorted(maps.Keys(scanAll(ours, "MATCH", pattern))); !slices.Equal(scanned, want) {
			t.Errorf("SCAN 0 MATCH %q: %q, and Redis %q", pattern, scanned, want)
		}
	}
}
