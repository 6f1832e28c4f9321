package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Of a period of 64 s each second is a slice, and noon begins one: a unit leaves 65 s after the begin of
// its second. The wanted values are worked out by hand from that.

func TestSlidingWindowCounterTimelines(t *testing.T) {
	const s, us = time.Second, time.Microsecond
	three, ten := mustLimit(3, 64*s, 0), mustLimit(10, 64*s, 0)
	runTimelines(t, SlidingWindowCounter, []timeline{
		{"slices leave one after the other", []phase{{three, []row{
			{noon, OpPeek, 3, allowed(3, 3, 0)}, // empty
			{noon, OpCheck, 4, denied(3, 3, Never, 0)},
			{noon, OpCheck, 1, allowed(3, 2, 65*s)},
			{noon + 999_999, OpCheck, 1, allowed(3, 1, 64*s+us)}, // in the same second
			{noon + sec, OpCheck, 1, allowed(3, 0, 65*s)},
			{noon + sec, OpCheck, 1, denied(3, 0, 64*s, 65*s)},
			{noon + sec, OpCheck, 2, denied(3, 0, 64*s, 65*s)}, // the two leave together
			{noon + sec, OpCheck, 3, denied(3, 0, 65*s, 65*s)},
			{noon + 65*sec - 1, OpCheck, 1, denied(3, 0, us, s+us)},
			{noon + 65*sec, OpPeek, 3, denied(3, 2, s, s)},
			{noon + 65*sec, OpCheck, 2, allowed(3, 0, 65*s)},
			{noon + 65*sec, OpPeek, 4, denied(3, 0, Never, 65*s)},
			{noon + 66*sec, OpPeek, 1, allowed(3, 1, 64*s)},
			{noon + 130*sec, OpPeek, 3, allowed(3, 3, 0)}, // idle
			{noon + 130*sec, OpCheck, 3, allowed(3, 0, 65*s)},
			{noon + 999*sec, OpCheck, 3, allowed(3, 0, 65*s)},
		}}}},
		{"a period whose slices are no whole microseconds", []phase{{mustLimit(2, time.Millisecond, 0), []row{
			{noon, OpCheck, 1, allowed(2, 1, 1016*us)}, // 65 slices of 15.625 µs are 1015.625 µs
			{noon + 15, OpCheck, 1, allowed(2, 0, 1001*us)},
			{noon + 16, OpPeek, 1, denied(2, 0, 1000*us, 1000*us)},
			{noon + 1015, OpPeek, 1, denied(2, 0, us, us)},
			{noon + 1016, OpCheck, 1, allowed(2, 1, 1016*us)}, // the slice of 1,015.625 µs
			{noon + 1032, OpCheck, 1, allowed(2, 0, 1015*us)}, // that of 1,031.25
		}}}},
		{"a period of odd nanoseconds is rounded up", []phase{{mustLimit(1, time.Millisecond+1, 0), []row{
			{noon, OpCheck, 1, allowed(1, 0, 1006*us)}, // noon is 0.69 of a slice behind the begin of one
		}}}},
		{"the highest limit", []phase{{mustLimit(UnitsMax, 64*s, 0), []row{
			{noon, OpCheck, UnitsMax - 1, allowed(UnitsMax, 1, 65*s)},
			{noon + sec, OpCheck, 1, allowed(UnitsMax, 0, 65*s)},
			{noon + sec, OpCheck, 1, denied(UnitsMax, 0, 64*s, 65*s)},
			{noon + 65*sec, OpCheck, UnitsMax, denied(UnitsMax, UnitsMax-1, s, s)},
			{noon + 65*sec, OpCheck, UnitsMax - 1, allowed(UnitsMax, 0, 65*s)},
			{noon + 66*sec, OpCheck, 1, allowed(UnitsMax, 0, 65*s)},
		}}}},
		{"a refund takes the newest units", []phase{{ten, []row{
			{noon, OpRefund, 1, allowed(10, 10, 0)}, // nothing to leave
			{noon, OpCheck, 5, allowed(10, 5, 65*s)},
			{noon + sec, OpCheck, 3, allowed(10, 2, 65*s)},
			{noon + sec, OpRefund, 1, allowed(10, 3, 65*s)}, // two of the three stay
			{noon + sec, OpRefund, 3, allowed(10, 6, 64*s)}, // they go, and one of the five
			{noon + sec, OpCheck, 6, allowed(10, 0, 65*s)},
			{noon + 2*sec, OpCheck, 5, denied(10, 0, 64*s, 64*s)}, // 4 leave at 65 s, the 5th at 66 s
			{noon + 2*sec, OpCheck, 4, denied(10, 0, 63*s, 64*s)},
			{noon + 2*sec, OpRefund, UnitsMax, allowed(10, 10, 0)}, // never beyond empty
			{noon + 2*sec, OpCheck, 10, allowed(10, 0, 65*s)},
		}}}},
		{"a backward clock counts as within the newest slice", []phase{{three, []row{
			{noon + 500*ms, OpCheck, 1, allowed(3, 2, 64500*time.Millisecond)},
			{noon + 100*ms, OpCheck, 1, allowed(3, 1, 64900*time.Millisecond)}, // the same slice
			{noon - sec, OpCheck, 1, allowed(3, 0, 66*s)},
			{noon - 70*sec, OpCheck, 1, denied(3, 0, 135*s, 135*s)},
			{noon + 65*sec, OpCheck, 3, allowed(3, 0, 65*s)},
		}}}},
		{"a shorter period counts in the slices of the longer one", []phase{
			{ten, []row{{noon + 500*ms, OpCheck, 3, allowed(10, 7, 64500*time.Millisecond)}}},
			{mustLimit(3, 32*s, 0), []row{
				{noon + 500*ms, OpCheck, 1, denied(3, 0, 32500*time.Millisecond, 32500*time.Millisecond)}, // 33 s from the second's begin
				{noon + 33*sec - 1, OpCheck, 1, denied(3, 0, us, us)},
				{noon + 33*sec, OpCheck, 3, allowed(3, 0, 33*s)},
			}},
			{mustLimit(3, 10500*time.Millisecond, 0), []row{
				{noon + 33*sec, OpPeek, 1, denied(3, 0, 12*s, 12*s)},
				{noon + 45*sec, OpPeek, 3, allowed(3, 3, 0)},
				{noon + 45*sec, OpRefund, 2, allowed(3, 3, 0)}, // none that counts for it
			}},
			{ten, []row{
				{noon + 45*sec, OpPeek, 1, allowed(10, 4, 53*s)},
				{noon + 45*sec, OpRefund, 4, allowed(10, 8, 20*s)}, // two of the first are left
			}},
		}},
		{"a longer period makes the slices longer", []phase{
			{three, []row{{noon + sec, OpCheck, 2, allowed(3, 1, 65*s)}}},
			{mustLimit(4, 128*s, 0), []row{ // of which a slice is 2 s
				{noon + sec, OpPeek, 3, denied(4, 2, 65*s, 65*s)}, // it has not written yet
				{noon + sec, OpCheck, 2, allowed(4, 0, 129*s)},
				{noon + 3*sec, OpCheck, 1, denied(4, 0, 127*s, 127*s)},
			}},
			{three, []row{
				{noon + 3*sec, OpCheck, 1, denied(3, 0, 63*s, 63*s)}, // 33 slices of 2 s
				{noon + 66*sec, OpCheck, 1, allowed(3, 2, 66*s)},
				{noon + 130*sec, OpCheck, 3, denied(3, 2, 2*s, 2*s)},
			}},
			{three, []row{
				{noon + 300*sec, OpCheck, 3, allowed(3, 0, 65*s)}, // idle meanwhile: the period is its own again
			}},
		}},
		{"a slice that reaches into two of a longer period counts as in the later one", []phase{
			{three, []row{{noon + 2*sec, OpCheck, 1, allowed(3, 2, 65*s)}}},
			{mustLimit(3, 96*s, 0), []row{ // slices of 1.5 s, of which one begins at 2.5 s
				{noon + 2400*ms, OpCheck, 1, allowed(3, 1, 97600*time.Millisecond)},
				{noon + 2400*ms, OpRefund, 1, allowed(3, 2, 97600*time.Millisecond)},
			}},
		}},
		{"force takes what does not fit, up to UnitsMax", []phase{{three, []row{
			{noon, OpForce, 2, allowed(3, 1, 65*s)},
			{noon + sec, OpForce, 2, denied(3, 0, 64*s, 65*s)},
			{noon + sec, OpForce, 4, denied(3, 0, Never, 65*s)},
			{noon + sec, OpPeek, 1, denied(3, 0, 65*s, 65*s)},
			{noon + 2*sec, OpForce, UnitsMax - 1, denied(3, 0, Never, 65*s)}, // and one of the second before
			{noon + 2*sec, OpRefund, UnitsMax - 1, allowed(3, 2, 64*s)},
			{noon + 3*sec, OpForce, UnitsMax, denied(3, 0, Never, 65*s)},
			{noon + 3*sec, OpForce, UnitsMax, denied(3, 0, Never, 65*s)},
			{noon + 3*sec, OpRefund, UnitsMax, allowed(3, 3, 0)},
			{noon + 3*sec, OpForce, UnitsMax, denied(3, 0, Never, 65*s)}, // of a key that is absent
		}}}},
	})
}

// A counter never has more units within a period than the limit, and it denies only what a log would deny
// that counted for period/64 longer.
func TestCounterIsWithinASliceOfTheLog(t *testing.T) {
	longer := 0
	rapid.Check(t, func(t *rapid.T) {
		l, s, last := drawLimit(t, SlidingWindowCounter), mustStore(), Decision{}
		now, taken := drawStart(t), []logged(nil)
		period := wholeMicros(int64(l.Period()))
		slice := (period + CounterSlices - 1) / CounterSlices
		for range rapid.IntRange(1, 60).Draw(t, "questions") {
			now = drawNow(t, now, l, last, false)
			cost := drawCost(t, l)
			last = mustCheck(s, "key", SlidingWindowCounter, l, cost, now)
			exact, loose := cost, cost
			for _, unit := range taken {
				if now-unit.at < period {
					exact += unit.units
				}
				if now-unit.at < period+slice {
					loose += unit.units
				}
			}
			switch {
			case last.Allowed && exact > l.Limit():
				t.Fatalf("%+v: %d units within a period", l, exact)
			case !last.Allowed && loose <= l.Limit():
				t.Fatalf("%+v: denied, with %d units in 65 slices", l, loose)
			case !last.Allowed && exact <= l.Limit():
				longer++
			case last.Allowed:
				taken = append(taken, logged{now, cost})
			}
		}
		if r := ringOf(s); r != nil && (len(slicesOf(r)) > CounterSlices+2 || r.bytes() > 600) {
			t.Fatalf("%d slices in %d bytes", len(slicesOf(r)), r.bytes())
		}
	})
	if longer == 0 {
		t.Fatal("no denial that a log would not have made: this run proves nothing")
	}
}

// A slice has its instants, and no other has them.
func TestSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		period := wholeMicros(int64(drawLimit(t, SlidingWindowCounter).Period()))
		at := min(rapid.Int64Range(0, NowMicrosMax).Draw(t, "at"), rapid.Int64Range(0, NowMicrosMax).Draw(t, "or"))
		slice := sliceOf(at, period)
		start, last := sliceStart(slice, period), sliceLast(slice, period)
		if start > at || last < at || sliceOf(start, period) != slice || sliceOf(last, period) != slice ||
			start > 0 && sliceOf(start-1, period) != slice-1 || last < NowMicrosMax && sliceOf(last+1, period) != slice+1 {
			t.Fatalf("%d µs is in slice %d of %d: %d to %d", at, slice, period, start, last)
		}
		if leaves := sliceStart(slice+CounterSlices+1, period); leaves < at+period || leaves > at+period+(period+CounterSlices-1)/CounterSlices {
			t.Fatalf("%d µs leaves at %d, of a period of %d", at, leaves, period)
		}
	})
}
