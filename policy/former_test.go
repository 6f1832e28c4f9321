package policy

import (
	"fmt"
	"testing"
)

// Each case is definitions one after the other, a second apart, and the plan at the end.
func TestFormers(t *testing.T) {
	for _, test := range []struct {
		why, want string
		texts     []string
	}{
		{"another burst keeps the state", "@p:t10/1s", []string{"token_bucket 10 1s", "token_bucket 10 1s BURST 99"}},
		{"another limit of a window keeps the state", "@p:f/month", []string{"fixed_window 10 month", "fixed_window 20 month"}},
		{"another limit of a log keeps the state", "@p:w/1m", []string{"sliding_window_log 10 1m", "sliding_window_log 20 60s"}},
		{"another rate of a bucket", "@p:t20/1m <@p:t10/1m 69", []string{"token_bucket 10 1m", "token_bucket 20 1m"}},
		{"a burst that takes longer to fill than the period", "@p:t20/1m <@p:t10/1m 189", []string{"token_bucket 10 1m BURST 30", "token_bucket 20 1m"}},
		{"a slice more", "@p:w/1h <@p:c/64s 68", []string{"sliding_window_counter 10 64s", "sliding_window_log 20 1h"}},
		{"the longest month", "@p:f/1d <@p:f/month 2678403", []string{"fixed_window 10 month", "fixed_window 20 1d"}},
		{"the same algorithm and period first", "@p:t20/1m <@p:t10/1m 69 @p:l7/1m <@p:l5/1m 75", []string{"leaky_bucket 5 1m + token_bucket 10 1m", "token_bucket 20 1m + leaky_bucket 7 1m"}},
		{"then the same period", "@p:t20/1h @p:w/1m <@p:t10/1m 69", []string{"token_bucket 10 1m", "token_bucket 20 1h + sliding_window_log 5 1m"}},
		{"then the same place", "@p:w/1s @p:w/1h <@p:t10/1m 69", []string{"sliding_window_log 1 1s + token_bucket 10 1m", "sliding_window_log 1 1s + sliding_window_log 5 1h"}},
		{"a rule that stays is followed by none", "@p:t20/1m @p:t10/1m", []string{"token_bucket 10 1m", "token_bucket 20 1m + token_bucket 10 1m"}},
		{"a rule more has none", "@p:t20/1m <@p:t10/1m 69 @p:w/1h", []string{"token_bucket 10 1m", "token_bucket 20 1m + sliding_window_log 5 1h"}},
		{"formers of formers", "@p:t30/1m <@p:t20/1m 67 <@p:t10/1m 69", []string{"token_bucket 10 1m", "token_bucket 20 1m", "token_bucket 30 1m"}},
		{"a former that is over", "@p:t30/1m <@p:t20/1m 70", []string{"token_bucket 10 1s", "token_bucket 20 1m", "token_bucket 20 1m", "token_bucket 20 1m", "token_bucket 20 1m", "token_bucket 30 1m"}},
		{"back again", "@p:t10/1m <@p:t20/1m 67", []string{"token_bucket 10 1m", "token_bucket 20 1m", "token_bucket 10 1m"}},
		{"no former is a rule", "@p:t20/1m @p:t10/1m", []string{"token_bucket 10 1m", "token_bucket 20 1m", "token_bucket 20 1m + token_bucket 10 1m"}},
		{"deny", "deny", []string{"token_bucket 10 1m", "deny"}},
		{"deny and back", "@p:t10/1m", []string{"token_bucket 10 1m", "deny", "token_bucket 10 1m"}},
		{"deny and on", "@p:t20/1m <@p:t10/1m 69", []string{"token_bucket 10 1m", "deny", "allow", "token_bucket 20 1m"}},
		{"deny keeps formers together", "@p:w/1h <@p:t4/1h 3604 @p:t30/1m <@p:t20/1m 67 <@p:t10/1m 69",
			[]string{"token_bucket 10 1m + token_bucket 4 1h BURST 3", "token_bucket 20 1m + token_bucket 4 1h BURST 3", "deny", "sliding_window_log 9 1h + token_bucket 30 1m"}},
		{"shadow is no other limit", "@p:t10/1m", []string{"token_bucket 10 1m", "token_bucket 10 1m SHADOW"}},
	} {
		at, s := new(clock), newSet(new(clock))
		s.now = func() int64 { return int64(*at) }
		for _, text := range test.texts {
			entries, err := s.Put("p", must(t, text))
			put(t, s, entries, err)
			*at += second
		}
		if got := show(s.Find("p").For("k")); got != test.want {
			t.Errorf("%s: %s, want %s", test.why, got, test.want)
		}
	}
}

func TestFormersAreBounded(t *testing.T) {
	s := newSet(new(clock))
	for i := range 2 * formersMax {
		entries, err := s.Put("p", must(t, fmt.Sprintf("token_bucket %d 1m", i+1)))
		put(t, s, entries, err)
	}
	if n := len(s.Find("p").Plan().Limits[0].Formers); n != formersMax {
		t.Errorf("%d formers", n)
	}
}
