package engine

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What was taken from a state is taken out as if it had never been taken, whatever others took meanwhile:
// what they may take later is never more. By a meter it may be less for a moment, and no longer than the
// call took.
func TestUndoIsAsIfNothingHadBeenTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		with, without := f.replay(), f.replay()
		before := f.ask(without, question{OpPeek, 1, f.now})
		c := Call{Op: OpCheck, Cost: drawCost(t, f.limit), Parts: []Part{{State: "key", Algorithm: f.algorithm, Limit: f.limit}}}
		if err := with.AskCall(&c, f.now); err != nil {
			t.Fatal(err)
		}
		if !c.Decision.Allowed {
			return
		}
		began, last := f.now, c.Decision
		for range rapid.IntRange(0, 4).Draw(t, "others") {
			f.now = drawNow(t, f.now, f.limit, last, false)
			q := question{OpCheck, drawCost(t, f.limit), f.now}
			last = f.ask(with, q)
			if last.Allowed && !f.ask(without, q).Allowed {
				t.Fatalf("%+v is admitted only where more was taken before", q)
			}
		}
		c.Clock = func() int64 { return f.now }
		with.undo(&c, &c.Parts[0], began)
		if !f.algorithm.HasBurst() {
			if got, want := told(with, f.now), told(without, f.now); got != want {
				t.Fatalf("undone %v, want %v", got, want)
			}
			return
		}
		got, want := contents(with, f.now), contents(without, f.now)
		more := got["key"].state - max(want["key"].state, f.now*1000)
		if len(got) == 0 {
			more = min(0, f.now*1000-want["key"].state)
		}
		if more < 0 || more > (f.now-began)*1000 {
			t.Fatalf("undone, the debt is higher by %v, after %v µs: %v, want %v", time.Duration(more), f.now-began, got, want)
		}
		if peek := f.ask(with, question{OpPeek, 1, began}); f.now == began && len(want) == 0 && peek != before {
			t.Fatalf("undone %+v, want %+v", peek, before)
		}
	})
}

// told is what a store tells of its keys that has not left at instant now (µs), by instants.
func told(s *Store, now int64) string {
	units := map[int64]int64{}
	s.Dump(0, 1<<20, now, func(c *Change) {
		units[-1] = c.Word
		if c.Algorithm.Shape() == ShapeWord {
			return
		}
		units[-1] = c.Log.Period
		for _, e := range counting(c.Algorithm, c.Log.Entries, c.Log.Period, now*1000) {
			units[e.At] += e.Units
		}
	})
	return fmt.Sprint(units)
}

// A meter that was at rest gives nothing out twice: what would have decayed when another request came is
// not taken out.
func TestUndoOfAMeterThatWasAtRest(t *testing.T) {
	for _, c := range []struct {
		before, after, word, now int64
		next, missing            int64
		why                      string
	}{
		{0, 10, 10, 5, 0, 0, "nobody else came"},
		{0, 10, 20, 9, 19, 0, "one more came at 9, and would have found it at rest"},
		{0, 10, 20, 12, 20, 0, "all has decayed by now"},
		{100, 110, 120, 9, 110, 0, "there was a debt"},
		{100, 110, 120, 105, 115, 0, "which may have been over when another came"},
		{100, 110, 104, 9, 94, 0, "some was given back since"},
		{100, 110, 14, 9, 0, 5, "nearly all was given back since"},
	} {
		if next, missing := meterWithout(c.word, taken{c.before, c.after}, c.now); c.word != c.after && (next != c.next || missing != c.missing) {
			t.Errorf("%s: %d, %d, want %d, %d", c.why, next, missing, c.next, c.missing)
		}
		if next, missing := TokenBucket.without(c.word, taken{c.before, c.after}, c.now); next != c.next || missing != c.missing {
			t.Errorf("%s: %d, %d, want %d, %d", c.why, next, missing, c.next, c.missing)
		}
	}
}

// A window is given back to only while it lasts.
func TestUndoOfAWindow(t *testing.T) {
	at := func(end, count int64) int64 { return WindowWord(end, count) }
	for _, c := range []struct {
		before, after, word, next, missing int64
		why                                string
	}{
		{0, at(1500, 3), at(1500, 3), 0, 0, "nobody else came"},
		{at(1500, 1), at(1500, 4), at(1500, 9), at(1500, 6), 0, "others came"},
		{at(1500, 1), at(1500, 4), at(1500, 2), 0, 1, "one is missing"},
		{at(1500, 1), at(1500, 4), at(2500, 9), at(2500, 9), 3, "the window is over"},
		{at(1500, 1), at(1500, 4), at(2000, 1<<18), at(2000, 1<<18-3), 0, "it counts so much that it ends with its second"},
	} {
		if next, missing := FixedWindow.without(c.word, taken{c.before, c.after}, 0); next != c.next || missing != c.missing {
			t.Errorf("%s: %x, %d, want %x, %d", c.why, next, missing, c.next, c.missing)
		}
	}
}

// What is there is taken out, and what is no longer there not twice.
func TestUndoOfWhatIsGone(t *testing.T) {
	for _, a := range Algorithms() {
		s := mustStore()
		c := Call{Op: OpCheck, Cost: 3, Clock: func() int64 { return noon }, Parts: []Part{part("k", a, 10)}}
		if err := s.AskCall(&c, noon); err != nil {
			t.Fatal(err)
		}
		took := c.Parts[0]
		if _, err := s.Refund("k", a|Named, took.Limit, 2, noon); err != nil {
			t.Fatal(err)
		}
		if p := took; !s.undo(&c, &p, noon) {
			t.Errorf("%v: nothing was there", a)
		}
		if left := contents(s, noon); len(left) != 0 {
			t.Errorf("%v: %v is left", a, left)
		}
		if p := took; s.undo(&c, &p, noon) {
			t.Errorf("%v: something was there, of a state that is gone", a)
		}
	}
}

// Entries are taken out by their instants, and those of a log that has forgotten some are made good for.
func TestWithoutEntries(t *testing.T) {
	for _, c := range []struct {
		list, out, rest []LogEntry
		missing         int64
		older           bool
	}{
		{[]LogEntry{{1, 2}, {3, 4}}, []LogEntry{{1, 2}}, []LogEntry{{3, 4}}, 0, false},
		{[]LogEntry{{1, 2}, {3, 4}}, []LogEntry{{2, 1}}, []LogEntry{{1, 1}, {3, 4}}, 0, true},
		{[]LogEntry{{1, 2}, {2, 1}, {3, 4}}, []LogEntry{{2, 4}}, []LogEntry{{3, 4}}, 1, true},
		{[]LogEntry{{3, 4}}, []LogEntry{{2, 1}}, []LogEntry{{3, 4}}, 1, true},
		{[]LogEntry{{1, 2}, {3, 4}}, []LogEntry{{2, 2}, {3, 1}}, []LogEntry{{1, 2}, {3, 3}}, 2, false},
		{[]LogEntry{{1, 2}, {1, 4}}, []LogEntry{{1, 3}, {4, 1}}, []LogEntry{{1, 2}, {1, 1}}, 1, false},
		{[]LogEntry{{1, 2}}, []LogEntry{{0, 1}, {1, 2}}, nil, 1, false},
		{[]LogEntry{{1, 5}, {2, 5}, {3, 3}}, []LogEntry{{3, 2}}, []LogEntry{{1, 5}, {2, 5}, {3, 1}}, 0, false},
		{[]LogEntry{{1, 8}, {2, 5}, {3, 3}}, []LogEntry{{3, 3}}, []LogEntry{{1, 6}, {2, 5}}, 0, false},
	} {
		const most = 10
		rest, missing := withoutEntries(c.list, c.out, c.older, most)
		if len(rest) != len(c.rest) || missing != c.missing {
			t.Errorf("%v without %v: %v, %d, want %v, %d", c.list, c.out, rest, missing, c.rest, c.missing)
			continue
		}
		for i := range rest {
			if rest[i] != c.rest[i] {
				t.Errorf("%v without %v: %v, want %v", c.list, c.out, rest, c.rest)
			}
		}
	}
}

// A refund that comes in between takes the newest units, which are those that are to be undone. Together
// the two leave what the refund alone would have left.
func TestUndoAfterARefund(t *testing.T) {
	for _, a := range Algorithms() {
		s := mustStore()
		one := part("k", a, 10)
		if _, err := s.Check("k", a|Named, one.Limit, 5, noon); err != nil {
			t.Fatal(err)
		}
		c := Call{Op: OpCheck, Cost: 2, Clock: func() int64 { return noon + sec }, Parts: []Part{one}}
		if err := s.AskCall(&c, noon+sec); err != nil {
			t.Fatal(err)
		}
		took := c.Parts[0]
		if _, err := s.Refund("k", a|Named, one.Limit, 2, noon+sec); err != nil {
			t.Fatal(err)
		}
		if !s.undo(&c, &took, noon+sec) {
			t.Errorf("%v: nothing was there", a)
		}
		if d, err := s.Peek("k", a|Named, one.Limit, 1, noon+sec); err != nil || d.Remaining != 7 {
			t.Errorf("%v: %+v, %v, want 7 remaining", a, d, err)
		}
	}
}
