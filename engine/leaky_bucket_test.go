package engine

import (
	"testing"
	"time"
)

// TestLeakyBucketTimelines: the meter's answers, and with them how long to hold a request:
// delay = base − now, the debt before the step.
func TestLeakyBucketTimelines(t *testing.T) {
	tenASecond := mustLimit(10, time.Second, 0) // E = 100 ms, B·E = 1 s
	const quarter = 8766 * time.Hour            // a hundredth of FillMax
	runTimelines(t, LeakyBucket, []timeline{
		{"requests leave at the drain rate", []phase{{tenASecond, []row{
			{noon, OpCheck, 1, holding(10, 9, 100*time.Millisecond, 0)}, // goes at once
			{noon, OpCheck, 1, holding(10, 8, 200*time.Millisecond, 100*time.Millisecond)},
			{noon, OpCheck, 3, holding(10, 5, 500*time.Millisecond, 200*time.Millisecond)}, // waits for those before it, not for itself
			{noon, OpPeek, 1, holding(10, 5, 500*time.Millisecond, 500*time.Millisecond)},
			{noon, OpCheck, 6, denied(10, 5, 100*time.Millisecond, 500*time.Millisecond)}, // a denial is not held
			{noon + 50*ms, OpCheck, 5, holding(10, 0, 950*time.Millisecond, 450*time.Millisecond)},
			{noon + 99_999, OpPeek, 1, denied(10, 0, time.Microsecond, 900_001*time.Microsecond)}, // E drains in 100 ms
			{noon + 100_000, OpPeek, 1, holding(10, 1, 900*time.Millisecond, 900*time.Millisecond)},
			{noon + sec, OpCheck, 1, holding(10, 9, 100*time.Millisecond, 0)}, // drained: no queue, no delay
		}}}},
		{"a bucket of one never queues", []phase{{mustLimit(10, time.Second, 1), []row{
			{noon, OpCheck, 1, holding(1, 0, 100*time.Millisecond, 0)},
			{noon, OpCheck, 1, denied(1, 0, 100*time.Millisecond, 100*time.Millisecond)},
			{noon, OpCheck, 2, denied(1, 0, Never, 100*time.Millisecond)},
			{noon + 100*ms, OpCheck, 1, holding(1, 0, 100*time.Millisecond, 0)},
		}}}},
		{"a refund is not held", []phase{{tenASecond, []row{
			{noon, OpRefund, 1, holding(10, 10, 0, 0)},
			{noon, OpCheck, 5, holding(10, 5, 500*time.Millisecond, 0)},
			{noon, OpRefund, 2, holding(10, 7, 300*time.Millisecond, 0)},
			{noon, OpCheck, 1, holding(10, 6, 400*time.Millisecond, 300*time.Millisecond)}, // the queue is shorter
			{noon, OpRefund, 5, holding(10, 10, 0, 0)},
		}}}},
		{"the price is rounded up", []phase{{mustLimit(7, time.Second, 0), []row{ // price(1) = 142,857,143 ns, price(5) = 714,285,715 ns
			{noon, OpCheck, 1, holding(7, 6, 142_857_143, 0)},
			{noon, OpCheck, 1, holding(7, 5, 285_714_286, 142_857_143)},
			{noon + 1, OpCheck, 5, holding(7, 0, time.Second+1-1000, 285_713_286)},
		}}}},
		{"a backward clock", []phase{{tenASecond, []row{
			{noon, OpCheck, 1, holding(10, 9, 100*time.Millisecond, 0)},
			{noon - 50*ms, OpCheck, 1, holding(10, 7, 250*time.Millisecond, 150*time.Millisecond)}, // debt 150 ms before
			{noon, OpPeek, 1, holding(10, 8, 200*time.Millisecond, 200*time.Millisecond)},
		}}}},
		{"the drain slows down while requests queue", []phase{
			{tenASecond, []row{{noon, OpCheck, 5, holding(10, 5, 500*time.Millisecond, 0)}}},
			{mustLimit(1, time.Second, 4), []row{ // E = 1 s, B·E = 4 s
				{noon, OpCheck, 1, holding(4, 2, 1500*time.Millisecond, 500*time.Millisecond)},
				{noon, OpCheck, 3, denied(4, 2, 500*time.Millisecond, 1500*time.Millisecond)},
			}},
			{tenASecond, []row{
				{noon, OpCheck, 1, denied(10, 0, 600*time.Millisecond, 1500*time.Millisecond)}, // over full by the new numbers
			}},
		}},
		{"instant 0", []phase{{tenASecond, []row{
			{0, OpCheck, 9, holding(10, 1, 900*time.Millisecond, 0)},
			{0, OpCheck, 1, holding(10, 0, time.Second, 900*time.Millisecond)},
			{1, OpPeek, 1, denied(10, 0, 99_999*time.Microsecond, 999_999*time.Microsecond)},
		}}}},
		{"the largest delay at the last instant", []phase{{mustLimit(1, quarter, 100), []row{
			{NowMicrosMax, OpCheck, 99, holding(100, 1, FillMax-quarter, 0)},
			{NowMicrosMax, OpCheck, 1, holding(100, 0, FillMax, FillMax-quarter)},
			{NowMicrosMax, OpCheck, 1, denied(100, 0, quarter, FillMax)},
		}}}},
		{"the largest limit", []phase{{mustLimit(UnitsMax, time.Second, 0), []row{ // E = 1 ns
			{noon, OpCheck, UnitsMax - 1, holding(UnitsMax, 1, time.Second-1, 0)},
			{noon, OpCheck, 1, holding(UnitsMax, 0, time.Second, time.Second-1)},
			{noon, OpCheck, 1, denied(UnitsMax, 0, 1, time.Second)},
		}}}},
		{"the smallest", []phase{{mustLimit(1, time.Millisecond, 0), []row{
			{noon, OpCheck, 1, holding(1, 0, time.Millisecond, 0)},
			{noon + ms - 1, OpCheck, 1, denied(1, 0, time.Microsecond, time.Microsecond)},
			{noon + ms, OpCheck, 1, holding(1, 0, time.Millisecond, 0)},
		}}}},
	})
}
