package engine

import (
	"fmt"
	"time"
)

// A Calendar is a period of the calendar in UTC, whose length depends on the date. The periods minute,
// hour and day are as long as 60, 3,600 and 86,400 s everywhere, and so are none of these.
type Calendar uint8

// The calendars.
const (
	NoCalendar Calendar = iota
	Week                // from Monday 00:00
	Month
	Year

	calendarEnd // one past the last
)

var calendars = [calendarEnd]struct {
	name string
	days int64 // of the longest
}{
	NoCalendar: {"none", 0},
	Week:       {"week", 7},
	Month:      {"month", 31},
	Year:       {"year", 366},
}

// String is the calendar's name on the wire, or "none".
func (c Calendar) String() string {
	if c >= calendarEnd {
		c = NoCalendar
	}
	return calendars[c].name
}

// NewCalendarLimit makes a limit of so many units for each week, month or year. Period is the longest
// that such a period can be: 7, 31 or 366 days. Anything out of range is an *ArgumentError.
func NewCalendarLimit(limit int64, c Calendar) (Limit, error) {
	if c == NoCalendar || c >= calendarEnd {
		return Limit{}, &ArgumentError{"period", fmt.Sprintf("of calendar %d is not known: accepted is week, month or year", c)}
	}
	l, err := NewLimit(limit, time.Duration(calendars[c].days)*24*time.Hour, 0)
	if err != nil {
		return Limit{}, err
	}
	l.calendar, l.special = c, specialCalendar
	return l, nil
}

// Calendar is the period of the calendar that the limit is for, or NoCalendar.
func (l Limit) Calendar() Calendar { return l.calendar }

// PeriodText is the period as it is written: the calendar's name, or a whole number with the largest of
// ms, s, m, h and d that divides it. A period that has no whole milliseconds, which only Go callers can
// ask for, is written as Go does.
func (l Limit) PeriodText() string {
	if l.calendar != NoCalendar {
		return l.calendar.String()
	}
	period := time.Duration(l.period)
	for _, u := range [...]struct {
		span   time.Duration
		suffix string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if period%u.span == 0 {
			return fmt.Sprintf("%d%s", period/u.span, u.suffix)
		}
	}
	return period.String()
}

const (
	daySeconds = 86_400
	// Days of the calendar in Gregorian cycles of 400 years, which repeat to the day.
	cycleDays = 146_097
	// epochDays is from 0000-03-01 to the Unix epoch.
	epochDays = 719_468
)

// End is the instant at which the week, month or year ends that an instant is in, both in milliseconds
// since the Unix epoch. Instants are 0 or later.
func (c Calendar) End(millis int64) int64 {
	days := millis / (daySeconds * 1000)
	switch c {
	case Week: // the epoch was a Thursday, three days into its week
		days += 7 - (days+3)%7
	case Month:
		year, month := monthOf(days)
		days = monthStart(year, month+1)
	case Year:
		year, _ := monthOf(days)
		days = monthStart(year, 13)
	case NoCalendar, calendarEnd:
		panic("engine: the end of a period that is none of the calendar's")
	}
	return days * daySeconds * 1000
}

// monthOf is the year and the month, 1 … 12, of a day, counted from the Unix epoch. It counts years that
// begin in March, so that a leap day is the last of its year: the algorithm of Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms".
func monthOf(days int64) (year, month int64) {
	days += epochDays
	cycle, day := days/cycleDays, days%cycleDays
	yearOfCycle := (day - day/1460 + day/36_524 - day/(cycleDays-1)) / 365
	day -= 365*yearOfCycle + yearOfCycle/4 - yearOfCycle/100 // of the year
	month = (5*day+2)/153 + 3
	year = cycle*400 + yearOfCycle
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month
}

// monthStart is the first day of a month, 1 … 13, counted from the Unix epoch; month 13 is January of the
// year after.
func monthStart(year, month int64) int64 {
	if month -= 3; month < 0 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*month+2)/5 - epochDays
}
