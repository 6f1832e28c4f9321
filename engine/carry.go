package engine

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// A limit that takes the place of another keeps its units, though its state is another one. The first
// question about the new limit moves them:
//
//  1. It reads the former's state, O.
//  2. It makes the new state, N, of the units that it read, unless N is live by then. Whoever does so is
//     the mover.
//  3. The mover takes what it read out of O.
//
// So units are moved exactly once, whatever happens in between. Two movers of one state, the second of
// which finds N idle again, take the same units out of O; one of them finds them missing and gives as
// many back from N. Callers that still ask the former limit take from O what no mover has read. They
// find their limit replaced, which is set before anybody asks the new one, and take it back themselves.
// If a caller does not find what it took, then a mover has read it, and its units count in N.
//
// Where N is live already, a former that is live too keeps its units until it is idle: a rule that comes
// back finds its own. In Redis they are added.
//
// Between the steps units count twice, also on disk if the process ends there: N is live, so they are not
// moved again, and O is idle in time.

// carry moves the units of a former limit's state to a part's, if that has none. A peek moves nothing; it
// is answered as if they were moved, and then done is true.
func (s *Store) carry(c *Call, p *Part, o Op, now int64) (done bool, err error) {
	if _, _, _, live := s.liveSlot(p.State, now*1000); live {
		return false, nil
	}
	var r carrier
	for i := range p.Formers {
		f := &p.Formers[i]
		if !r.read(s, f, now*1000) {
			continue
		}
		to := r.to(p, s.logLimitMax, now*1000)
		if to.Algorithm == 0 { // nothing of it counts here
			if o != OpPeek {
				s.withdraw(f.State, &withdrawal{algorithm: f.Algorithm, entries: r.from.Log.Entries, now: now * 1000})
			}
			continue
		}
		if o == OpPeek {
			s.peekAt(c, p, &to, now*1000)
			return true, nil
		}
		moved, err := s.begin(to, now)
		if moved {
			r.takeOut(s, f, p, now*1000)
		}
		return false, err
	}
	return false, nil
}

// liveSlot is the slot with the state of a name, if that is not idle at instant now (ns), and its space.
func (s *Store) liveSlot(name string, now int64) (sp *space, slot *slot, st int64, live bool) {
	p := newProbe(s.hasher.hash(name), name)
	sp = s.space.Load()
	t := sp.first(&p)
	if t == nil {
		return sp, nil, 0, false
	}
	_, slot, st, what := sp.locate(&p, t, now)
	if what == absent {
		return sp, nil, 0, false
	}
	at, ok := sp.idleAt(slot, st)
	return sp, slot, st, ok && at > now
}

// A carrier carries units from one state to another.
type carrier struct {
	reader changeReader
	from   Change // the former's state as it was read
	units  int64
}

// read reads the state of a former limit, at instant now (ns), and says whether there is a live one.
func (r *carrier) read(s *Store, f *Former, now int64) bool {
	if CheckState(f.State) != nil {
		return false
	}
	sp, slot, st, live := s.liveSlot(f.State, now)
	if !live || !slot.is(f.Algorithm) {
		return false
	}
	r.reader.read(sp, slot, st, false, &r.from)
	r.units = unitsIn(&r.from, &f.Limit, now)
	return r.units > 0
}

// unitsIn is how many units of a limit a state holds at instant now (ns). Of a log it leaves only the
// entries that count.
func unitsIn(c *Change, l *Limit, now int64) (units int64) {
	switch {
	case c.Algorithm == 0:
	case c.Algorithm.Shape() != ShapeWord:
		c.Log.Entries = counting(c.Algorithm, c.Log.Entries, min(l.period, c.Log.Period), now)
		for _, e := range c.Log.Entries {
			units += e.Units
		}
	case c.Algorithm.plain() == FixedWindow:
		if windowIdleAt(c.Word) > now {
			_, units = windowOf(c.Word)
		}
	default:
		units = l.unitsUp(max(c.Word-now, 0))
	}
	return min(units, UnitsMax)
}

// counting are the entries of a log or counter that count for a period at instant now, both ns.
func counting(a Algorithm, entries []LogEntry, period, now int64) []LogEntry {
	now, period = now/1000, wholeMicros(period)
	since := now - period
	if a.Shape() == ShapeCounter {
		since = sliceStart(max(sliceOf(now, period)-CounterSlices, 0), period) - 1
	}
	first, _ := slices.BinarySearchFunc(entries, since+1, func(e LogEntry, at int64) int { return cmp.Compare(e.At, at) })
	return entries[first:]
}

// unitsUp is how many units a debt (ns) is, rounded up: the fewest whose price is no less.
func (l *Limit) unitsUp(debt int64) int64 {
	high, low := bits.Mul64(uint64(debt), uint64(l.limit))
	low, up := bits.Add64(low, uint64(l.period)-1, 0)
	if high += up; high >= uint64(l.period) {
		return math.MaxInt64
	}
	units, _ := bits.Div64(high, low, uint64(l.period))
	return int64(min(units, math.MaxInt64))
}

// to is the state of a part that holds what was read, at instant now (ns); of no algorithm if that is
// nothing. most is the highest limit of a log.
func (r *carrier) to(p *Part, most, now int64) (c Change) {
	l := &p.Limit
	c = Change{Key: p.State, Algorithm: p.Algorithm}
	switch {
	case p.Algorithm.Shape() != ShapeWord:
		c.Log = LogChange{Period: l.period, Oldest: math.MinInt64, From: math.MinInt64}
		if p.Algorithm != r.from.Algorithm {
			units := r.units
			if p.Algorithm.Shape() == ShapeLog {
				units = min(units, most+1)
			}
			c.Log.Entries = []LogEntry{{now / 1000, units}}
			break
		}
		if c.Log.Entries = counting(c.Algorithm, r.from.Log.Entries, l.period, now); len(c.Log.Entries) == 0 {
			c.Algorithm = 0
		} else if p.Algorithm.Shape() == ShapeCounter {
			c.Log.Entries = r.until(c.Log.Entries, now/1000)
		}
	case p.Algorithm.plain() == FixedWindow:
		c.Word = WindowWord(l.windowEnd(now/1_000_000), r.units)
	default:
		c.Word = now + min(l.Price(r.units), int64(FillMax))
	}
	return c
}

// until are the entries of a counter, where that of the slice which is not over by an instant (µs) stands
// at the instant: at the end of the slice its units could count for many times a shorter period.
func (r *carrier) until(entries []LogEntry, now int64) []LogEntry {
	last := len(entries) - 1
	if period := wholeMicros(r.from.Log.Period); sliceOf(entries[last].At, period) != sliceOf(now, period) {
		return entries // it is over; or by the clock of somebody else it has begun, and by this one not yet
	}
	entries = slices.Clone(entries)
	entries[last].At = now
	return entries
}

// begin makes a part's state what a change says, unless it is live. It says whether it did.
func (s *Store) begin(c Change, now int64) (bool, error) {
	now *= 1000
	p, sp := newProbe(s.hasher.hash(c.Key), c.Key), s.space.Load()
	if n := len(c.Log.Entries); n > 0 {
		if err := s.roomForLog(sp, 0, int64(ringHead+ringSize(n+1, logUnitsMask))*8+cellBytes, now); err != nil {
			return false, err
		}
	}
	q := query{algorithm: c.Algorithm, now: now}
	t := sp.firstMade(&p)
	for {
		var slot *slot
		var st int64
		var what finding
		if t, slot, st, what = sp.locate(&p, t, now); what == absent {
			s.claim(sp, &p, t, slot, &q)
			continue
		}
		at, live := sp.idleAt(slot, st)
		switch {
		case live && at > now:
			return false, nil
		case !slot.is(c.Algorithm):
			sp.end(t, slot, st, stateDead, now)
		case held(st):
			sp.end(t, slot, st, stateIdle, now)
		case c.Algorithm.shape().apply(sp, t, slot, st, &c):
			sp.mark(t, slot)
			return true, nil
		}
	}
}

// takeOut takes what was read out of the former's state. What is missing there is given back from the
// part's: somebody has taken it out before.
func (r *carrier) takeOut(s *Store, f *Former, p *Part, now int64) {
	w := withdrawal{algorithm: f.Algorithm, taken: taken{0, r.from.Word}, entries: r.from.Log.Entries, now: now}
	missing := s.withdraw(f.State, &w)
	if f.Algorithm.HasBurst() {
		missing = r.units - min(f.Limit.unitsUp(max(r.from.Word-now-missing, 0)), r.units)
	}
	if missing = min(missing, r.units); missing > 0 {
		var d Decision
		// Of an error there is nothing to give back: the state is another's.
		_ = s.search(s.space.Load(), s.hasher.hash(p.State), p.State,
			&query{OpRefund, p.Algorithm, &p.Limit, missing, now, nil}, &d)
	}
}

// peekAt answers a peek at a part, at instant now (ns), as if its state were what a change says.
func (s *Store) peekAt(c *Call, p *Part, to *Change, now int64) {
	q := query{OpPeek, p.Algorithm, &p.Limit, c.Cost, now, nil}
	switch p.Algorithm.Shape() {
	case ShapeWord:
		p.Algorithm.ExplainWord(q.op, q.limit, to.Word, q.now, q.cost, &p.Decision)
	case ShapeLog:
		v := ringWith(0, nil, &to.Log).view()
		slidingWindowLogStep(&q, &v, s.logLimitMax, &p.Decision)
	case ShapeCounter:
		v := counterWith(&to.Log).counter()
		slidingWindowCounterStep(&q, &v, &p.Decision)
	}
}
