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

// Memory is given back that is worth it, and that would last for a while as it is used now.
func TestHasSpare(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live, heap, free, allocated uint64
		want                        bool
	}{
		{0, 0, 0, 0, false},
		{1 * mb, 2 * mb, 2 * mb, 0, false},          // too little
		{1 * mb, 2 * mb, 3 * mb, 0, true},           // garbage and free memory together
		{50 * mb, 60 * mb, 30 * mb, 10 * mb, true},  // 40 MB last for four periods
		{50 * mb, 60 * mb, 30 * mb, 11 * mb, false}, // needed again at once
		{512 * mb, 512 * mb, 15 * mb, 0, false},     // a small part of the heap
		{512 * mb, 512 * mb, 16 * mb, 0, true},
		{60 * mb, 50 * mb, 1 * mb, 0, false}, // more was live than there is now
	} {
		collector := Collector{LiveBytes: c.live, HeapBytes: c.heap, FreeBytes: c.free}
		if got := collector.hasSpare(c.allocated); got != c.want {
			t.Errorf("%+v: %v", c, got)
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
