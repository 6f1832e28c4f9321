package process

import (
	"math"
	"testing"
)

// The garbage allowed is about 32 MB, or an eighth of the heap where that is more.
func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {1 << 20, 400}, {8 << 20, 400}, {16 << 20, 200}, {64 << 20, 50}, {256 << 20, 12}, {1 << 30, 12}, {1 << 40, 12},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d bytes live: %d %%, want %d", c.live, got, c.want)
		}
	}
	for _, c := range []struct {
		wanted, percent int
		want            bool
	}{{100, 100, false}, {105, 100, false}, {120, 100, true}, {95, 100, false}, {80, 100, true}, {12, 13, false}, {12, 400, true}} {
		if got := differs(c.wanted, c.percent); got != c.want {
			t.Errorf("%d after %d: %v", c.wanted, c.percent, got)
		}
	}
}

// The soft limit leaves room for all that maxmemory allows and for the connections' buffers,
// and never overflows.
func TestSoftLimit(t *testing.T) {
	if got := softLimit(Need{0, 1000}); got != math.MaxInt64 {
		t.Errorf("no bound: %d", got)
	}
	for _, buffers := range []int64{0, 128 << 10, softLimitSpare, 10_000 * 128 << 10, 1_000_000 * 128 << 10} {
		for _, most := range []int64{16 << 20, 1 << 30, 1 << 40, math.MaxInt64 / 2, math.MaxInt64/2 + 1, math.MaxInt64} {
			if got := softLimit(Need{most, buffers}); got-buffers < most+most/5 && got != math.MaxInt64 {
				t.Errorf("bound %d, %d bytes of buffers: soft limit %d", most, buffers, got)
			}
		}
	}
}
