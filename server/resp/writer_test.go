package resp

import (
	"math"
	"strconv"
	"testing"
)

// Numbers are written in full, at each count of digits.
func TestWriterIntegers(t *testing.T) {
	numbers := []int64{math.MinInt64, math.MaxInt64, -1000, -999, -1, 0}
	for power := int64(1); power <= 1e18; power *= 10 {
		numbers = append(numbers, power-1, power, power+1, 9*power-1)
	}
	var w Writer
	want := "*" + strconv.Itoa(len(numbers)) + "\r\n"
	for _, n := range numbers {
		want += ":" + strconv.FormatInt(n, 10) + "\r\n"
	}
	if w.Integers(numbers...); string(w.Buf) != want {
		t.Errorf("%v is written as %q", numbers, w.Buf)
	}
}
