//go:build linux

package policies

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/harness"
)

// A boundary is where windows of the calendar meet, and where the second of them ends.
type boundary struct {
	period  string
	at, end string // UTC
	why     string
}

const layout = "2006-01-02 15:04"

var boundaries = []boundary{
	{"week", "2027-01-04 00:00", "2027-01-11 00:00", "a week begins on Monday, and may begin in another year"},
	{"week", "2028-02-28 00:00", "2028-03-06 00:00", "a week with a leap day has seven days as well"},
	{"month", "2027-02-01 00:00", "2027-03-01 00:00", "of 31 days, before one of 28"},
	{"month", "2028-02-01 00:00", "2028-03-01 00:00", "before one of 29"},
	{"month", "2028-03-01 00:00", "2028-04-01 00:00", "of 29 days: the leap day is in it"},
	{"month", "2100-03-01 00:00", "2100-04-01 00:00", "of 28 days: 2100 is no leap year"},
	{"month", "2027-05-01 00:00", "2027-06-01 00:00", "of 30 days"},
	{"month", "2028-01-01 00:00", "2028-02-01 00:00", "the month ends with the year"},
	{"year", "2028-01-01 00:00", "2029-01-01 00:00", "before a leap year"},
	{"year", "2029-01-01 00:00", "2030-01-01 00:00", "after a leap year"},
	{"year", "2101-01-01 00:00", "2102-01-01 00:00", "after a year of a century"},
	{"day", "2028-02-29 00:00", "2028-03-01 00:00", "the leap day"},
	{"hour", "2027-12-31 23:00", "2028-01-01 00:00", "the last hour of a year"},
	{"minute", "2027-12-31 23:59", "2028-01-01 00:00", "its last minute"},
}

func instant(text string) time.Time {
	at, err := time.Parse(layout, text)
	if err != nil {
		panic(err)
	}
	return at
}

// A quota is a fixed window of 10 units under a clock that the test sets.
type quota struct {
	name string
	// ask takes units at an instant and returns the first five integers.
	ask func(at time.Time, key, period string, cost int64) []int64
}

// quotas are one in memory and two in Redis: of a limit and of a policy.
func quotas(t *testing.T) []quota {
	t.Helper()
	r, clock := harness.StartRedisWithClock(t, instant("2026-12-01 00:00"))
	c := harness.StartServer(t, "--backend", "redis", "--redis-timeout", "20s", "--redis-addr", r.Addr(), "--deny-cache-max", "0").Dial()
	for _, period := range []string{"minute", "hour", "day", "week", "month", "year"} {
		c.SetPolicy(period, "fixed_window 10 "+period)
	}
	inRedis := func(at time.Time, cost int64, words ...string) []int64 {
		clock.Set(at)
		got, err := c.Ask(append(words, "COST", costs[cost])...).Integers()
		if err != nil {
			t.Fatal(err)
		}
		return got[:5]
	}
	s, err := engine.NewStore(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return []quota{
		{"memory", func(at time.Time, key, period string, cost int64) []int64 {
			d, err := s.Check(key, engine.FixedWindow, windowLimit(t, period), cost, at.UnixMicro())
			if err != nil {
				t.Fatal(err)
			}
			allowed := int64(0)
			if d.Allowed {
				allowed = 1
			}
			return []int64{allowed, d.Limit, d.Remaining, d.RetryAfter.Milliseconds(), d.ResetAfter.Milliseconds()}
		}},
		{"redis", func(at time.Time, key, period string, cost int64) []int64 {
			return inRedis(at, cost, "RL.CHECK", key, "fixed_window", "10", period)
		}},
		{"redis, by a policy", func(at time.Time, key, period string, cost int64) []int64 {
			return inRedis(at, cost, "RL.CHECK", key, "@"+period)
		}},
	}
}

var costs = map[int64]string{1: "1", 10: "10"}

func windowLimit(t *testing.T, period string) engine.Limit {
	t.Helper()
	calendars := map[string]engine.Calendar{"week": engine.Week, "month": engine.Month, "year": engine.Year}
	spans := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	l, err := engine.NewLimit(10, max(spans[period], time.Second), 0)
	if c, isCalendar := calendars[period]; isCalendar {
		l, err = engine.NewCalendarLimit(10, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Of each two windows of the calendar all of one can be taken in its last millisecond, and then nothing
// more, and all of the next in its first.
func TestCalendarBoundaries(t *testing.T) {
	for _, q := range quotas(t) {
		for _, b := range boundaries {
			key := strings.ReplaceAll(b.period+b.at, " ", "")
			at := instant(b.at)
			length := instant(b.end).Sub(at).Milliseconds()
			for i, row := range []struct {
				at   time.Time
				cost int64
				want []int64
			}{
				{at.Add(-time.Millisecond), 10, []int64{1, 10, 0, 0, 1}},
				{at.Add(-time.Millisecond), 1, []int64{0, 10, 0, 1, 1}},
				{at, 10, []int64{1, 10, 0, 0, length}},
				{at, 1, []int64{0, 10, 0, length, length}},
				{instant(b.end).Add(-time.Millisecond), 1, []int64{0, 10, 0, 1, 1}},
				{instant(b.end), 1, nil},
			} {
				got := q.ask(row.at, key, b.period, row.cost)
				if row.want == nil {
					row.want = []int64{1, 10, 9, 0, got[4]}
				}
				if !slices.Equal(got, row.want) {
					t.Errorf("%s, %s, %s: %s; row %d: %v; want %v", q.name, b.period, b.at, b.why, i, got, row.want)
				}
			}
		}
	}
}

// A clock that steps back over a boundary forgives nothing: what was taken after the boundary is taken
// before it, and when the boundary comes again the units are not there once more. It is not held
// for longer than the window would have been either.
func TestCalendarClockStepsBack(t *testing.T) {
	at, before, end := instant("2027-02-01 00:00"), instant("2027-01-31 23:00"), instant("2027-03-01 00:00")
	for _, q := range quotas(t) {
		for i, row := range []struct {
			at      time.Time
			cost    int64
			allowed int64
		}{
			{at, 10, 1},
			{before, 1, 0},
			{at.Add(-time.Millisecond), 1, 0},
			{end, 10, 1},
		} {
			if got := q.ask(row.at, "back", "month", row.cost); got[0] != row.allowed {
				t.Errorf("%s, row %d, at %v: %v; want allowed %d", q.name, i, row.at, got, row.allowed)
			}
		}
	}
}
