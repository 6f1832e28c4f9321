package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unknown stands for a number that was not measured.
const unknown = "–"

// Count writes a count or a rate: whole, with commas.
func Count(n float64) string {
	if math.IsNaN(n) {
		return unknown
	}
	if n < 10 && n != math.Trunc(n) {
		return fmt.Sprintf("%.1f", n)
	}
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Short writes a count in at most five characters, for axes and narrow columns.
func Short(n float64) string {
	switch {
	case math.IsNaN(n):
		return unknown
	case n >= 1e9:
		return significant(n/1e9) + " G"
	case n >= 1e6:
		return significant(n/1e6) + " M"
	case n >= 1e4:
		return significant(n/1e3) + " k"
	default:
		return Count(n)
	}
}

// Span writes a time that is given in nanoseconds, with three digits.
func Span(ns float64) string {
	switch {
	case math.IsNaN(ns):
		return unknown
	case ns == 0:
		return "0"
	case ns < 999.5:
		return significant(ns) + " ns"
	case ns < 999.5e3:
		return significant(ns/1e3) + " µs"
	case ns < 999.5e6:
		return significant(ns/1e6) + " ms"
	default:
		return significant(ns/1e9) + " s"
	}
}

// significant writes a number with three digits.
func significant(x float64) string {
	decimals := 0
	switch {
	case math.Abs(x) < 9.995:
		decimals = 2
	case math.Abs(x) < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(x, 'f', decimals, 64)
}

// Tick writes numbers as text does, without zeros after the point, for axes.
func Tick(text func(float64) string) func(float64) string {
	return func(x float64) string {
		digits, unit, _ := strings.Cut(text(x), " ")
		if strings.Contains(digits, ".") {
			digits = strings.TrimRight(strings.TrimRight(digits, "0"), ".")
		}
		return strings.TrimSpace(digits + " " + unit)
	}
}

// Size writes a size of memory.
func Size(n float64) string {
	switch {
	case math.IsNaN(n):
		return unknown
	case n >= 1e9:
		return significant(n/1e9) + " GB"
	default:
		return significant(n/1e6) + " MB"
	}
}

// Times writes a ratio.
func Times(x float64) string {
	switch {
	case math.IsNaN(x):
		return unknown
	case x >= 9.995:
		return significant(x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// percent writes a share with as many nines as it has.
func percent(share float64) string {
	if math.IsNaN(share) {
		return unknown
	}
	text := strconv.FormatFloat(share*100, 'f', 4, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + " %"
}

// plain writes a duration as the command line takes it, without the zeros that Go writes.
func plain(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
