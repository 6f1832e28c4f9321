package engine

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// calendarEndOf is when a week, month or year ends, as package time says.
func calendarEndOf(c Calendar, at time.Time) time.Time {
	year, month, day := at.Date()
	switch c {
	case Week:
		return time.Date(year, month, day+7-(int(at.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	case Month:
		return time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
	case Year, NoCalendar:
	}
	return time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC)
}

// Every day of the domain, and the last millisecond of it, is in the periods in which package time says
// that it is.
func TestCalendarEnds(t *testing.T) {
	for day := int64(0); day*daySeconds*1_000_000 <= NowMicrosMax; day++ {
		for _, millis := range []int64{day * daySeconds * 1000, (day+1)*daySeconds*1000 - 1} {
			for c := Week; c < calendarEnd; c++ {
				if want := calendarEndOf(c, time.UnixMilli(millis).UTC()).UnixMilli(); c.End(millis) != want {
					t.Fatalf("the %v of %v ends %d, want %d", c, time.UnixMilli(millis).UTC(), c.End(millis), want)
				}
			}
		}
	}
}

// Windows of the calendar, worked out by hand.
func TestCalendarWindows(t *testing.T) {
	for _, row := range []struct {
		c        Calendar
		now, end string
	}{
		{Week, "1970-01-01T00:00:00Z", "1970-01-05T00:00:00Z"}, // the epoch was a Thursday
		{Week, "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"}, // a Monday
		{Week, "2026-12-06T23:59:59.999999Z", "2026-12-07T00:00:00Z"},
		{Week, "2024-12-31T12:00:00Z", "2025-01-06T00:00:00Z"},
		{Month, "2024-01-31T23:59:59.999999Z", "2024-02-01T00:00:00Z"},
		{Month, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{Month, "2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z"},
		{Month, "2023-02-28T23:59:59Z", "2023-03-01T00:00:00Z"},
		{Month, "2000-02-29T00:00:00Z", "2000-03-01T00:00:00Z"}, // a leap year all the same
		{Month, "2100-02-28T23:59:59Z", "2100-03-01T00:00:00Z"}, // and none
		{Month, "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Year, "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		{Year, "2024-12-31T23:59:59.999999Z", "2025-01-01T00:00:00Z"},
		{Year, "2100-03-01T00:00:00Z", "2101-01-01T00:00:00Z"},
		{Year, "2162-04-10T00:00:00Z", "2163-01-01T00:00:00Z"},
	} {
		instant := func(text string) int64 {
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				t.Fatal(err)
			}
			return at.UnixMicro()
		}
		l, err := NewCalendarLimit(UnitsMax, row.c)
		if err != nil {
			t.Fatal(err)
		}
		s, now := mustStore(), instant(row.now)
		left := time.Duration(instant(row.end)-now) * time.Microsecond
		want := Decision{Allowed: true, Limit: UnitsMax, ResetAfter: left}
		if d := mustCheck(s, "key", FixedWindow, l, UnitsMax, now); d != want {
			t.Errorf("a %v at %s: %+v, want %+v", row.c, row.now, d, want)
		}
		want = Decision{Limit: UnitsMax, RetryAfter: left, ResetAfter: left}
		if d, err := s.Peek("key", FixedWindow, l, 1, now); d != want || err != nil {
			t.Errorf("a %v at %s, full: %+v, want %+v; %v", row.c, row.now, d, want, err)
		}
		if instant(row.end) > NowMicrosMax {
			continue
		}
		if d, err := s.Peek("key", FixedWindow, l, 1, instant(row.end)); d.Remaining != UnitsMax || err != nil {
			t.Errorf("a %v at its end %s: %+v, %v", row.c, row.end, d, err)
		}
	}
}

// Only fixed_window has windows of the calendar; everything else refuses a limit of one.
func TestCalendarOfOthers(t *testing.T) {
	month, err := NewCalendarLimit(5, Month)
	if err != nil || month.Period() != 31*24*time.Hour || month.Calendar() != Month {
		t.Fatalf("%+v, %v", month, err)
	}
	for _, a := range Algorithms() {
		_, err := mustStore().Check("key", a, month, 1, noon)
		var wrong *ArgumentError
		switch {
		case a == FixedWindow && err == nil:
		case a == FixedWindow || !errors.As(err, &wrong) || wrong.Argument != "period" || !strings.Contains(wrong.Problem, "fixed_window"):
			t.Errorf("%v: %v", a, err)
		}
	}
	for _, c := range []Calendar{NoCalendar, calendarEnd, 255} {
		if _, err := NewCalendarLimit(5, c); !errors.As(err, new(*ArgumentError)) || c.String() != "none" {
			t.Errorf("calendar %d, %v: %v", c, c, err)
		}
	}
}

func TestPeriodText(t *testing.T) {
	for period, want := range map[time.Duration]string{
		time.Second: "1s", 1500 * time.Millisecond: "1500ms", time.Minute: "1m", 15 * time.Minute: "15m", 90 * time.Second: "90s",
		time.Hour: "1h", 24 * time.Hour: "1d", 36 * time.Hour: "36h", PeriodMax: "366d", PeriodMin: "1ms",
		1_000_003 * time.Nanosecond: "1.000003ms", 7 * 24 * time.Hour: "7d",
	} {
		if got := mustLimit(1, period, 0).PeriodText(); got != want {
			t.Errorf("%v is %q, want %q", period, got, want)
		}
	}
	for c, want := range map[Calendar]string{Week: "week", Month: "month", Year: "year"} {
		if l, err := NewCalendarLimit(1, c); err != nil || l.PeriodText() != want {
			t.Errorf("%v is %q, %v", c, l.PeriodText(), err)
		}
	}
}

// Letters are part of the names of states, which outlive the server.
func TestLetters(t *testing.T) {
	all := ""
	for _, a := range Algorithms() {
		all += string(a.Letter())
	}
	if all != "tlwfc" || Algorithm(0).Letter() != 0 {
		t.Errorf("letters are %q", all)
	}
}
