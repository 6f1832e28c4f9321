package engine

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A plainLog is a log as its rules say, without a ring: the entries that have not left, each with
// its instant (µs) and units, and the log's period (ns).
type plainLog struct {
	entries [][2]int64
	period  int64
	most    int64 // the highest limit of a log
}

// ask does what a store does with the log of a key.
func (m *plainLog) ask(o Op, l Limit, cost, now int64) (allowed bool) {
	entries, period := m.entries, m.period
	if len(entries) == 0 || entries[len(entries)-1][0]*1000+period <= now*1000 {
		entries, period = nil, l.period
	} else {
		now = max(now, entries[len(entries)-1][0])
	}
	entries = youngerOf(entries, now-ceilMicros(time.Duration(period)))
	used := unitsOf(youngerOf(entries, now-ceilMicros(l.Period())))
	fits := o == OpRefund || used+cost <= l.limit
	switch {
	case o == OpRefund && len(entries) == 0:
		m.entries = nil
	case o == OpRefund && used > 0:
		m.entries, m.period = without(entries, min(cost, used)), max(period, l.period)
		if unitsOf(entries) > m.most { // the oldest of the newest makes good for what is given back
			newest := newestOf(entries, m.most+1)
			m.entries = without(newest, min(cost, used, m.most))
			m.entries[0][1] += m.most + 1 - unitsOf(m.entries)
		}
	case o == OpRefund:
	case !fits && o != OpForce:
		return false
	case o == OpCheck, o == OpForce:
		cost = min(cost, m.most+1)
		if unitsOf(entries)+cost > unitsKept(m.most) {
			entries = newestOf(entries, m.most+1-cost)
		}
		m.entries, m.period = append(slices.Clone(entries), [2]int64{now, cost}), max(period, l.period)
	}
	return fits
}

// newestOf are the newest entries, of so many units.
func newestOf(entries [][2]int64, units int64) [][2]int64 {
	entries = slices.Clone(entries)
	for more := unitsOf(entries) - units; more > 0; more = unitsOf(entries) - units {
		if entries[0][1] > more {
			entries[0][1] -= more
		} else {
			entries = entries[1:]
		}
	}
	return entries
}

// youngerOf are the entries that are younger than an instant.
func youngerOf(entries [][2]int64, instant int64) [][2]int64 {
	for len(entries) > 0 && entries[0][0] <= instant {
		entries = entries[1:]
	}
	return entries
}

func unitsOf(entries [][2]int64) (units int64) {
	for _, e := range entries {
		units += e[1]
	}
	return units
}

// without leaves the newest units out.
func without(entries [][2]int64, units int64) [][2]int64 {
	entries = slices.Clone(entries)
	for units > 0 {
		last := &entries[len(entries)-1]
		less := min(units, last[1])
		if last[1] -= less; last[1] == 0 {
			entries = entries[:len(entries)-1]
		}
		units -= less
	}
	return entries
}

// ringOf is the ring of a store's only log, or nil.
func ringOf(s *Store) (r *ring) {
	eachHeld(s, func(_ *table, _ *slot, st int64) { r = s.space.Load().logs.load(st) })
	return r
}

// A reporter is a *testing.T or a *rapid.T.
type reporter interface {
	Fatalf(format string, args ...any)
}

// checkView compares what a view says with the entries that count.
func checkView(t reporter, v *logView, want [][2]int64) {
	size, old := v.size(), v.size()-len(want)
	if old < 0 || v.newestAt() != want[len(want)-1][0] || v.idleAt() != v.newestAt()*1000+v.period {
		t.Fatalf("%d entries of %d, newest at %d, idle at %d; want %v", len(want), size, v.newestAt(), v.idleAt(), want)
	}
	if got := v.firstAfter(want[0][0] - 1); got != old {
		t.Fatalf("the oldest that counts is %d of %d, want %d", got, size, old)
	}
	if got := v.firstAfter(math.MaxInt64); got != size {
		t.Fatalf("the first in the future is %d, want %d", got, size)
	}
	for i, e := range want {
		if v.at(old+i) != e[0] || v.units(old+i, old+i) != e[1] {
			t.Fatalf("entry %d is %d units at %d, want %v", i, v.units(old+i, old+i), v.at(old+i), e)
		}
		after := i
		for after < len(want) && want[after][0] <= e[0] {
			after++
		}
		if got := v.firstAfter(e[0]); got != old+after {
			t.Fatalf("the first after entry %d is %d, want %d", i, got-old, after)
		}
		if got, units := v.units(old+i, size-1), unitsOf(want[i:]); got != units {
			t.Fatalf("from entry %d on there are %d units, want %d", i, got, units)
		}
		units := int64(0)
		for j := len(want) - 1; j >= i; j-- {
			for _, most := range []int64{units, units + want[j][1] - 1} {
				if got := v.behind(old+i, most); got != old+j {
					t.Fatalf("from entry %d on, %d units are behind entry %d, want %d", i, most, got-old, j)
				}
			}
			units += want[j][1]
		}
		if got := v.behind(old+i, units); got != old+i {
			t.Fatalf("all units are behind entry %d, want %d", got-old, i)
		}
	}
}

// checkHints makes sure that a view says the same whatever the hints are: callers that store
// them may come late, by any number of rounds.
func checkHints(t reporter, r *ring, want [][2]int64) {
	end, oldest := r.end.Load(), r.oldest.Load()
	first := r.view()
	checkView(t, &first, want)
	instants := []int64{want[0][0] - 1, want[0][0], want[len(want)/2][0], want[len(want)-1][0]}
	var after []int
	for _, instant := range instants {
		after = append(after, first.firstAfter(instant))
	}
	for e := range r.n {
		if r.word(r.before(e)).Load() == 0 {
			continue // the gap was never there
		}
		r.end.Store(e)
		v := r.view()
		if v != first || !v.holds() {
			t.Fatalf("with hint %d of %d the gap is at %d, want %d; newest %x, want %x", e, r.n, v.gapAt, first.gapAt, v.newest, first.newest)
		}
		r.oldest.Store(e)
		for i, instant := range instants {
			if got := v.firstAfter(instant); got != after[i] {
				t.Fatalf("with hint %d of %d the first after %d is %d, want %d", e, r.n, instant, got, after[i])
			}
		}
	}
	for o := range r.n { // those where the gap never was, too
		r.oldest.Store(o)
		if got := first.firstAfter(instants[1]); got != after[1] {
			t.Fatalf("with hint %d of %d the first after %d is %d, want %d", o, r.n, instants[1], got, after[1])
		}
	}
	r.end.Store(end)
	r.oldest.Store(oldest)
}

// cloned is a ring of its own with the same in it.
func cloned(r *ring) *ring {
	c := newRing(r.ref, r.base, r.period, int(r.n))
	for i := range r.n {
		c.word(i).Store(r.word(i).Load())
	}
	c.end.Store(r.end.Load())
	c.oldest.Store(r.oldest.Load())
	return c
}

// A ring holds what a plain log does, at every place that the gap can be at, in its first
// round and later ones, with units of the same and of other instants, through growth and
// shrinking, changes of limit and period, refunds, and times that its base is too old for.
// Sealed it holds the same, and so does what is made from it.
func TestRingAgainstAPlainLog(t *testing.T) {
	var rounds, rebased, shrunk, cut int
	most := 10 + fewer(30)
	rapid.Check(t, func(t *rapid.T) {
		logLimitMax := rapid.SampledFrom([]int64{4, 20, LogLimitMax}).Draw(t, "max")
		s, err := NewStore(Options{LogLimitMax: logLimitMax})
		if err != nil {
			t.Fatal(err)
		}
		m, now := plainLog{most: logLimitMax}, noon
		long := rapid.Bool().Draw(t, "long")
		period, step := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Millisecond + 1, 5 * time.Millisecond}), int64(1500)
		if long {
			period, step = rapid.SampledFrom([]time.Duration{PeriodMax, PeriodMax / 30}), daysMicros(150)
		}
		l := mustLimit(rapid.Int64Range(1, min(12, logLimitMax)).Draw(t, "limit"), period.Draw(t, "period"), 0)
		if rapid.Bool().Draw(t, "large") {
			l = mustLimit(logLimitMax, l.Period(), 0)
		}
		var last *ring
		held := int64(0)
		for range rapid.IntRange(1, most).Draw(t, "questions") {
			now += max(0, rapid.Int64Range(-step/10, step).Draw(t, "step"))
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				l = mustLimit(min(l.limit+rapid.Int64Range(0, 3).Draw(t, "more"), logLimitMax), period.Draw(t, "period"), 0)
			}
			o, cost := drawOp(t), 1+rapid.Int64Range(0, l.limit).Draw(t, "cost")/rapid.Int64Range(1, 8).Draw(t, "part")
			at := now - max(0, rapid.Int64Range(-step, step/10).Draw(t, "back"))
			want := m.ask(o, l, cost, at)
			if d, err := ask(s, o, "key", SlidingWindowLog, l, cost, at); err != nil || d.Allowed != want {
				t.Fatalf("%s %d: %+v, %v; want %v of %v", opNames[o], cost, d, err, want, m.entries)
			}
			if units := unitsOf(m.entries); units == logLimitMax+1 && held > logLimitMax {
				cut++
				held = 0
			} else {
				held = units
			}
			r := ringOf(s)
			if r == nil || len(m.entries) == 0 {
				if r != nil || len(m.entries) != 0 {
					t.Fatalf("a log: %v; want %v", r != nil, m.entries)
				}
				continue
			}
			if r.period != m.period {
				t.Fatalf("the log is of period %d, want %d", r.period, m.period)
			}
			checkHints(t, r, m.entries)
			if len(m.entries) > 40 {
				continue
			}
			checkSealed(t, cloned(r), m.entries, l, rapid.Int64().Draw(t, "less"))
			if v := r.view(); r == last && v.gap != 0 {
				rounds++
			} else if last != nil && r.base > last.base && long {
				rebased++
			} else if last != nil && r.n < last.n {
				shrunk++
			}
			last = r
		}
	})
	if rounds == 0 || rebased == 0 || shrunk == 0 || cut == 0 {
		t.Fatalf("%d second rounds, %d new bases, %d rings shrunk, %d cut: this run proves nothing", rounds, rebased, shrunk, cut)
	}
}

// checkSealed seals a ring and makes the next one from it, with fewer of the newest units.
func checkSealed(t reporter, r *ring, want [][2]int64, l Limit, less int64) {
	before := r.view()
	v := r.view()
	if !v.seal() || !v.sealed() || before.holds() {
		t.Fatalf("an idle ring cannot be sealed")
	}
	if c := (logChange{kind: logAppend, at: v.newestAt(), units: 1}); !v.seal() || v.fits(c, r.period) || before.append(c) || before.seal() {
		t.Fatalf("a sealed ring has room")
	}
	checkHints(t, r, want)
	used := unitsOf(want)
	less = int64(uint64(less) % uint64(used))
	rest := func(c logChange) logRest { return v.rest(c, l.period, logUnitsMask) }
	to := v.kept(rest(logChange{kind: logGiveBack, first: v.size() - len(want), units: less}), v.newestAt(), &l)
	if to.ref != r.ref || to.period != max(r.period, l.period) {
		t.Fatalf("ref %x, period %d", to.ref, to.period)
	}
	checkHints(t, to, without(want, less))
	if less > 0 {
		return
	}
	// What an append replaces the ring by has room for the entry, and for the gap behind it.
	c := logChange{kind: logAppend, first: v.size() - len(want), at: v.newestAt() + 1, units: min(7, l.limit)}
	to = v.kept(rest(c), c.at, &l)
	to.push(c)
	checkHints(t, to, append(slices.Clone(want), [2]int64{c.at, c.units}))
	c.first = v.size() // and nothing at all can be kept
	to = v.kept(rest(c), c.at, &l)
	to.push(c)
	checkHints(t, to, [][2]int64{{c.at, c.units}})
}

// The count of units starts over at 2^19; two million of them pass through a small window.
func TestRingCountsPastItsBits(t *testing.T) {
	const limit, units = 1000, 4 << logUnitsBits
	s, m, l := mustStore(), plainLog{most: LogLimitMax}, mustLimit(limit, time.Millisecond, 0)
	now, passed, over := noon, int64(0), 0
	for i := int64(0); passed < units; i++ {
		cost := 400 + i*97%100 // two at a time, so that the first ring lasts
		if allowed := mustCheck(s, "key", SlidingWindowLog, l, cost, now).Allowed; allowed != m.ask(OpCheck, l, cost, now) {
			t.Fatalf("after %d units: allowed %v, want otherwise; %v", passed, allowed, m.entries)
		} else if allowed {
			passed += cost
		}
		if v := ringOf(s).view(); v.entry(v.size()-2)&logUnitsMask > v.newest&logUnitsMask {
			over++
		}
		now += i % 3 * 300
	}
	if over == 0 {
		t.Fatal("the count never started over: this run proves nothing")
	}
}

// A ring has room for all that may come, is never much larger, and shrinks when less comes.
func TestRingSizes(t *testing.T) {
	for live := range 200 {
		for _, limit := range []int64{1, 2, 10, 100, LogLimitMax} {
			n := ringSize(live, limit)
			if n < live+1 || n < ringSlotsMin || n > max(live*3/2+1, ringSlotsMin) || live <= int(limit) && n > max(int(limit)+1, ringSlotsMin) {
				t.Errorf("%d entries of limit %d get %d words", live, limit, n)
			}
		}
	}
	s, l := mustStore(), mustLimit(1000, time.Second, 0)
	replaced, last := 0, (*ring)(nil)
	for i := range int64(20_000) { // a full window, and then ten units a second
		now := noon + i*ms
		if i > 5000 {
			now = noon + 5*sec + (i-5000)*100*ms
		}
		if !mustCheck(s, "key", SlidingWindowLog, l, 1, now).Allowed {
			t.Fatalf("unit %d was denied", i)
		}
		if r := ringOf(s); r != last {
			replaced, last = replaced+1, r
		}
		if most := 1001; int(last.n) > most || i > 6000 && int(last.n) > 5*11 {
			t.Fatalf("after %d units the ring has %d words", i, last.n)
		}
	}
	if replaced > 40 {
		t.Errorf("20,000 units took %d rings", replaced)
	}
}

// The hint of where the gap is may come a whole round late, when the ring is sealed a place
// before it. The seal is found all the same, and not taken for an entry of the far future.
func TestLateHintBehindASeal(t *testing.T) {
	s, l := mustStore(), mustLimit(2, time.Millisecond, 0)
	for i := range int64(20) {
		if !mustCheck(s, "key", SlidingWindowLog, l, 1, noon+i*500).Allowed {
			t.Fatalf("unit %d was denied", i)
		}
		r := cloned(ringOf(s))
		v := r.view()
		v.seal()
		r.end.Store(r.after(v.gapAt))
		if late := r.view(); late != v {
			t.Fatalf("after %d units the gap is %x at %d, want %x at %d", i+1, late.gap, late.gapAt, v.gap, v.gapAt)
		}
	}
}
