package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Changes that are read again long after they were made, as from a disk, leave out what is idle
// by then. A log that was written to with a short period and goes on with a long one is
// all there still, though a reader may have dropped what was told of it before.
func TestLateReaderHasLogsOfLongerPeriods(t *testing.T) {
	s, now := mustStore(), noon
	s.Track(true)
	var told []Change
	drain := func() {
		s.Drain(func(c *Change) {
			kept := *c
			kept.Key, kept.Log.Entries = strings.Clone(c.Key), slices.Clone(c.Log.Entries)
			told = append(told, kept)
		})
	}
	short, long := mustLimit(100, time.Second, 0), mustLimit(100, time.Hour, 0)
	for range 20 {
		now += sec / 25
		if d, err := ask(s, OpCheck, "quota", SlidingWindowLog, short, 1, now); err != nil || !d.Allowed {
			t.Fatal(d, err)
		}
		drain()
	}
	now += sec / 25
	if d, err := ask(s, OpCheck, "quota", SlidingWindowLog, long, 1, now); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	drain()

	late, to := now+60*sec, mustStore()
	for i := range told {
		if err := to.Apply(&told[i], late); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := ask(s, OpPeek, "quota", SlidingWindowLog, long, 1, late)
	got, _ := ask(to, OpPeek, "quota", SlidingWindowLog, long, 1, late)
	if got != want {
		t.Errorf("a minute later the store answers %+v, and one that was read from what it told %+v", want, got)
	}
}

// A table that was made before a follower of changes came, and is found by others before
// its maker goes on, misses none.
func TestTableOfStalledMakerKeepsMarks(t *testing.T) {
	s := mustStore()
	sp, p := s.space.Load(), newProbe(s.hasher.hash("key"), "key")
	made := newTable(&sp.shelves[p.class][p.shard], p.class, slotsMin)
	s.Track(true)
	sp.shelves[p.class][p.shard].Store(made) // and here its maker stalls
	if d, err := ask(s, OpCheck, "key", TokenBucket, mustLimit(5, time.Hour, 0), 1, noon); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	if n := s.Drain(func(*Change) {}); n != 1 {
		t.Errorf("%d changes are told, of 1", n)
	}
}

// A follower of a log that limits of several periods write to, and that is cut, goes on where the
// other stopped: it gives the same answers to what is asked, taken and given back from then on.
func TestMirrorGoesOnWithMixedPeriods(t *testing.T) {
	cut := 0
	rapid.Check(t, func(t *rapid.T) {
		most, now := rapid.Int64Range(2, 9).Draw(t, "most"), noon
		one, err := NewStore(Options{LogLimitMax: most})
		other, otherErr := NewStore(Options{LogLimitMax: most})
		if err != nil || otherErr != nil {
			t.Fatal(err, otherErr)
		}
		m := newMirror(t, one, now)
		m.to = other
		var limits []Limit
		for _, period := range []time.Duration{10 * time.Millisecond, 70 * time.Millisecond, time.Second} {
			limits = append(limits, mustLimit(rapid.Int64Range(1, most).Draw(t, "limit"), period, 0))
		}
		act := func(s *Store, o Op, l Limit, cost int64) Decision {
			d, err := ask(s, o, "key", SlidingWindowLog, l, cost, now)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		draw := func() (Op, Limit, int64) {
			now += rapid.Int64Range(0, 40*ms).Draw(t, "step") / rapid.Int64Range(1, 10).Draw(t, "part")
			l := limits[rapid.IntRange(0, 2).Draw(t, "which")]
			return drawOp(t), l, rapid.Int64Range(1, l.limit).Draw(t, "cost")
		}
		for range rapid.IntRange(1, 80).Draw(t, "questions") {
			before := ringOf(one)
			o, l, cost := draw()
			act(one, o, l, cost)
			if after := ringOf(one); before != nil && after != nil && unitsOf(entriesOf(before)) > most+1 && after != before {
				cut++
			}
			if rapid.IntRange(0, 3).Draw(t, "follow") == 0 {
				m.follow(now)
			}
		}
		m.follow(now)
		for range 10 {
			o, l, cost := draw()
			if want, got := act(one, o, l, cost), act(other, o, l, cost); got != want {
				t.Fatalf("%s %d of %d in %v: the mirror says %+v, want %+v", opNames[o], cost, l.limit, l.Period(), got, want)
			}
		}
	})
	if cut == 0 {
		t.Fatal("no log was cut: this run proves nothing")
	}
}
