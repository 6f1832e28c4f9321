package engine

import (
	"slices"
	"strings"
	"testing"
	"time"
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
