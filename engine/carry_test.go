package engine

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// replacing is a part with a former limit.
func replacing(former, p Part) Part {
	p.Formers = []Former{{former.State, former.Algorithm, former.Limit}}
	return p
}

// What is left under a new limit is what it admits, less the units that were used under the one before.
func TestUnitsAreCarriedOver(t *testing.T) {
	for _, from := range Algorithms() {
		for _, to := range Algorithms() {
			for _, o := range []Op{OpCheck, OpPeek, OpRefund, OpForce} {
				for _, parts := range []int{1, 2} {
					s := mustStore()
					old, now := part("u@p:old", from, 10), part("u@p:new", to, 20)
					now.Limit = mustLimit(20, 2*time.Hour, 0)
					if _, err := s.Check(old.State, old.Algorithm, old.Limit, 7, noon); err != nil {
						t.Fatal(err)
					}
					before := told(s, noon)
					c := Call{Op: o, Cost: 3, Parts: append([]Part{replacing(old, now)}, part("other", to, 100))[:parts]}
					if err := s.AskCall(&c, noon); err != nil {
						t.Fatal(err)
					}
					want := map[Op]int64{OpCheck: 10, OpPeek: 13, OpRefund: 16, OpForce: 10}[o]
					if d := c.Parts[0].Decision; !d.Allowed || d.Remaining != want {
						t.Errorf("%v to %v, %s of %d parts: %+v, want %d remaining", from, to, opNames[o], parts, d, want)
					}
					_, live := s.Lookup(old.State, noon)
					if live != (o == OpPeek) || live && told(s, noon) != before {
						t.Errorf("%v to %v, %s of %d parts: the former state is live: %v", from, to, opNames[o], parts, live)
					}
				}
			}
		}
	}
}

// A state that is live has its units already; one whose former is idle has none to get; and of several
// formers the latest that is live counts.
func TestWhatIsNotCarriedOver(t *testing.T) {
	old, older, now := part("old", FixedWindow, 10), part("older", FixedWindow, 10), part("new", FixedWindow, 20)
	now = replacing(old, now)
	now.Formers = append(now.Formers, Former{older.State, older.Algorithm, older.Limit})
	for _, c := range []struct {
		old, older, now int64 // units used
		other           bool  // the former's name is another algorithm's
		want            int64 // remaining, after one more
	}{
		{want: 19},
		{old: 3, want: 16},
		{older: 4, want: 15},
		{old: 3, older: 4, want: 16},
		{old: 3, now: 1, want: 18},
		{old: 3, other: true, want: 19},
	} {
		s := mustStore()
		for p, units := range map[*Part]int64{&old: c.old, &older: c.older, &now: c.now} {
			a := p.Algorithm
			if c.other {
				a = TokenBucket | Named
			}
			if units == 0 {
				continue
			}
			if _, err := s.Check(p.State, a, p.Limit, units, noon); err != nil {
				t.Fatal(err)
			}
		}
		call := Call{Op: OpCheck, Cost: 1, Parts: []Part{now}}
		if err := s.AskCall(&call, noon); err != nil || call.Decision.Remaining != c.want {
			t.Errorf("%+v: %+v, %v", c, call.Decision, err)
		}
		if _, live := s.Lookup("old", noon); live != (c.old > 0 && (c.now > 0 || c.other)) {
			t.Errorf("%+v: the former is live: %v", c, live)
		}
	}
}

// The entries of a log keep their instants, and so do those of a counter, to its slices.
func TestLogsKeepTheirInstants(t *testing.T) {
	for _, a := range []Algorithm{SlidingWindowLog, SlidingWindowCounter} {
		for _, period := range []time.Duration{30 * time.Second, time.Minute, time.Hour} {
			s := mustStore()
			old := Part{State: "old", Algorithm: a | Named, Limit: mustLimit(10, time.Minute, 0)}
			now := replacing(old, Part{State: "new", Algorithm: a | Named, Limit: mustLimit(20, period, 0)})
			for at := noon; at <= noon+40*sec; at += 20 * sec { // at 0, 20 and 40 s
				if _, err := s.Check(old.State, old.Algorithm, old.Limit, 2, at); err != nil {
					t.Fatal(err)
				}
			}
			call := Call{Op: OpCheck, Cost: 1, Parts: []Part{now}}
			if err := s.AskCall(&call, noon+45*sec); err != nil {
				t.Fatal(err)
			}
			want := int64(13)
			if period < time.Minute {
				want = 15 // what is older than the new period has left
			}
			if call.Decision.Remaining != want {
				t.Errorf("%v of %v: %+v, want %d remaining", a, period, call.Decision, want)
			}
			if _, live := s.Lookup("old", noon+45*sec); live {
				t.Errorf("%v of %v: the former is live", a, period)
			}
			// A slice is a 64th of the period, and the end of one of the former's is rounded up.
			leaves := noon + period.Microseconds()
			if period < time.Minute {
				leaves += 20 * sec
			}
			call.Op = OpPeek
			if err := s.AskCall(&call, leaves-1); err != nil || call.Decision.Remaining > want {
				t.Errorf("%v of %v: %+v, %v before the oldest has left", a, period, call.Decision, err)
			}
			if err := s.AskCall(&call, leaves+period.Microseconds()/32+sec); err != nil || call.Decision.Remaining < want+2 {
				t.Errorf("%v of %v: %+v, %v when the oldest have left", a, period, call.Decision, err)
			}
		}
	}
}

// Units of a counter that has long slices count for a shorter period as long as that is, not until the end
// of their slice.
func TestCountersMoveToAShorterPeriod(t *testing.T) {
	s := mustStore()
	old := Part{State: "old", Algorithm: SlidingWindowCounter | Named, Limit: mustLimit(10, 64*time.Hour, 0)}
	now := replacing(old, Part{State: "new", Algorithm: SlidingWindowCounter | Named, Limit: mustLimit(10, time.Second, 0)})
	if _, err := s.Check(old.State, old.Algorithm, old.Limit, 10, noon); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Op{OpPeek, OpCheck} {
		call := Call{Op: o, Cost: 1, Parts: []Part{now}}
		if err := s.AskCall(&call, noon); err != nil || call.Decision.Allowed || call.Decision.RetryAfter > 2*time.Second {
			t.Errorf("%s: %+v, %v", opNames[o], call.Decision, err)
		}
	}
	if _, live := s.Lookup(old.State, noon); live {
		t.Error("the former is live")
	}
}

// A peek says what the check will.
func TestPeekBeforeUnitsAreCarriedOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawLife(t)
		a := rapid.SampledFrom(Algorithms()).Draw(t, "to")
		s, l := mustStore(), drawLimit(t, a)
		for _, q := range f.asked {
			if _, err := ask(s, q.op, "old", f.algorithm|Named, f.limit, q.cost, q.now); err != nil {
				t.Fatal(err)
			}
		}
		cost := drawCost(t, l)
		c := Call{Op: OpPeek, Cost: cost, Parts: []Part{{
			State: "new", Algorithm: a | Named, Limit: l, Formers: []Former{{"old", f.algorithm | Named, f.limit}},
		}}}
		before := contents(s, f.now)
		if err := s.AskCall(&c, f.now); err != nil {
			t.Fatal(err)
		}
		if after := contents(s, f.now); !sameContents(before, after) {
			t.Fatalf("the peek changed %v to %v", before, after)
		}
		peek := c.Decision
		c.Op = OpCheck
		if err := s.AskCall(&c, f.now); err != nil || c.Decision.Allowed != peek.Allowed || c.Decision.RetryAfter != peek.RetryAfter {
			t.Fatalf("peeked %+v, checked %+v, %v", peek, c.Decision, err)
		}
		used, want := l.Burst()-c.Decision.Remaining, l.Burst()-peek.Remaining
		if c.Decision.Allowed {
			want += cost
		}
		if used != want && used != want+1 { // a meter may round
			t.Fatalf("peeked %+v, checked %+v of %d", peek, c.Decision, cost)
		}
	})
}

// Units are the fewest whose price is no less than the debt.
func TestUnitsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t, TokenBucket)
		debt := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, int64(FillMax)), rapid.Int64Range(0, math.MaxInt64)).Draw(t, "debt")
		exact := product(debt, l.limit)
		exact.Add(exact, big.NewInt(l.period-1))
		exact.Div(exact, big.NewInt(l.period))
		if got := l.unitsUp(debt); exact.IsInt64() && got != exact.Int64() || !exact.IsInt64() && got != math.MaxInt64 {
			t.Fatalf("%d ns of %+v are %d units, want %v", debt, l, got, exact)
		}
	})
}

// The conversion by itself: what a state is that holds the units of another.
func TestCarriedState(t *testing.T) {
	const at = noon * 1000 // 22:13:20, ns
	hour, ten := mustLimit(10, time.Hour, 0), mustLimit(10, 10*time.Minute, 0)
	month, err := NewCalendarLimit(10, Month)
	if err != nil {
		t.Fatal(err)
	}
	six := int64(6 * time.Minute) // the price of a unit of hour
	for i, c := range []struct {
		from  Algorithm
		of    Limit
		word  int64
		log   []LogEntry
		to    Algorithm
		limit Limit
		units int64
		want  int64 // word
		list  []LogEntry
	}{
		{from: TokenBucket, of: hour, word: at + six, to: LeakyBucket, limit: ten, units: 1, want: at + six/6},
		{from: TokenBucket, of: hour, word: at + six + 1, to: LeakyBucket, limit: ten, units: 2, want: at + six/3},
		{from: LeakyBucket, of: hour, word: at + 10*six, to: FixedWindow, limit: ten, units: 10, want: WindowWord((noon+400*sec)/1000, 10)},
		{from: LeakyBucket, of: hour, word: at + 1, to: FixedWindow, limit: month, units: 1, want: WindowWord(1_701_388_800_000, 1)},
		{from: FixedWindow, of: hour, word: WindowWord(noon/1000+5, 7), to: TokenBucket, limit: hour, units: 7, want: at + 7*six},
		{from: FixedWindow, of: hour, word: WindowWord(noon/1000+5, UnitsMax), to: TokenBucket, limit: hour, units: UnitsMax, want: at + int64(FillMax)},
		{from: FixedWindow, of: hour, word: WindowWord(noon/1000+5, 7), to: SlidingWindowLog, limit: hour, units: 7, list: []LogEntry{{noon, 7}}},
		{from: FixedWindow, of: hour, word: WindowWord(noon/1000+5, UnitsMax), to: SlidingWindowLog, limit: hour, units: UnitsMax, list: []LogEntry{{noon, LogLimitMax + 1}}},
		{from: FixedWindow, of: hour, word: WindowWord(noon/1000+5, UnitsMax), to: SlidingWindowCounter, limit: hour, units: UnitsMax, list: []LogEntry{{noon, UnitsMax}}},
		{from: SlidingWindowLog, of: hour, log: []LogEntry{{noon - 3600*sec, 1}, {noon - 5, 2}, {noon, 3}}, to: FixedWindow, limit: ten, units: 5, want: WindowWord((noon+400*sec)/1000, 5)},
		{from: SlidingWindowLog, of: hour, log: []LogEntry{{noon - 601*sec, 1}, {noon - 5, 2}}, to: SlidingWindowLog, limit: ten, units: 3, list: []LogEntry{{noon - 5, 2}}},
		{from: SlidingWindowLog, of: hour, log: []LogEntry{{noon - 601*sec, 1}}, to: SlidingWindowLog, limit: ten, units: 1},
		{from: SlidingWindowLog, of: hour, log: []LogEntry{{noon - 5, 2}}, to: SlidingWindowCounter, limit: ten, units: 2, list: []LogEntry{{noon, 2}}},
		{from: SlidingWindowCounter, of: hour, log: []LogEntry{{noon - 5, 2}, {noon + 9, 1}}, to: SlidingWindowCounter, limit: ten, units: 3, list: []LogEntry{{noon - 5, 2}, {noon, 1}}},
	} {
		r := carrier{from: Change{Key: "old", Algorithm: c.from | Named, Word: c.word, Log: LogChange{Period: c.of.period, Entries: c.log}}}
		r.units = unitsIn(&r.from, &c.of, at)
		got := r.to(&Part{State: "new", Algorithm: c.to | Named, Limit: c.limit}, LogLimitMax, at)
		if r.units != c.units || got.Word != c.want || fmt.Sprint(got.Log.Entries) != fmt.Sprint(c.list) || (got.Algorithm == 0) != (c.want == 0 && c.list == nil) {
			t.Errorf("%d: %d units become %+v; want %d, %d, %v", i, r.units, got, c.units, c.want, c.list)
		}
	}
}

// Units that were moved before a restart, or between the first and the last step of it, are not moved
// again; those that were not are moved after it.
func TestUnitsAreCarriedOverOnceThroughARestart(t *testing.T) {
	for _, from := range Algorithms() {
		for _, to := range Algorithms() {
			for _, kept := range []string{"before", "between", "after"} {
				s := mustStore()
				old := part("old", from, 10)
				now := replacing(old, part("new", to, 20))
				if _, err := s.Check(old.State, old.Algorithm, old.Limit, 7, noon); err != nil {
					t.Fatal(err)
				}
				restarted := mustStore()
				keep := func() {
					s.Dump(0, 1<<20, noon, func(c *Change) {
						if err := restarted.Apply(c, noon); err != nil {
							t.Fatal(err)
						}
					})
				}
				if kept != "after" {
					keep()
				}
				c := Call{Op: OpCheck, Cost: 3, Parts: []Part{now}}
				if err := s.AskCall(&c, noon); err != nil {
					t.Fatal(err)
				}
				want := int64(7)
				if kept != "before" {
					want = 4
					keep()
				}
				c = Call{Op: OpCheck, Cost: 3, Parts: []Part{now}}
				if err := restarted.AskCall(&c, noon); err != nil || c.Decision.Remaining != 10-7+want {
					t.Errorf("%v to %v, %s: %+v, %v", from, to, kept, c.Decision, err)
				}
			}
		}
	}
}

// Where there is no memory for the new state, the former keeps its units.
func TestNoMemoryToCarryOver(t *testing.T) {
	s, err := NewStore(Options{MaxMemory: 1})
	if err != nil {
		t.Fatal(err)
	}
	old := part("old", FixedWindow, 10)
	now := replacing(old, part("new", SlidingWindowLog, 20))
	if _, err := s.Check(old.State, old.Algorithm, old.Limit, 7, noon); err != nil {
		t.Fatal(err)
	}
	for _, parts := range [][]Part{{now}, {part("first", TokenBucket, 5), now}} {
		c := Call{Op: OpCheck, Cost: 1, Parts: parts}
		if err := s.AskCall(&c, noon); !errors.Is(err, ErrNoMemory) {
			t.Errorf("of %d parts: %+v, %v", len(parts), c.Decision, err)
		}
	}
	if d, err := s.Peek(old.State, old.Algorithm, old.Limit, 1, noon); err != nil || d.Remaining != 3 {
		t.Errorf("the former has %+v, %v", d, err)
	}
}
