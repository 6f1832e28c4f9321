package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFixedWindowTimelines: windows begin at the epoch, so one of a second begins at noon.
func TestFixedWindowTimelines(t *testing.T) {
	three := mustLimit(3, time.Second, 0)
	huge := mustLimit(UnitsMax, 10*time.Second, 0)
	odd := mustLimit(1<<18-1, 1500*time.Millisecond, 0) // noon is 500 ms after the start of a window
	runTimelines(t, FixedWindow, []timeline{
		{"at most the limit until the window ends", []phase{{three, []row{
			{noon, OpPeek, 3, allowed(3, 3, 0)},
			{noon, OpCheck, 2, allowed(3, 1, time.Second)},
			{noon + 1, OpCheck, 2, denied(3, 1, time.Second-1000, time.Second-1000)},
			{noon + 1, OpCheck, 4, denied(3, 1, Never, time.Second-1000)},
			{noon + sec/2, OpCheck, 1, allowed(3, 0, time.Second/2)},
			{noon + sec - 1, OpPeek, 1, denied(3, 0, time.Microsecond, time.Microsecond)},
			{noon + sec - 1, OpCheck, 4, denied(3, 0, Never, time.Microsecond)},
			{noon + sec, OpCheck, 4, denied(3, 3, Never, 0)},
			{noon + sec, OpCheck, 3, allowed(3, 0, time.Second)}, // twice the limit within 501 ms
		}}}},
		{"a window does not begin with the first request", []phase{{three, []row{
			{noon + sec - 1, OpCheck, 3, allowed(3, 0, time.Microsecond)},
			{noon + sec, OpCheck, 3, allowed(3, 0, time.Second)},
		}}}},
		{"a refund never gives more than was taken", []phase{{three, []row{
			{noon, OpRefund, 1, allowed(3, 3, 0)},
			{noon, OpCheck, 3, allowed(3, 0, time.Second)},
			{noon + ms, OpRefund, 1, allowed(3, 1, 999*time.Millisecond)},
			{noon + ms, OpRefund, UnitsMax, allowed(3, 3, 0)},
			{noon + ms, OpCheck, 3, allowed(3, 0, 999*time.Millisecond)},
			{noon + sec, OpRefund, 1, allowed(3, 3, 0)}, // the window is over
		}}}},
		{"a backward clock", []phase{{three, []row{
			{noon, OpCheck, 2, allowed(3, 1, time.Second)},
			{noon - sec, OpCheck, 2, denied(3, 1, 2*time.Second, 2*time.Second)}, // before the window counts as within it
			{noon - sec, OpCheck, 1, allowed(3, 0, 2*time.Second)},
		}}}},
		{"the largest limit", []phase{{huge, []row{
			{noon, OpCheck, UnitsMax, allowed(UnitsMax, 0, 10*time.Second)},
			{noon, OpCheck, 1, denied(UnitsMax, 0, 10*time.Second, 10*time.Second)},
			{noon, OpRefund, UnitsMax - 1, allowed(UnitsMax, UnitsMax-1, 10*time.Second)},
		}}}},
		{"windows that end within a second", []phase{{odd, []row{
			{noon, OpCheck, 1<<18 - 1, allowed(1<<18-1, 0, time.Second)},
			{noon + sec, OpCheck, 1, allowed(1<<18-1, 1<<18-2, 1500*time.Millisecond)},
			{noon + 2500*ms, OpCheck, 1, allowed(1<<18-1, 1<<18-2, 1500*time.Millisecond)},
		}}}},
		{"a period that is no whole number of ms is rounded up", []phase{{mustLimit(1, time.Millisecond+1, 0), []row{
			{noon, OpCheck, 1, allowed(1, 0, 2*time.Millisecond)},
			{noon + 2*ms - 1, OpCheck, 1, denied(1, 0, time.Microsecond, time.Microsecond)},
			{noon + 2*ms, OpCheck, 1, allowed(1, 0, 2*time.Millisecond)},
		}}}},
		{"the first and the last instant", []phase{{three, []row{
			{0, OpCheck, 3, allowed(3, 0, time.Second)},
			{NowMicrosMax, OpCheck, 3, allowed(3, 0, 145_225*time.Microsecond)},
		}}}},
	})
}

func TestFixedWindowWhenTheLimitChanges(t *testing.T) {
	second, minute := mustLimit(3, time.Second, 0), mustLimit(5, time.Minute, 0) // noon is 20 s after a minute
	runTimelines(t, FixedWindow, []timeline{
		{"a longer period keeps the count, and is longer once a request is admitted", []phase{
			{second, []row{{noon, OpCheck, 3, allowed(3, 0, time.Second)}}},
			{minute, []row{
				{noon, OpCheck, 3, denied(5, 2, time.Second, time.Second)},
				{noon, OpPeek, 2, allowed(5, 2, time.Second)},
				{noon, OpCheck, 1, allowed(5, 1, 40*time.Second)},
			}},
			{second, []row{
				{noon + sec, OpCheck, 1, denied(3, 0, 39*time.Second, 39*time.Second)},
				{noon + sec, OpRefund, 2, allowed(3, 1, 39*time.Second)},
				{noon + sec, OpCheck, 1, allowed(3, 0, 39*time.Second)}, // the stored end is the later one
				{noon + 40*sec, OpCheck, 1, allowed(3, 2, time.Second)},
			}},
		}},
		{"a count too large for an end within a second lasts until the second ends", []phase{
			{mustLimit(1, 1500*time.Millisecond, 0), []row{{noon + sec, OpCheck, 1, allowed(1, 0, 1500*time.Millisecond)}}},
			{mustLimit(1<<20, time.Second, 0), []row{
				{noon + sec, OpCheck, 1<<18 - 1, allowed(1<<20, 1<<20-1<<18, 2*time.Second)},
				{noon + sec, OpRefund, 1<<18 - 1, allowed(1<<20, 1<<20-1, 2*time.Second)},
			}},
		}},
	})
}

// Limits of windows that end within a second are bounded, and the error says how.
func TestFixedWindowBounds(t *testing.T) {
	s := mustStore()
	for period, most := range map[time.Duration]int64{time.Second: UnitsMax, time.Minute + 1: 1<<18 - 1, 1500 * time.Millisecond: 1<<18 - 1} {
		for _, limit := range []int64{most, most + 1} {
			if l, err := NewLimit(limit, period, 0); err == nil {
				_, err = s.Check("key", FixedWindow, l, 1, noon)
				if limit == most && err != nil {
					t.Errorf("%d in %v: %v", limit, period, err)
				} else if limit > most {
					rejected(t, "limit", err, "limit of fixed_window", "1 to 262143")
				}
			}
		}
	}
	_, err := s.Check("key", FixedWindow, mustLimit(1, time.Second, 2), 1, noon)
	rejected(t, "burst", err, "burst", "")
}

// Every word that can be stored is an end and a count, and words of later ends are idle later.
func TestWindowWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		end := rapid.Int64Range(1, NowMicrosMax/1000+PeriodMax.Milliseconds()+1000).Draw(t, "end")
		count := rapid.OneOf(rapid.Int64Range(1, UnitsMax), rapid.Int64Range(1<<18-2, 1<<18+2)).Draw(t, "count")
		word := WindowWord(end, count)
		gotEnd, gotCount := windowOf(word)
		if word < 1 || word >= stateIdle || gotCount != count || gotEnd < end || gotEnd-end >= 1000 || count < 1<<18 && gotEnd != end {
			t.Fatalf("%d units until %d ms are the word %x: %d until %d", count, end, word, gotCount, gotEnd)
		}
		if any := rapid.Int64Range(1, stateIdle-1).Draw(t, "word"); windowIdleAt(any) < 0 {
			t.Fatalf("the word %x is idle at %d", any, windowIdleAt(any))
		}
	})
}

// In no window does a key admit more than limit units.
func TestFixedWindowNeverExceedsItsLimitInAWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t, FixedWindow)
		units := map[int64]int64{}
		for _, unit := range admissions(t, FixedWindow, l) {
			window := l.windowEnd(unit.at / 1000)
			if units[window] += unit.units; units[window] > l.Limit() {
				t.Fatalf("%+v admitted %d units in the window until %d", l, units[window], window)
			}
		}
	})
}

// Where several periods ask for one key, all that is admitted from a period's first request in one
// of its windows on counts until that window is over.
func TestFixedWindowUnderMixedPeriods(t *testing.T) {
	mixed := 0
	rapid.Check(t, func(t *rapid.T) {
		s, now := mustStore(), noon
		var limits []Limit
		for range 3 {
			period := time.Duration(rapid.Int64Range(1, 12).Draw(t, "period")) * 100 * time.Millisecond
			limits = append(limits, mustLimit(rapid.Int64Range(1, 9).Draw(t, "limit"), period, 0))
		}
		type window struct{ limit, number int64 }
		since := map[window]int64{} // the units admitted since the limit's first request in its window
		for range rapid.IntRange(1, 60).Draw(t, "questions") {
			now += rapid.Int64Range(0, 150*ms).Draw(t, "step")
			which := rapid.Int64Range(0, 2).Draw(t, "which")
			l := limits[which]
			cost := rapid.Int64Range(1, l.limit).Draw(t, "cost")
			if !mustCheck(s, "key", FixedWindow, l, cost, now).Allowed {
				continue
			}
			own := window{which, now / l.Period().Microseconds()}
			since[own] += 0
			for w := range since {
				since[w] += cost
			}
			if since[own] > l.limit {
				t.Fatalf("%d units since the first request of %d in %v in its window", since[own], l.limit, l.Period())
			}
			if len(since) > 1 {
				mixed++
			}
		}
	})
	if mixed == 0 {
		t.Fatal("no two limits met: this run proves nothing")
	}
}
