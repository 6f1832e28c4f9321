package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/policy"
)

func question(t *testing.T, a engine.Algorithm, limit int64, period time.Duration, burst, cost int64) *Question {
	t.Helper()
	l, err := engine.NewLimit(limit, period, burst)
	if err != nil {
		t.Fatal(err)
	}
	return &Question{Rule: policy.Rule{Algorithm: a, Limit: l}, Cost: cost}
}

// What each target is sent, and how it reads replies: allowed, denied, and some that it does not give.
func TestTargets(t *testing.T) {
	bucket := question(t, engine.TokenBucket, 100, time.Minute, 0, 1)
	costly := question(t, engine.TokenBucket, 100, 1500*time.Second, 20, 3)
	window := question(t, engine.FixedWindow, 10, 1500*time.Millisecond, 0, 2)
	log := question(t, engine.SlidingWindowLog, 10, time.Minute, 0, 2)
	for _, c := range []struct {
		target          string
		question        *Question
		words           string
		allowed, denied string // empty: the target decides nothing
		wrong           []string
	}{
		{"rlserver", bucket, "RL.CHECK {key} token_bucket 100 1m", "*6 1 100 99 0 600 0", "*6 0 100 0 600 1 0", []string{":1", "*5 1 1 1 1 1", "*6 2 1 1 1 1 1", "-ERR no"}},
		{"rlserver", costly, "RL.CHECK {key} token_bucket 100 25m BURST 20 COST 3", "*6 1 100 99 0 600 0", "*6 0 100 0 600 1 0", nil},
		{"rlserver", window, "RL.CHECK {key} fixed_window 10 1500ms COST 2", "*6 1 100 99 0 600 0", "*6 0 100 0 600 1 0", nil},
		{"cl.throttle", bucket, "CL.THROTTLE {key} 99 100 60", "*5 0 100 99 -1 0", "*5 1 100 0 1 60", []string{"*6 1 1 1 1 1 1", "*5 -1 1 1 1 1"}},
		{"cl.throttle", costly, "CL.THROTTLE {key} 19 100 1500 3", "*5 0 100 99 -1 0", "*5 1 100 0 1 60", nil},
		{"throttle", costly, "THROTTLE {key} 20 100 1500 3", "*5 1 100 99 0 0", "*5 0 100 0 1 60", []string{"+OK"}},
		{"increx", window, "INCREX {key} BYINT 2 UBOUND 10 PX 1500 ENX", "*2 10 2", "*2 9 0", []string{"*2 10 1", ":1", "*1 2"}},
		{"incr", bucket, "INCR {key}", "", "", []string{"+OK", "*1 1"}},
		{"ping", bucket, "PING", "", "", []string{"+OK", ":1"}},
		{"redis_rate", costly, "EVALSHA f52a5b566060d79fd321d695df55bc918339c4aa 1 rate:{key} 20 100 1500 3", "*4 3 17 $-1 $0.6", "*4 0 0 $0.59 $60", []string{"*4 1 0 $1 $2", "*4 3 17 0 1", ":3", "$3"}},
		{"script", bucket, "evalsha * 1 {key} t c 600000 0 59400000 0", ":0", ":60000000000", []string{"+OK", "*2 1 1000", ":-1"}},
		{"script", window, "evalsha * 1 {key} f c 10 2 1500000", "*3 0 0 1700000000000000", "*3 1000000 9 1700000000000000", []string{":1", "*2 1 1"}},
		{"script", log, "evalsha * 1 {key} w c 10 2 60000000 0 100000", "*2 1 8", "*7 0 10 0 60000000 0 0 0", []string{"+OK", "*3 1 1 1"}},
	} {
		k := findKind(c.target)
		words, script, err := k.words(c.question)
		if err != nil || !k.takes(c.question) {
			t.Fatal(c.target, err)
		}
		got := strings.Join(words, " ")
		if words[0] == "evalsha" {
			got = strings.Replace(got, words[1], "*", 1)
		}
		if got != c.words || (script != "") != strings.EqualFold(words[0], "EVALSHA") {
			t.Errorf("%s is sent %q, want %q", c.target, got, c.words)
		}
		read := k.read(c.question)
		says := func(text string) verdict {
			var r reply
			if size, err := r.parse(spell(text)); size == 0 || err != nil {
				t.Fatalf("%s: %d, %v", text, size, err)
			}
			return read(&r)
		}
		if c.allowed == "" {
			if k.rule != nil || says(map[string]string{"incr": ":1", "ping": "+PONG"}[c.target]) != undecided {
				t.Errorf("%s decides", c.target)
			}
		} else if says(c.allowed) != allowed || says(c.denied) != denied || k.rule == nil {
			t.Errorf("%s: allowed is %d, denied is %d", c.target, says(c.allowed), says(c.denied))
		}
		for _, text := range c.wrong {
			if got := says(text); got != notUnderstood {
				t.Errorf("%s takes %q for %d", c.target, text, got)
			}
		}
	}
}

// spell writes a reply of which “*2 1 $a” is short: integers and texts in an array.
func spell(text string) []byte {
	words := strings.Split(text, " ")
	if words[0][0] != '*' {
		if words[0][0] == '$' {
			return []byte("$" + number(int64(len(text)-1)) + "\r\n" + text[1:] + "\r\n")
		}
		return []byte(text + "\r\n")
	}
	b := []byte(words[0] + "\r\n")
	for _, word := range words[1:] {
		if word[0] == '$' {
			b = append(b, spell(word)...)
		} else {
			b = append(b, ":"+word+"\r\n"...)
		}
	}
	return b
}

func TestTargetsThatCannotExpressALimit(t *testing.T) {
	odd := question(t, engine.TokenBucket, 10, 1500*time.Millisecond, 0, 1)
	window := question(t, engine.FixedWindow, 10, time.Second, 0, 1)
	counter := question(t, engine.SlidingWindowCounter, 10, time.Second, 0, 1)
	limit, err := engine.NewCalendarLimit(10, engine.Month)
	if err != nil {
		t.Fatal(err)
	}
	month := &Question{Rule: policy.Rule{Algorithm: engine.FixedWindow, Limit: limit}, Cost: 1}
	for _, c := range []struct {
		target   string
		question *Question
	}{
		{"cl.throttle", odd}, {"throttle", odd}, {"redis_rate", odd}, {"cl.throttle", window}, {"redis_rate", window}, {"increx", odd},
		{"increx", month}, {"increx", counter}, {"redis_rate", counter}, {"cl.throttle", month},
	} {
		o := Options{
			Targets: []Address{{Kind: c.target}}, Question: *c.question,
			Threads: 1, Connections: 1, Pipeline: 1, Rounds: 1, Keys: 1, Duration: time.Second,
		}
		if err := o.Check(); err == nil || !strings.HasPrefix(err.Error(), "target "+c.target+" cannot express this limit: it accepts ") {
			t.Errorf("%s: %v", c.target, err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	usual := Address{Network: "tcp", Address: "127.0.0.1:6380"}
	for text, want := range map[string]Address{
		"ping":            {"ping", "tcp", "127.0.0.1:6380"},
		"incr=[::1]:6379": {"incr", "tcp", "[::1]:6379"},
		"incr=/tmp/s":     {"incr", "unix", "/tmp/s"},
	} {
		if got, err := ParseAddress(text, usual); got != want || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"pong":   `there is no target "pong": expected one of rlserver, script, redis_rate, cl.throttle, throttle, increx, incr, ping`,
		"":       `there is no target ""`,
		"ping=":  `"" is no address for target ping: expected HOST:PORT`,
		"ping=x": `"x" is no address for target ping`,
	} {
		if _, err := ParseAddress(text, usual); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
