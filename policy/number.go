package policy

import (
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/rlserver/rlserver/engine"
)

// view looks at a word as a string without a copy.
func view(word []byte) string { return unsafe.String(unsafe.SliceData(word), len(word)) }

// numberDigitsMax is the most digits of a number.
const numberDigitsMax = 18

// Number reads a decimal number of at most 18 digits, with an optional minus and without needless
// zeros.
func Number(word string) (n int64, ok bool) {
	digits, isNegative := strings.CutPrefix(word, "-")
	if digits == "" || len(digits) > numberDigitsMax || digits[0] == '0' && len(word) > 1 {
		return 0, false
	}
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if isNegative {
		n = -n
	}
	return n, true
}

// Span reads a time of 0 or more: whole seconds, or a whole number with ms, s, m, h or d.
func Span(word string) (span time.Duration, ok bool) {
	digits := len(word)
	for digits > 0 && (word[digits-1] < '0' || word[digits-1] > '9') {
		digits--
	}
	unit := unitOf(word[digits:])
	n, ok := Number(word[:digits])
	if !ok || n < 0 || unit == 0 || n > int64(math.MaxInt64/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// unitOf is the unit behind the number of a span, seconds if there is none, or 0 if it is not known.
func unitOf(suffix string) time.Duration {
	switch suffix {
	case "", "s":
		return time.Second
	case "ms":
		return time.Millisecond
	case "m":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return 24 * time.Hour
	}
	return 0
}

// The periods that have names of their own.
var (
	namedSpans = [...]struct {
		name string
		span time.Duration
	}{{"minute", time.Minute}, {"hour", time.Hour}, {"day", 24 * time.Hour}}
	calendars = [...]engine.Calendar{engine.Week, engine.Month, engine.Year}
)

// readPeriod reads the period of a limit: a span of engine.PeriodMin to engine.PeriodMax, minute, hour
// or day, or a period of the calendar.
func readPeriod(word string) (span time.Duration, calendar engine.Calendar, ok bool) {
	if span, ok = Span(word); ok {
		return span, 0, engine.PeriodMin <= span && span <= engine.PeriodMax
	}
	for _, named := range namedSpans {
		if is(word, named.name) {
			return named.span, 0, true
		}
	}
	for _, c := range calendars {
		if is(word, c.String()) {
			return 0, c, true
		}
	}
	return 0, 0, false
}

// is compares a word with a name in lower case. Words are of ASCII, in any case.
func is(word, name string) bool {
	if len(word) != len(name) {
		return false
	}
	for i := range len(name) {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
