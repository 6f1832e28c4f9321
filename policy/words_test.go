package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rlserver/rlserver/engine"
)

func split(text string) [][]byte { return bytes.Fields([]byte(text)) }

func TestQuestion(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"token_bucket 100 1s", "token_bucket 100 1s; 1 false"},
		{"Token_Bucket 100 60 cost 5 BURST 20", "token_bucket 100 1m BURST 20; 5 false"},
		{"token_bucket 100 1s FORCE COST 7 burst 100", "token_bucket 100 1s; 7 true"},
		{"token_bucket 100 1s COST 7 force", "token_bucket 100 1s; 7 true"},
		{"fixed_window 5 MONTH", "fixed_window 5 month; 1 false"},
		{"fixed_window 5 day", "fixed_window 5 1d; 1 false"},
		{"leaky_bucket 5 90s", "leaky_bucket 5 90s; 1 false"},
		{"sliding_window_counter 5 Hour", "sliding_window_counter 5 1h; 1 false"},
		{"@api", "@api; 1 false"},
		{"@api COST 3 FORCE", "@api; 3 true"},
		{"@", "@; 1 false"},
	} {
		var q Question
		if err := q.Read(split(test.words), ""); err != nil {
			t.Errorf("%s: %v", test.words, err)
			continue
		}
		got := "@" + q.Policy
		if q.Rule != (Rule{}) {
			got = q.Rule.String()
		}
		if got = fmt.Sprintf("%s; %d %v", got, q.Cost, q.Force); got != test.want {
			t.Errorf("%s is %s, want %s", test.words, got, test.want)
		}
	}
}

func TestQuestionErrors(t *testing.T) {
	for _, test := range []struct{ words, noForce, want string }{
		{"", "", ErrFewWords.Error()},
		{"token_bucket 1", "", ErrFewWords.Error()},
		{"bucket 1 1", "", `algorithm "bucket" is not known`},
		{"token_bucket 0 1", "", "limit 0 is out of range: accepted is a whole number from 1 to 1000000000"},
		{"token_bucket +1 1", "", "limit '+1' is not accepted: accepted is a whole number from 1 to 1000000000"},
		{"token_bucket 1 0", "", "period '0' is not accepted: accepted is a whole number of seconds, or one with ms, s, m, h or d, from 1ms to 366d"},
		{"fixed_window 1 fortnight", "", "from 1ms to 366d, or minute, hour, day, week, month or year"},
		{"token_bucket 1 month", "", "period month is not accepted by token_bucket: accepted is minute, hour, day or a number with ms, s, m, h or d; week, month and year are for fixed_window"},
		{"sliding_window_log 1 week", "", "period week is not accepted by sliding_window_log"},
		{"fixed_window 1 month BURST 5", "", "option BURST is not accepted by fixed_window: its limit is the most that it admits at once"},
		{"token_bucket 1 1 BURST", "", "option BURST needs a value"},
		{"token_bucket 1 1 COST 1 COST 1", "", "option COST is given twice"},
		{"token_bucket 1 1 FORCE FORCE", "", "option FORCE is given twice"},
		{"token_bucket 1 1 COSTS 1", "", "option 'COSTS' is not known: accepted is BURST n, COST n and FORCE"},
		{"token_bucket 1 1 COSTS 1", "RL.PEEK", "option 'COSTS' is not known: accepted is BURST n and COST n"},
		{"token_bucket 1 1 force", "RL.PEEK", "option FORCE is not accepted by RL.PEEK: accepted is BURST n and COST n; RL.CHECK and RL.MCHECK take FORCE"},
		{"@api FORCE", "RL.REFUND", "option FORCE is not accepted by RL.REFUND: accepted is COST n; RL.CHECK and RL.MCHECK take FORCE"},
		{"@api BURST 5", "", "option BURST is not accepted with a policy, which has its own: accepted is COST n and FORCE"},
		{"@api token_bucket", "RL.PEEK", "option 'token_bucket' is not known: accepted is COST n"},
		{"@api COST 0", "", "cost 0 is out of range"},
		{"token_bucket 1000000001 1", "", "limit 1000000001 is out of range"},
		{"token_bucket 1000001 1ms", "", "limit 1000001 is more than one unit a nanosecond"},
	} {
		err := new(Question).Read(split(test.words), test.noForce)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.words, err, test.want)
		}
	}
	if err := new(Question).Read(split("token_bucket 1"), ""); !errors.Is(err, ErrFewWords) {
		t.Error(err)
	}
}

func TestReadingAQuestionAllocatesNothing(t *testing.T) {
	for _, text := range []string{"token_bucket 100 60s BURST 20 COST 5", "fixed_window 100 month", "@api COST 5"} {
		words, q := split(text), new(Question)
		if n := testing.AllocsPerRun(100, func() {
			if err := q.Read(words, ""); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func TestDefinitionErrors(t *testing.T) {
	nine := strings.Repeat("+ token_bucket 1 1s ", 9)[2:]
	for _, test := range []struct{ text, want string }{
		{"", "no limit: accepted is 1 to 8 limits"},
		{"SHADOW", "no limit"},
		{"denied", "rule 1: 'denied' is not a limit: accepted is ALGORITHM LIMIT PERIOD [BURST n]"},
		{"deny SHADOW", "'SHADOW' behind DENY is not accepted: DENY stands alone"},
		{"token_bucket 1 1s +", "rule 2: the limit is missing: accepted is ALGORITHM LIMIT PERIOD [BURST n]"},
		{"token_bucket 1 1s + + token_bucket 1 1s", "rule 2: the limit is missing: accepted is ALGORITHM LIMIT PERIOD [BURST n]"},
		{"token_bucket 1 1s + token_bucket 2", "rule 2: 'token_bucket 2' is not a limit"},
		{"token_bucket 1 1s SHADOW + token_bucket 1 1s", "'+' behind SHADOW is not accepted"},
		{"token_bucket 1 1s COST 5", "rule 1: option COST is not accepted in a policy: accepted is BURST n, + before another limit, or SHADOW; each request says its own"},
		{"token_bucket 1 1s BRUST 5", "rule 1: option 'BRUST' is not known: accepted is BURST n, + before another limit, or SHADOW"},
		{"token_bucket 1 1s + sliding_window_log 1 1s BURST 5", "rule 2: option BURST is not accepted by sliding_window_log"},
		{"token_bucket 1 month", "rule 1: period month is not accepted by token_bucket"},
		{nine, "more than 8 limits"},
		{"token_bucket 5 1s BURST 9 + leaky_bucket 5 1s + token_bucket 5 1000ms", "rules 1 and 3 would count in the same state: accepted are rules that differ in algorithm or period, or in the limit of a bucket"},
		{"fixed_window 5 day + fixed_window 6 24h", "rules 1 and 2 would count in the same state"},
		{"sliding_window_log 100001 1s", "rule 1: limit of sliding_window_log 100001 is out of range: accepted is a whole number from 1 to 100000"},
	} {
		d, err := Parse(test.text)
		if err == nil {
			err = d.Check(100_000)
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.text, err, test.want)
		}
	}
	for _, test := range []struct{ words, want string }{
		{"token_bucket 1 1s", "'token_bucket' is not accepted: accepted is LIMIT ALGORITHM LIMIT PERIOD [BURST n], DENY or ALLOW"},
		{"", "no limit"},
		{"LIMIT", "rule 1: the limit is missing"},
		{"LIMIT token_bucket 1 1s + token_bucket 1 1s", "rule 1: option '+' is not known: accepted is BURST n, LIMIT before another limit, or SHADOW"},
		{"LIMIT token_bucket 1 1s SHADOW DENY", "'DENY' behind SHADOW is not accepted"},
	} {
		if _, err := Read(split(test.words)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.words, err, test.want)
		}
	}
	_, err := Read([][]byte{[]byte("LIMIT"), []byte("token_bucket 1 1s")})
	if want := "rule 1: 'token_bucket 1 1s' is not a limit: accepted is ALGORITHM LIMIT PERIOD [BURST n], each a word of its own"; fmt.Sprint(err) != want {
		t.Errorf("a limit in one word: %v, want %s", err, want)
	}
}

func TestDefinitionForms(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"DENY", "deny"},
		{" allow ", "allow"},
		{"token_bucket 100 60", "token_bucket 100 1m"},
		{"token_bucket 100 1s BURST 100", "token_bucket 100 1s"},
		{"TOKEN_BUCKET 100 1000ms burst 200+fixed_window 100000 Month shadow", "token_bucket 100 1s BURST 200 + fixed_window 100000 month SHADOW"},
		{"leaky_bucket 1 48h", "leaky_bucket 1 2d"},
		{"leaky_bucket 1 1500ms", "leaky_bucket 1 1500ms"},
	} {
		if got := must(t, test.text).String(); got != test.want {
			t.Errorf("%s is %s, want %s", test.text, got, test.want)
		}
	}
	d, err := Read(split("limit token_bucket 100 1s BURST 200 LIMIT fixed_window 5 week SHADOW"))
	if got := d.String(); err != nil || got != "token_bucket 100 1s BURST 200 + fixed_window 5 week SHADOW" {
		t.Error(got, err)
	}
}

// drawRule draws a rule.
func drawRule(t *rapid.T) Rule {
	r := Rule{Algorithm: rapid.SampledFrom(engine.Algorithms()).Draw(t, "algorithm")}
	limit := rapid.Int64Range(1, engine.UnitsMax).Draw(t, "limit")
	var err error
	if r.Algorithm == engine.FixedWindow && rapid.Bool().Draw(t, "calendar") {
		r.Limit, err = engine.NewCalendarLimit(limit, rapid.SampledFrom(calendars[:]).Draw(t, "period"))
	} else {
		u := unitOf(rapid.SampledFrom([]string{"ms", "s", "m", "h", "d"}).Draw(t, "unit"))
		period := u * time.Duration(rapid.Int64Range(1, int64(engine.PeriodMax/u)).Draw(t, "period"))
		burst := int64(0)
		if r.Algorithm.HasBurst() && rapid.Bool().Draw(t, "has burst") {
			burst = rapid.Int64Range(1, 1000).Draw(t, "burst")
		}
		r.Limit, err = engine.NewLimit(min(limit, int64(period)), period, burst)
	}
	if err != nil {
		t.Skip(err.Error()) // a burst that takes too long to fill
	}
	return r
}

func drawDefinition(t *rapid.T) (d Definition) {
	if d.Verdict = rapid.SampledFrom([]Verdict{Ask, Ask, Ask, Deny, Allow}).Draw(t, "verdict"); d.Verdict == Ask {
		d.Rules = rapid.SliceOfNDistinct(rapid.Custom(drawRule), 1, LimitsMax, func(r Rule) string { return Suffix("", r) }).Draw(t, "rules")
		d.Shadow = rapid.Bool().Draw(t, "shadow")
	}
	return d
}

// Reading is the inverse of writing.
func TestDefinitionsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDefinition(t)
		got, err := Parse(d.String())
		if err != nil || !got.Equal(d) || got.Check(engine.LogLimitMax) != nil && d.Check(engine.LogLimitMax) == nil {
			t.Fatalf("%s is read as %s (%v)", d, got, err)
		}
	})
}

// FuzzParse gives arbitrary text. What is accepted is written so that it is read as the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"deny", "token_bucket 100 1s BURST 200 + fixed_window 5 month SHADOW", "+", "a b c d", "token_bucket 1 1 +x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(d.String())
		if err != nil || !again.Equal(d) || again.String() != d.String() {
			t.Fatalf("%q is %s, which is read as %s (%v)", text, d, again, err)
		}
	})
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "API_v1.2-x", strings.Repeat("x", NameBytesMax)} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a b", "a\n", "@a", "ä", "a:b", strings.Repeat("x", NameBytesMax+1)} {
		if err := CheckName(name); err == nil || !strings.Contains(err.Error(), "accepted is 1 to 64 letters, digits, _ . and -") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := CheckName(strings.Repeat("x", 5000)); len(err.Error()) > 300 {
		t.Error(err)
	}
}

func BenchmarkQuestion(b *testing.B) {
	for _, text := range []string{"token_bucket 100 60", "token_bucket 100 60s BURST 200 COST 5", "fixed_window 100 month", "@api"} {
		b.Run(text, func(b *testing.B) {
			words, q := split(text), new(Question)
			for b.Loop() {
				if err := q.Read(words, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
