package engine

import (
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"time"
)

// Both sides of every bound, and errors that say which argument and which range.

func TestNewLimitBounds(t *testing.T) {
	const quarter = FillMax / 100 // one unit a quarter: a burst of 100 fills in exactly 100 years
	for _, c := range []struct {
		name     string
		limit    int64
		period   time.Duration
		burst    int64
		argument string // of the error; "" when accepted
		accepted string // the range in the error's text
	}{
		{"smallest limit", 1, time.Second, 0, "", ""},
		{"zero limit", 0, time.Second, 0, "limit", "1 to 1000000000"},
		{"negative limit", -1, time.Second, 0, "limit", "1 to 1000000000"},
		{"hostile limit", math.MinInt64, time.Second, 0, "limit", "1 to 1000000000"},
		{"largest limit", UnitsMax, time.Second, 0, "", ""},
		{"too large a limit", UnitsMax + 1, time.Second, 0, "limit", "1 to 1000000000"},
		{"hostile large limit", math.MaxInt64, time.Second, 0, "limit", "1 to 1000000000"},

		{"shortest period", 1, time.Millisecond, 0, "", ""},
		{"too short a period", 1, time.Millisecond - 1, 0, "period", "1ms to 366d"},
		{"zero period", 1, 0, 0, "period", "1ms to 366d"},
		{"negative period", 1, -time.Second, 0, "period", "1ms to 366d"},
		{"longest period", 1, 366 * days, 0, "", ""},
		{"too long a period", 1, 366*days + 1, 0, "period", "1ms to 366d"},
		{"hostile period", 1, math.MaxInt64, 0, "period", "1ms to 366d"},

		{"one unit a nanosecond", 1_000_000, time.Millisecond, 0, "", ""},
		{"more than one unit a nanosecond", 1_000_001, time.Millisecond, 0, "limit", "1 to 1000000"},
		{"one unit a nanosecond at most, off the millisecond", UnitsMax, time.Second - 1, 0, "limit", "1 to 999999999"},

		{"smallest burst", 10, time.Second, 1, "", ""},
		{"negative burst", 10, time.Second, -1, "burst", "1 to 1000000000"},
		{"largest burst", 10, time.Second, UnitsMax, "", ""},
		{"too large a burst", 10, time.Second, UnitsMax + 1, "burst", "1 to 1000000000"},
		{"hostile burst", 10, time.Second, math.MinInt64, "burst", "1 to 1000000000"},
		{"100 years to fill", 1, quarter, 100, "", ""},
		{"more than 100 years to fill", 1, quarter, 101, "burst", "1 to 100"},
		{"100 years and 100 ns to fill", 1, quarter + 1, 100, "burst", "1 to 99"},
		{"more than 100 years, and the product does not fit", 1, 366 * days, UnitsMax, "burst", "1 to 99"},
	} {
		l, err := NewLimit(c.limit, c.period, c.burst)
		if c.argument != "" {
			rejected(t, c.name, err, c.argument, c.accepted)
			if l != (Limit{}) {
				t.Errorf("%s: an error and yet %+v", c.name, l)
			}
			continue
		}
		want := c.burst
		if want == 0 {
			want = c.limit // the default
		}
		if err != nil || l.Limit() != c.limit || l.Period() != c.period || l.Burst() != want {
			t.Errorf("%s: %+v, %v", c.name, l, err)
		}
	}
}

// rejected wants an *ArgumentError that blames argument and states the accepted range.
func rejected(t *testing.T, name string, err error, argument, accepted string) {
	t.Helper()
	var bad *ArgumentError
	if !errors.As(err, &bad) {
		t.Errorf("%s: %v is no *ArgumentError", name, err)
		return
	}
	if bad.Argument != argument || !strings.Contains(bad.Problem, "accepted") || !strings.Contains(bad.Problem, accepted) {
		t.Errorf("%s: %q blames %q; want %q and the range %q", name, bad.Problem, bad.Argument, argument, accepted)
	}
	if bad.Error() != bad.Argument+" "+bad.Problem {
		t.Errorf("%s: %q", name, bad.Error())
	}
}

func TestCheckUnitsAndKey(t *testing.T) {
	for value, good := range map[int64]bool{0: false, -1: false, 1: true, UnitsMax: true, UnitsMax + 1: false} {
		if err := CheckUnits("tokens", value); good != (err == nil) {
			t.Errorf("%d: %v", value, err)
		} else if !good {
			rejected(t, "units", err, "tokens", "1 to 1000000000")
		}
	}
	for length, good := range map[int]bool{0: false, 1: true, KeyBytesMax: true, KeyBytesMax + 1: false} {
		if err := CheckKey(strings.Repeat("\x00", length)); good != (err == nil) {
			t.Errorf("%d bytes: %v", length, err)
		} else if !good {
			rejected(t, "key", err, "key", "1 to 1024 bytes")
		}
	}
}

// TestStoreBounds asks with one argument outside its range at a time; every operation must
// name it, and nothing may be stored.
func TestStoreBounds(t *testing.T) {
	ten := mustLimit(10, time.Second, 0)
	bursty := mustLimit(10, time.Second, 11)
	s, err := NewStore(Options{LogLimitMax: 20})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("k", KeyBytesMax)
	for _, c := range []struct {
		name      string
		key       string
		algorithm Algorithm
		limit     Limit
		cost, now int64
		argument  string
		accepted  string
	}{
		{"empty key", "", TokenBucket, ten, 1, noon, "key", "1 to 1024 bytes"},
		{"too long a key", long + "k", TokenBucket, ten, 1, noon, "key", "1 to 1024 bytes"},
		{"no algorithm", "k", 0, ten, 1, noon, "algorithm", "token_bucket, leaky_bucket, sliding_window_log"},
		{"hostile algorithm", "k", 255, ten, 1, noon, "algorithm", "token_bucket, leaky_bucket, sliding_window_log"},
		{"zero cost", "k", TokenBucket, ten, 0, noon, "cost", "1 to 1000000000"},
		{"negative cost", "k", LeakyBucket, ten, -1, noon, "cost", "1 to 1000000000"},
		{"hostile cost", "k", SlidingWindowLog, ten, math.MinInt64, noon, "cost", "1 to 1000000000"},
		{"too high a cost", "k", TokenBucket, ten, UnitsMax + 1, noon, "cost", "1 to 1000000000"},
		{"before the epoch", "k", TokenBucket, ten, 1, -1, "now", "0 to 6067612036854775"},
		{"after the last instant", "k", LeakyBucket, ten, 1, NowMicrosMax + 1, "now", "0 to 6067612036854775"},
		{"hostile instant", "k", SlidingWindowLog, ten, 1, math.MaxInt64, "now", "0 to 6067612036854775"},
		{"a burst for a log", "k", SlidingWindowLog, bursty, 1, noon, "burst", ""},
	} {
		for o := range opNames {
			_, err := ask(s, o, c.key, c.algorithm, c.limit, c.cost, c.now)
			rejected(t, c.name, err, c.argument, c.accepted)
		}
	}
	for o := range opNames {
		if _, err := ask(s, o, "k", TokenBucket, Limit{}, 1, noon); argumentOf(err) != "limit" {
			t.Errorf("the zero Limit: %v", err)
		}
		_, err := ask(s, o, "k", SlidingWindowLog, mustLimit(21, time.Second, 0), 1, noon)
		if !strings.HasPrefix(argumentOf(err), "limit") || !strings.Contains(err.Error(), "1 to 20") {
			t.Errorf("a log above the store's cap: %v", err)
		}
	}
	if s.Len() != 0 || len(contents(s, 0)) != 0 {
		t.Errorf("errors stored %v", contents(s, 0))
	}

	// The other side of each bound.
	for _, key := range []string{"k", long, "\x00", "\xff\r\n"} {
		for _, a := range Algorithms() {
			for _, now := range []int64{NowMicrosMax, 0} {
				if d, err := s.Check(key, a, mustLimit(20, time.Second, 0), 20, now); err != nil || !d.Allowed {
					t.Errorf("%q %v at %d: %+v, %v", key, a, now, d, err)
				}
				if !s.Reset(key, now) {
					t.Errorf("%q was not there", key)
				}
			}
		}
	}
}

func TestNewStoreBounds(t *testing.T) {
	for value, want := range map[int64]int64{0: LogLimitDefault, 1: 1, LogLimitMax: LogLimitMax} {
		if s, err := NewStore(Options{LogLimitMax: value}); err != nil || s.LogLimitMax() != want {
			t.Errorf("%d: %v", value, err)
		}
	}
	for _, value := range []int64{-1, LogLimitMax + 1, math.MinInt64, math.MaxInt64} {
		_, err := NewStore(Options{LogLimitMax: value})
		rejected(t, "log limit", err, "max-log-limit", "1 to 500000")
	}
}

func TestParseAlgorithm(t *testing.T) {
	for _, a := range Algorithms() {
		for _, name := range []string{a.String(), strings.ToUpper(a.String())} {
			if got, err := ParseAlgorithm(name); err != nil || got != a {
				t.Errorf("%q: %v, %v", name, got, err)
			}
		}
		if a.Summary() == "" || a.State() == "" {
			t.Errorf("%v has nothing for the reference page", a)
		}
	}
	for _, name := range []string{"", "none", "token_buckets", "token bucket", strings.Repeat("x", 1<<20)} {
		a, err := ParseAlgorithm(name)
		rejected(t, "name", err, "algorithm", "token_bucket, leaky_bucket, sliding_window_log")
		if a != 0 || len(err.Error()) > 400 {
			t.Errorf("%.20q: %v, an error of %d bytes", name, a, len(err.Error()))
		}
	}
}

// TestWrongType: every algorithm against a live key of every other, with every operation.
func TestWrongType(t *testing.T) {
	l := mustLimit(10, time.Second, 0)
	for _, owner := range Algorithms() {
		for _, asked := range Algorithms() {
			s := mustStore()
			idleAt := noon + ceilMicros(mustCheck(s, "key", owner, l, 1, noon).ResetAfter)
			before := contents(s, noon)
			for o, name := range opNames {
				for _, now := range []int64{noon, idleAt - 1} {
					_, err := ask(s, o, "key", asked, l, 1, now)
					var wrong *WrongTypeError
					switch {
					case owner == asked:
						continue // its own key
					case !errors.Is(err, ErrWrongType) || !errors.As(err, &wrong):
						t.Errorf("%s of %v on a key of %v: %v", name, asked, owner, err)
					case *wrong != WrongTypeError{Owner: owner, Asked: asked}:
						t.Errorf("%s of %v on a key of %v: %+v", name, asked, owner, wrong)
					case !strings.Contains(err.Error(), owner.String()) || !strings.Contains(err.Error(), asked.String()):
						t.Errorf("%q names not both", err)
					}
				}
			}
			if owner == asked {
				continue
			}
			if after := contents(s, noon); !maps.Equal(before, after) {
				t.Errorf("%v on a key of %v: %v became %v", asked, owner, before, after)
			}
			if d, err := s.Check("key", asked, l, 10, idleAt); err != nil || !d.Allowed {
				t.Errorf("%v on an idle key of %v: %+v, %v", asked, owner, d, err)
			}
		}
	}
}

// TestChangedLimit is the example of the reference: of 10 an hour all are used up, and then the
// limit is 20 an hour.
func TestChangedLimit(t *testing.T) {
	left := map[Algorithm]int64{TokenBucket: 0, LeakyBucket: 0, SlidingWindowLog: 10, FixedWindow: 10, SlidingWindowCounter: 10}
	for _, a := range Algorithms() {
		s := mustStore()
		mustCheck(s, "key", a, mustLimit(10, time.Hour, 0), 10, noon)
		d, err := s.Peek("key", a, mustLimit(20, time.Hour, 0), 1, noon)
		if want, known := left[a]; err != nil || d.Remaining != want || !known {
			t.Errorf("%v: %d of 20 are left, want %d; %v", a, d.Remaining, want, err)
		}
	}
}

// TestPrice: both sides of every rounding and bound, worked out by hand.
func TestPrice(t *testing.T) {
	for _, c := range []struct {
		limit, burst int64
		period       time.Duration
		cost, price  int64 // ns
		slack        int64
	}{
		{10, 0, time.Second, 1, 100_000_000, 900_000_000},
		{3, 0, time.Second, 1, 333_333_334, 666_666_668}, // three of them take 1 s + 2 ns
		{3, 0, time.Second, 2, 666_666_667, 333_333_335},
		{3, 0, time.Second, 3, 1_000_000_000, 2},
		{3, 0, time.Second, 4, 1_333_333_334, -1},
		{300_000_000, 0, time.Second, 1, 4, 999_999_999}, // less than a unit more than 1 s: 3 ns
		{300_000_000, 0, time.Second, 3, 10, 999_999_993},
		{300_000_000, 0, time.Second, 300_000_000, 1_000_000_000, 3},
		{134_217_728, 0, time.Second, 134_217_728, 1_000_000_000, 7},
		{UnitsMax, 0, time.Second, UnitsMax, 1_000_000_000, 0},
		{1, 0, PeriodMax, 1, int64(PeriodMax), 0},
		{1, 0, PeriodMax, UnitsMax, math.MaxInt64, -1}, // it does not fit
	} {
		l := mustLimit(c.limit, c.period, c.burst)
		if price, slack := l.Price(c.cost), l.Slack(c.cost); price != c.price || slack != c.slack {
			t.Errorf("%d of %d/%v burst %d: price %d, slack %d; want %d and %d", c.cost, c.limit, c.period, c.burst, price, slack, c.price, c.slack)
		}
	}
}
