package engine

import (
	"testing"
	"time"
)

// A unit admitted at s counts while now − s < period. The wanted values are worked out by
// hand from that.

func TestSlidingWindowLogTimelines(t *testing.T) {
	threeASecond := mustLimit(3, time.Second, 0)
	runTimelines(t, SlidingWindowLog, []timeline{
		{"the window slides", []phase{{threeASecond, []row{
			{noon, OpPeek, 3, allowed(3, 3, 0)}, // empty
			{noon, OpCheck, 4, denied(3, 3, Never, 0)},
			{noon, OpCheck, 1, allowed(3, 2, time.Second)},
			{noon + 400*ms, OpCheck, 2, allowed(3, 0, time.Second)},
			{noon + 400*ms, OpCheck, 1, denied(3, 0, 600*time.Millisecond, time.Second)}, // the oldest leaves at 1 s
			{noon + 999_999, OpCheck, 1, denied(3, 0, time.Microsecond, 400_001*time.Microsecond)},
			{noon + sec, OpPeek, 2, denied(3, 1, 400*time.Millisecond, 400*time.Millisecond)},
			{noon + sec, OpCheck, 1, allowed(3, 0, time.Second)}, // exactly one period: it has left
			{noon + sec, OpPeek, 2, denied(3, 0, 400*time.Millisecond, time.Second)},
			{noon + sec, OpPeek, 3, denied(3, 0, time.Second, time.Second)}, // all three must leave
			{noon + sec, OpPeek, 4, denied(3, 0, Never, time.Second)},
			{noon + 2*sec, OpPeek, 3, allowed(3, 3, 0)}, // idle
			{noon + 2*sec, OpCheck, 3, allowed(3, 0, time.Second)},
			{noon + 9*sec, OpCheck, 3, allowed(3, 0, time.Second)},
		}}}},
		{"a refund takes the newest units", []phase{{mustLimit(10, time.Second, 0), []row{
			{noon, OpRefund, 1, allowed(10, 10, 0)}, // nothing to leave
			{noon, OpCheck, 5, allowed(10, 5, time.Second)},
			{noon + 100*ms, OpCheck, 3, allowed(10, 2, time.Second)},
			{noon + 100*ms, OpRefund, 1, allowed(10, 3, time.Second)},          // two of the three stay
			{noon + 100*ms, OpRefund, 2, allowed(10, 5, 900*time.Millisecond)}, // they go: the newest is at 0
			{noon + 100*ms, OpRefund, 2, allowed(10, 7, 900*time.Millisecond)}, // three of the five stay
			{noon + 100*ms, OpCheck, 7, allowed(10, 0, time.Second)},
			{noon + 200*ms, OpCheck, 4, denied(10, 0, 900*time.Millisecond, 900*time.Millisecond)}, // 3 leave at 1 s, the 4th at 1.1 s
			{noon + 200*ms, OpCheck, 3, denied(10, 0, 800*time.Millisecond, 900*time.Millisecond)},
			{noon + sec, OpPeek, 3, allowed(10, 3, 100*time.Millisecond)},
			{noon + sec, OpRefund, UnitsMax, allowed(10, 10, 0)}, // never beyond empty
			{noon + sec, OpCheck, 10, allowed(10, 0, time.Second)},
		}}}},
		{"a refund across several requests", []phase{{mustLimit(10, time.Second, 0), []row{
			{noon, OpCheck, 2, allowed(10, 8, time.Second)},
			{noon + 1, OpCheck, 2, allowed(10, 6, time.Second)},
			{noon + 2, OpCheck, 2, allowed(10, 4, time.Second)},
			{noon + 3, OpCheck, 2, allowed(10, 2, time.Second)},
			{noon + 3, OpRefund, 5, allowed(10, 7, 999_998*time.Microsecond)}, // 2 at 0 and 1 at 1 stay
			{noon + 3, OpCheck, 7, allowed(10, 0, time.Second)},
			{noon + sec, OpCheck, 2, allowed(10, 0, time.Second)},
			{noon + sec, OpCheck, 1, denied(10, 0, time.Microsecond, time.Second)},
		}}}},
		{"a backward clock counts as the newest unit's", []phase{{mustLimit(2, time.Second, 0), []row{
			{noon, OpCheck, 1, allowed(2, 1, time.Second)},
			{noon - sec, OpCheck, 1, allowed(2, 0, time.Second)}, // logged at noon
			{noon - 2*sec, OpCheck, 1, denied(2, 0, time.Second, time.Second)},
			{noon + 999_999, OpCheck, 1, denied(2, 0, time.Microsecond, time.Microsecond)},
			{noon + sec, OpCheck, 2, allowed(2, 0, time.Second)},
		}}}},
		{"a period that is no whole number of µs", []phase{{mustLimit(1, time.Millisecond+1, 0), []row{
			{noon, OpCheck, 1, allowed(1, 0, time.Millisecond+1)},
			{noon + ms, OpCheck, 1, denied(1, 0, 1, 1)}, // one period is 1 ns away
			{noon + ms + 1, OpCheck, 1, allowed(1, 0, time.Millisecond+1)},
		}}}},
		{"instant 0", []phase{{mustLimit(1, time.Second, 0), []row{
			{0, OpCheck, 1, allowed(1, 0, time.Second)},
			{0, OpCheck, 1, denied(1, 0, time.Second, time.Second)},
			{sec, OpCheck, 1, allowed(1, 0, time.Second)},
		}}}},
		{"the last instant and the longest period", []phase{{mustLimit(2, PeriodMax, 0), []row{
			{NowMicrosMax, OpCheck, 1, allowed(2, 1, 366*days)},
			{NowMicrosMax, OpCheck, 2, denied(2, 1, 366*days, 366*days)},
			{0, OpCheck, 1, allowed(2, 0, 366*days)}, // back by 192 years: counts as the last instant
			{0, OpPeek, UnitsMax, denied(2, 0, Never, 366*days)},
			{NowMicrosMax, OpRefund, 1, allowed(2, 1, 366*days)},
		}}}},
	})
}

func TestSlidingWindowLogWhenTheLimitChanges(t *testing.T) {
	runTimelines(t, SlidingWindowLog, []timeline{
		{"limit", []phase{
			{mustLimit(5, time.Second, 0), []row{
				{noon, OpCheck, 2, allowed(5, 3, time.Second)},
				{noon + 100*ms, OpCheck, 2, allowed(5, 1, time.Second)},
				{noon + 200*ms, OpCheck, 1, allowed(5, 0, time.Second)},
			}},
			{mustLimit(2, time.Second, 0), []row{ // four must leave before one more fits
				{noon + 300*ms, OpCheck, 1, denied(2, 0, 800*time.Millisecond, 900*time.Millisecond)},
				{noon + 300*ms, OpCheck, 2, denied(2, 0, 900*time.Millisecond, 900*time.Millisecond)},
				{noon + 300*ms, OpCheck, 3, denied(2, 0, Never, 900*time.Millisecond)},
				{noon + 300*ms, OpRefund, 1, allowed(2, 0, 800*time.Millisecond)}, // four left, still over
			}},
			{mustLimit(10, time.Second, 0), []row{
				{noon + 300*ms, OpCheck, 6, allowed(10, 0, time.Second)},
			}},
		}},
		{"a shorter period looks at less and a peek forgets nothing", []phase{
			{mustLimit(2, 10*time.Second, 0), []row{
				{noon, OpCheck, 1, allowed(2, 1, 10*time.Second)},
				{noon + 5*sec, OpCheck, 1, allowed(2, 0, 10*time.Second)},
			}},
			{mustLimit(2, time.Second, 0), []row{
				{noon + 6500*ms, OpPeek, 2, allowed(2, 2, 0)},
				{noon + 6500*ms, OpRefund, 2, allowed(2, 2, 0)}, // nothing in the window to leave: nothing written
			}},
			{mustLimit(2, 2*time.Second, 0), []row{
				{noon + 6500*ms, OpPeek, 2, denied(2, 1, 500*time.Millisecond, 500*time.Millisecond)},
			}},
			{mustLimit(2, 10*time.Second, 0), []row{
				{noon + 6500*ms, OpPeek, 1, denied(2, 0, 3500*time.Millisecond, 8500*time.Millisecond)},
			}},
		}},
		{"a shorter period forgets nothing", []phase{
			{mustLimit(3, 10*time.Second, 0), []row{
				{noon, OpCheck, 1, allowed(3, 2, 10*time.Second)},
				{noon + 5*sec, OpCheck, 1, allowed(3, 1, 10*time.Second)},
			}},
			{mustLimit(3, 2*time.Second, 0), []row{
				{noon + 6*sec, OpCheck, 1, allowed(3, 1, 2*time.Second)}, // noon does not count
			}},
			{mustLimit(4, 10*time.Second, 0), []row{
				{noon + 6*sec, OpCheck, 1, allowed(4, 0, 10*time.Second)}, // three found, one logged
				{noon + 6*sec, OpCheck, 1, denied(4, 0, 4*time.Second, 10*time.Second)},
				{noon + 10*sec, OpPeek, 1, allowed(4, 1, 6*time.Second)},
			}},
		}},
		{"nine units in a minute under five", []phase{
			{mustLimit(5, time.Minute, 0), []row{{noon, OpCheck, 5, allowed(5, 0, time.Minute)}}},
			{mustLimit(5, time.Second, 0), []row{
				{noon + 1100*ms, OpCheck, 1, allowed(5, 4, time.Second)},
			}},
			{mustLimit(5, time.Minute, 0), []row{
				{noon + 1100*ms, OpCheck, 4, denied(5, 0, 58900*time.Millisecond, time.Minute)},
			}},
		}},
		{"a longer period counts what has not left yet", []phase{
			{mustLimit(2, time.Second, 0), []row{{noon, OpCheck, 2, allowed(2, 0, time.Second)}}},
			{mustLimit(2, 10*time.Second, 0), []row{ // so it need not wait longer than that
				{noon + 400*ms, OpCheck, 1, denied(2, 0, 600*time.Millisecond, 600*time.Millisecond)},
				{noon + sec, OpPeek, 2, allowed(2, 2, 0)},
				{noon + sec, OpCheck, 2, allowed(2, 0, 10*time.Second)},
			}},
			{mustLimit(2, time.Second, 0), []row{ // the log is idle at 11 s, yet this window is empty
				{noon + 5*sec, OpCheck, 1, allowed(2, 1, time.Second)},
			}},
			{mustLimit(2, 20*time.Second, 0), []row{ // and a denial does not make units stay
				{noon + 6*sec, OpCheck, 1, denied(2, 0, 5*time.Second, 9*time.Second)},
				{noon + 11*sec, OpPeek, 1, allowed(2, 1, 4*time.Second)}, // those of 1 s have left
				{noon + 14*sec, OpCheck, 1, allowed(2, 0, 20*time.Second)},
				{noon + 24*sec, OpPeek, 1, denied(2, 0, time.Second, 10*time.Second)}, // this one did
				{noon + 25*sec, OpPeek, 1, allowed(2, 1, 9*time.Second)},
			}},
		}},
		{"a log that is empty forgets its period", []phase{
			{mustLimit(1, 10*time.Second, 0), []row{{noon, OpCheck, 1, allowed(1, 0, 10*time.Second)}}},
			{mustLimit(1, time.Second, 0), []row{{noon + 10*sec, OpCheck, 1, allowed(1, 0, time.Second)}}},
			{mustLimit(1, 10*time.Second, 0), []row{{noon + 11*sec, OpPeek, 1, allowed(1, 1, 0)}}},
		}},
		{"a refund takes what counts for its limit, and leaves what is older", []phase{
			{mustLimit(4, 10*time.Second, 0), []row{
				{noon, OpCheck, 1, allowed(4, 3, 10*time.Second)},
				{noon + 9*sec, OpCheck, 2, allowed(4, 1, 10*time.Second)},
			}},
			{mustLimit(4, 2*time.Second, 0), []row{
				{noon + 9500*ms, OpRefund, 9, allowed(4, 4, 0)},
				{noon + 9500*ms, OpRefund, 1, allowed(4, 4, 0)},
			}},
			{mustLimit(4, 10*time.Second, 0), []row{
				{noon + 9500*ms, OpPeek, 4, denied(4, 3, 500*time.Millisecond, 500*time.Millisecond)}, // noon's
				{noon + 10*sec, OpPeek, 4, allowed(4, 4, 0)},
			}},
		}},
		{"a refund is a writer too", []phase{
			{mustLimit(4, 2*time.Second, 0), []row{{noon, OpCheck, 3, allowed(4, 1, 2*time.Second)}}},
			{mustLimit(4, 10*time.Second, 0), []row{
				{noon + sec, OpRefund, 1, allowed(4, 2, 9*time.Second)},
				{noon + 9*sec, OpPeek, 3, denied(4, 2, time.Second, time.Second)},
			}},
		}},
	})
}

// TestSlidingWindowLogArrays: the same answers while the array behind the log grows, is
// left behind for being too old, and counts past 2^19 units.
func TestSlidingWindowLogArrays(t *testing.T) {
	hundred := mustLimit(100, time.Second, 0)
	var growing []row // 1 → 100 entries: an array begins with 8 slots and grows by a quarter
	for i := range int64(100) {
		growing = append(growing, row{noon + i*ms, OpCheck, 1, allowed(100, 99-i, time.Second)})
	}
	growing = append(growing, row{noon + 100*ms, OpCheck, 1, denied(100, 0, 900*time.Millisecond, 999*time.Millisecond)})
	for i := range int64(300) { // from here on one unit leaves and one enters each ms
		at := noon + sec + i*ms
		if i >= 100 {
			at = noon + 2*sec + (i-100)*ms // the units of the loop's first turns
		}
		if i >= 200 {
			at = noon + 3*sec + (i-200)*ms
		}
		growing = append(growing,
			row{at, OpCheck, 1, allowed(100, 0, time.Second)},
			row{at, OpPeek, 1, denied(100, 0, retryOfSliding(i), time.Second)})
	}
	half := mustLimit(LogLimitMax, time.Second, 0)
	runTimelines(t, SlidingWindowLog, []timeline{
		{"growth", []phase{{hundred, growing}}},
		{"a slow key outlives its array's span of 407 days", []phase{{mustLimit(2, PeriodMax, 0), []row{
			{noon, OpCheck, 1, allowed(2, 1, 366*days)},
			{noon + daysMicros(300), OpCheck, 1, allowed(2, 0, 366*days)},
			{noon + daysMicros(400), OpCheck, 1, allowed(2, 0, 366*days)},
			{noon + daysMicros(666), OpCheck, 1, allowed(2, 0, 366*days)},
			{noon + daysMicros(666), OpCheck, 1, denied(2, 0, 100*days, 366*days)},
			{noon + daysMicros(766) - 1, OpCheck, 1, denied(2, 0, time.Microsecond, 266*days+time.Microsecond)},
			{noon + daysMicros(766), OpCheck, 1, allowed(2, 0, 366*days)},
			{noon + daysMicros(1132) - 1, OpCheck, 2, denied(2, 1, time.Microsecond, time.Microsecond)},
			{noon + daysMicros(1132), OpCheck, 2, allowed(2, 0, 366*days)},
		}}}},
		{"the running count wraps at 2^19", []phase{{half, []row{
			{noon, OpCheck, 300_000, allowed(LogLimitMax, 200_000, time.Second)},
			{noon + 100*ms, OpCheck, 200_000, allowed(LogLimitMax, 0, time.Second)},
			{noon + sec, OpCheck, 300_000, allowed(LogLimitMax, 0, time.Second)}, // 800,000 so far
			{noon + 1050*ms, OpCheck, 100_000, denied(LogLimitMax, 0, 50*time.Millisecond, 950*time.Millisecond)},
			{noon + 1050*ms, OpCheck, 200_001, denied(LogLimitMax, 0, 950*time.Millisecond, 950*time.Millisecond)},
			{noon + 1100*ms, OpCheck, 200_000, allowed(LogLimitMax, 0, time.Second)},
			{noon + 1100*ms, OpRefund, 350_000, allowed(LogLimitMax, 350_000, 900*time.Millisecond)},
			{noon + 1100*ms, OpCheck, 350_000, allowed(LogLimitMax, 0, time.Second)},
			{noon + 2*sec, OpPeek, 150_001, denied(LogLimitMax, 150_000, 100*time.Millisecond, 100*time.Millisecond)},
		}}}},
	})
}

// retryOfSliding is when the oldest of 100 units leaves, after turn i of the loop above:
// the units stand 1 ms apart in a block of 100 ms at the start of each second.
func retryOfSliding(i int64) time.Duration {
	if i%100 == 99 {
		return 901 * time.Millisecond // the oldest is the first of this very block
	}
	return time.Millisecond
}
