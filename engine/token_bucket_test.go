package engine

import (
	"testing"
	"time"
)

// The wanted values are worked out by hand from the contract: price(c) = ceil(c·period/limit), of
// which E is price(1) and capacity is at least price(B); a debt of T − now.

func TestTokenBucketTimelines(t *testing.T) {
	runTimelines(t, TokenBucket, tokenBucketTimelines())
}

func tokenBucketTimelines() []timeline {
	tenASecond := mustLimit(10, time.Second, 0) // E = 100 ms, B·E = 1 s
	return []timeline{
		{"a burst, then the rate", []phase{{tenASecond, []row{
			{noon, OpCheck, 10, allowed(10, 0, time.Second)},
			{noon, OpCheck, 1, denied(10, 0, 100*time.Millisecond, time.Second)},
			{noon + 99_999, OpCheck, 1, denied(10, 0, time.Microsecond, 900_001*time.Microsecond)}, // a µs too soon
			{noon + 100_000, OpCheck, 1, allowed(10, 0, time.Second)},                              // exactly when one unit is back
			{noon + 600_000, OpPeek, 5, allowed(10, 5, 500*time.Millisecond)},
			{noon + 600_000, OpPeek, 6, denied(10, 5, 100*time.Millisecond, 500*time.Millisecond)},
			{noon + 600_000, OpCheck, 5, allowed(10, 0, time.Second)}, // the peeks took nothing
			{noon + 1_600_000, OpPeek, 10, allowed(10, 10, 0)},        // full again
		}}}},
		{"the price is rounded up once a request", []phase{{mustLimit(7, time.Second, 0), []row{ // E = 142,857,143 ns, price(7) = 1 s
			{noon, OpCheck, 7, allowed(7, 0, time.Second)},
			{noon + 142_857, OpCheck, 1, denied(7, 0, 142, 857_143_000)}, // 142 ns short of a unit
			{noon + 142_858, OpPeek, 1, allowed(7, 1, 857_142_000)},
			{noon + sec, OpCheck, 1, allowed(7, 6, 142_857_143)},
			{noon + sec, OpCheck, 2, allowed(7, 4, 428_571_429)}, // price(2) = 285,714,286 ns
			{noon + sec, OpRefund, 2, allowed(7, 6, 142_857_143)},
			{noon + sec, OpCheck, 6, allowed(7, 0, time.Second+1)}, // price(6) = 857,142,858 ns
			{noon + sec, OpRefund, 7, allowed(7, 7, 1)},            // what was taken in two requests was 1 ns dearer
		}}}},
		{"a burst in single units", []phase{{mustLimit(3, time.Second, 0), []row{ // 3·E = 1 s + 2 ns
			{noon, OpCheck, 1, allowed(3, 2, 333_333_334)},
			{noon, OpCheck, 1, allowed(3, 1, 666_666_668)},
			{noon, OpCheck, 1, allowed(3, 0, time.Second+2)},
			{noon, OpCheck, 1, denied(3, 0, 333_333_334, time.Second+2)},
		}}}},
		{"less than one unit more than the burst", []phase{{mustLimit(300_000_000, time.Second, 0), []row{ // E = 4 ns, capacity = 1 s + 3 ns
			{noon, OpCheck, 299_999_999, allowed(300_000_000, 1, 999_999_997)},
			{noon, OpCheck, 1, allowed(300_000_000, 0, time.Second+1)},
			{noon, OpCheck, 1, denied(300_000_000, 0, 2, time.Second+1)},
			{noon + 1000, OpCheck, 300_000, allowed(300_000_000, 0, time.Second+1)}, // a ms is worth 300,000 units
		}}}},
		{"more than the burst never passes", []phase{{mustLimit(10, time.Second, 3), []row{ // E = 100 ms, B·E = 300 ms
			{noon, OpCheck, 4, denied(3, 3, Never, 0)},
			{noon, OpCheck, 3, allowed(3, 0, 300*time.Millisecond)}, // the denial took nothing
			{noon, OpCheck, 4, denied(3, 0, Never, 300*time.Millisecond)},
			{noon, OpPeek, UnitsMax, denied(3, 0, Never, 300*time.Millisecond)},
		}}}},
		{"a burst above the limit", []phase{{mustLimit(10, time.Second, 20), []row{ // B·E = 2 s
			{noon, OpCheck, 20, allowed(20, 0, 2*time.Second)},
			{noon + sec, OpCheck, 11, denied(20, 10, 100*time.Millisecond, time.Second)},
			{noon + sec, OpCheck, 10, allowed(20, 0, 2*time.Second)},
		}}}},
		{"refund", []phase{{tenASecond, []row{
			{noon, OpRefund, 1, allowed(10, 10, 0)}, // an absent key is full already
			{noon, OpCheck, 4, allowed(10, 6, 400*time.Millisecond)},
			{noon, OpRefund, 1, allowed(10, 7, 300*time.Millisecond)},
			{noon + 50*ms, OpRefund, 2, allowed(10, 9, 50*time.Millisecond)}, // debt 250 − 200 ms
			{noon + 50*ms, OpRefund, UnitsMax, allowed(10, 10, 0)},           // never beyond full
			{noon + 50*ms, OpCheck, 10, allowed(10, 0, time.Second)},
			{noon + 50*ms, OpRefund, 10, allowed(10, 10, 0)}, // to the nanosecond
			{noon + 50*ms, OpCheck, 10, allowed(10, 0, time.Second)},
			{noon + 50*ms, OpRefund, 11, allowed(10, 10, 0)},
		}}}},
		{"a backward clock", []phase{{tenASecond, []row{
			{noon, OpCheck, 5, allowed(10, 5, 500*time.Millisecond)},
			{noon - sec, OpPeek, 1, denied(10, 0, 600*time.Millisecond, 1500*time.Millisecond)}, // debt 1.5 s
			{noon - sec, OpCheck, 1, denied(10, 0, 600*time.Millisecond, 1500*time.Millisecond)},
			{noon, OpCheck, 5, allowed(10, 0, time.Second)}, // the stored instant stayed
			{noon - 100*ms, OpRefund, 2, allowed(10, 1, 900*time.Millisecond)},
			{noon, OpPeek, 2, allowed(10, 2, 800*time.Millisecond)},
		}}}},
		{"limit, period and burst change while the key lives", changingMeter(tenASecond)},
	}
}

// changingMeter keeps one stored instant and applies new numbers to it.
func changingMeter(tenASecond Limit) []phase {
	return []phase{
		{tenASecond, []row{
			{noon, OpCheck, 10, allowed(10, 0, time.Second)}, // T = noon + 1 s
		}},
		{mustLimit(100, time.Second, 0), []row{ // E = 10 ms, B·E = 1 s
			{noon, OpPeek, 1, denied(100, 0, 10*time.Millisecond, time.Second)},
			{noon + 500*ms, OpCheck, 1, allowed(100, 49, 510*time.Millisecond)},
		}},
		{mustLimit(10, 10*time.Second, 0), []row{ // E = 1 s, B·E = 10 s
			{noon + 500*ms, OpPeek, 9, allowed(10, 9, 510*time.Millisecond)}, // floor(9.49)
			{noon + 500*ms, OpCheck, 9, allowed(10, 0, 9510*time.Millisecond)},
		}},
		{mustLimit(10, 10*time.Second, 2), []row{ // B·E = 2 s, less than the debt
			{noon + 500*ms, OpCheck, 1, denied(2, 0, 8510*time.Millisecond, 9510*time.Millisecond)},
		}},
		{mustLimit(10, 10*time.Second, 20), []row{ // B·E = 20 s
			{noon + 500*ms, OpCheck, 10, allowed(20, 0, 19510*time.Millisecond)}, // floor(0.49)
		}},
	}
}

// TestTokenBucketAtTheEdges: the first and the last instant, the smallest and the largest
// numbers of the domain.
func TestTokenBucketAtTheEdges(t *testing.T) {
	const quarter = 8766 * time.Hour // a hundredth of FillMax: a burst of 100 fills in exactly 100 years
	const lastNanos = time.Duration(NowMicrosMax * 1000)
	runTimelines(t, TokenBucket, []timeline{
		{"instant 0", []phase{{mustLimit(1, time.Second, 0), []row{
			{0, OpPeek, 1, allowed(1, 1, 0)},
			{0, OpCheck, 1, allowed(1, 0, time.Second)},
			{0, OpCheck, 1, denied(1, 0, time.Second, time.Second)},
			{sec, OpCheck, 1, allowed(1, 0, time.Second)},
		}}}},
		{"E = 1 ns over the shortest period", []phase{{mustLimit(1_000_000, time.Millisecond, 0), []row{
			{noon, OpCheck, 1_000_000, allowed(1_000_000, 0, time.Millisecond)},
			{noon + 1, OpPeek, 1000, allowed(1_000_000, 1000, 999*time.Microsecond)},
			{noon + 1, OpPeek, 1001, denied(1_000_000, 1000, 1, 999*time.Microsecond)},
		}}}},
		{"the largest limit", []phase{{mustLimit(UnitsMax, time.Second, 0), []row{ // E = 1 ns
			{noon, OpCheck, UnitsMax, allowed(UnitsMax, 0, time.Second)},
			{noon + 1, OpCheck, 1000, allowed(UnitsMax, 0, time.Second)},
			{noon + 1, OpCheck, 1, denied(UnitsMax, 0, 1, time.Second)},
			{noon + 1, OpRefund, UnitsMax, allowed(UnitsMax, UnitsMax, 0)},
		}}}},
		{"one unit over the longest period", []phase{{mustLimit(1, PeriodMax, 0), []row{
			{noon, OpCheck, 1, allowed(1, 0, 366*days)},
			{noon + daysMicros(366) - 1, OpCheck, 1, denied(1, 0, time.Microsecond, time.Microsecond)},
			{noon + daysMicros(366), OpCheck, 1, allowed(1, 0, 366*days)},
		}}}},
		{"100 years of debt at the last instant", []phase{{mustLimit(1, quarter, 100), []row{
			{NowMicrosMax, OpCheck, 100, allowed(100, 0, FillMax)},
			{NowMicrosMax, OpCheck, 1, denied(100, 0, quarter, FillMax)},
			{NowMicrosMax, OpCheck, 101, denied(100, 0, Never, FillMax)},
			{0, OpPeek, 1, denied(100, 0, lastNanos+quarter, lastNanos+FillMax)},   // back by 192 years
			{0, OpPeek, 100, denied(100, 0, lastNanos+FillMax, lastNanos+FillMax)}, // nothing overflows
			{NowMicrosMax, OpRefund, 1, allowed(100, 1, FillMax-quarter)},          // and nothing was written
			{0, OpRefund, 99, allowed(100, 0, lastNanos)},                          // debt 192 + 1 − 1 years
			{NowMicrosMax, OpPeek, 100, allowed(100, 100, 0)},                      // full to the nanosecond
			{NowMicrosMax, OpCheck, UnitsMax, denied(100, 100, Never, 0)},          // an unaffordable cost forms no product
			{NowMicrosMax, OpRefund, UnitsMax, allowed(100, 100, 0)},               // nor does a refund
		}}}},
	})
}
