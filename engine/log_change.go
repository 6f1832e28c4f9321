package engine

import (
	"math"
	"slices"
)

// read reads the log that a state word refers to.
func (logShape) read(sp *space, st int64, r *changeReader, following bool, c *Change) bool {
	ring := sp.logs.load(st)
	if ring == nil {
		return false
	}
	for !r.log(ring, following, &c.Log) {
		// written once round meanwhile
	}
	return true
}

// log reads a ring as it was at one instant, but for entries that have left since. It returns
// false if there is nothing of that any more.
//
// Entries are replaced in order, oldest first. So the place of the gap before and after tells
// which were replaced under the reader's eyes, if it has not gone all the way round, which the
// newest entry tells; and those that were had left. A log that is written to all the time
// therefore needs not stand still to be read.
func (r *changeReader) log(ring *ring, following bool, c *LogChange) bool {
	v := ring.view()
	newest := v.newestAt()
	// Older ones were left out when the ring was made, or have left.
	c.Oldest = max(v.base, newest+1-wholeMicros(v.period))
	c.Period, c.From = v.period, math.MinInt64
	from := c.Oldest
	if told := v.told.Load(); following && told > 0 {
		c.From = v.base + int64(told)*toldMicros
		from = max(from, c.From)
	}
	// Backwards, with one entry more for its count.
	r.words = r.words[:0]
	for i := v.size() - 1; i >= -1; i-- {
		w := v.entry(i)
		r.words = append(r.words, w)
		if w == 0 || w < logSeal && v.base+int64(w>>logUnitsBits) < from {
			break
		}
	}
	gap := ring.view().gapAt
	replaced := (int(gap) + int(v.n) - int(v.gapAt)) % int(v.n)
	there := min(len(r.words)-1, v.size()-replaced)
	if there == 0 || v.word(v.before(v.gapAt)).Load() != v.newest {
		return false // all have left
	}
	r.entries = r.entries[:0]
	for i := range there {
		w := r.words[i]
		r.entries = append(r.entries, LogEntry{v.base + int64(w>>logUnitsBits), int64((w - r.words[i+1]) & logUnitsMask)})
	}
	slices.Reverse(r.entries)
	c.Entries = r.entries
	if following {
		v.told.Store(uint32((newest - v.base) / toldMicros))
	}
	return true
}

func (logShape) check(c *Change) (idleAt int64, err error) {
	l := &c.Log
	if err := l.checkEntries(logUnitsMask); err != nil {
		return 0, err
	}
	units, newest := int64(0), l.Entries[len(l.Entries)-1].At
	for _, e := range l.Entries {
		units += e.Units
	}
	if units > logUnitsMask || newest-l.Entries[0].At > logAtMax {
		return 0, &ArgumentError{"log", "has more than a log can hold"}
	}
	return newest*1000 + l.Period, nil
}

// checkEntries finds what is wrong with the period or an entry, which has at most so many units.
func (c *LogChange) checkEntries(most int64) error {
	if c.Period < int64(PeriodMin) || c.Period > int64(PeriodMax) {
		return outOfRange("period of a log", c.Period, int64(PeriodMin), int64(PeriodMax))
	}
	if len(c.Entries) == 0 {
		return &ArgumentError{"log", "has no entries"}
	}
	before := max(c.Oldest, c.From, 0)
	for _, e := range c.Entries {
		if e.At < before || e.At > NowMicrosMax {
			return &ArgumentError{"log", "is not in the order of time"}
		}
		if e.Units < 1 || e.Units > most {
			return outOfRange("units of a log's entry", e.Units, 1, most)
		}
		before = e.At
	}
	return nil
}

func (logShape) apply(sp *space, t *table, slot *slot, st int64, change *Change) bool {
	c := &change.Log
	if !held(st) {
		return sp.start(t, slot, st, ringWith(0, nil, c))
	}
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateIdle)
		return false
	}
	v := r.view()
	if r.extend(v.missing(c), c) {
		return true
	}
	v = r.view()
	if !v.seal() {
		return false
	}
	return sp.logs.swap(r, ringWith(r.ref, v.older(c), c))
}

// extend appends entries of a change, and says whether all are there now. Nobody else appends.
func (r *ring) extend(entries []LogEntry, c *LogChange) bool {
	for _, e := range entries {
		v := r.view()
		change := logChange{kind: logAppend, first: v.firstAfter(c.Oldest - 1), at: e.At, units: e.Units}
		if !v.fits(change, c.Period) || !v.append(change) {
			return false
		}
	}
	return len(entries) > 0
}

// missing are the entries of a change that come behind those that are there, if these are the
// same as far as they go; else, or if there are none, nil.
func (v *logView) missing(c *LogChange) []LogEntry {
	if v.sealed() || v.period != c.Period {
		return nil
	}
	oldest, newest := v.firstAfter(c.Oldest-1), c.Entries[len(c.Entries)-1].At
	if v.firstAfter(newest-wholeMicros(c.Period)) < oldest {
		return nil // some are there that would count, and do not
	}
	rest := c.Entries
	for i := v.firstAfter(max(c.From, c.Oldest) - 1); i < v.size(); i++ {
		if len(rest) == 0 || v.at(i) != rest[0].At || v.units(i, i) != rest[0].Units {
			return nil
		}
		rest = rest[1:]
	}
	return rest
}

// older are the entries that a change leaves as they are.
func (v *logView) older(c *LogChange) []LogEntry {
	var kept []LogEntry
	if c.From <= c.Oldest {
		return nil
	}
	for i := v.firstAfter(c.Oldest - 1); i < v.size() && v.at(i) < c.From; i++ {
		kept = append(kept, LogEntry{v.at(i), v.units(i, i)})
	}
	return kept
}

// ringWith makes a ring of entries and those of a change behind them. Only this caller has it.
func ringWith(ref int64, older []LogEntry, c *LogChange) *ring {
	live := len(older) + len(c.Entries)
	base := c.Entries[0].At
	if len(older) > 0 {
		base = older[0].At
	}
	r := newRing(ref, base, c.Period, ringSize(live+1, logUnitsMask))
	for _, list := range [][]LogEntry{older, c.Entries} {
		for _, e := range list {
			r.push(logChange{at: e.At, units: e.Units})
		}
	}
	return r
}
