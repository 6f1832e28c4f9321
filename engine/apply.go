package engine

import "math"

// Apply makes a key's state what a change says, whatever it was. It may be done twice, and is
// not told by Drain. A key whose state is at rest at instant now (µs) is forgotten, so now
// should lie a little in the past, as for Sweep. Changes of one key are applied by one caller
// at a time; others may ask and sweep meanwhile.
//
// A change that no store can have told is an *ArgumentError, and changes nothing.
func (s *Store) Apply(c *Change, now int64) error {
	if c.Key == "" {
		s.Flush()
		return nil
	}
	return s.apply(s.space.Load(), c, now*1000)
}

// A Loader fills a store anew: with what it is given, and nothing that was there before. Until
// it is done the store is as it was.
type Loader struct {
	store *Store
	space *space
}

// Load begins to fill the store anew.
func (s *Store) Load() *Loader { return &Loader{store: s, space: s.newSpace()} }

// Apply is Store.Apply for what the store is to become.
func (l *Loader) Apply(c *Change, now int64) error {
	if c.Key == "" {
		l.space = l.store.newSpace()
		return nil
	}
	return l.store.apply(l.space, c, now*1000)
}

// Done makes what was loaded the store's. Drain tells of it as a Flush only, so whoever follows
// changes reads all keys anew.
func (l *Loader) Done() { l.store.put(l.space) }

// apply is Apply within a space, at instant now (ns).
func (s *Store) apply(sp *space, c *Change, now int64) error {
	if err := c.check(); err != nil {
		return err
	}
	p := newProbe(s.hasher.hash(c.Key), c.Key)
	if c.Algorithm == 0 || c.restAt() <= now {
		sp.drop(&p, stateDead, now)
		return nil
	}
	q := query{algorithm: c.Algorithm, now: now}
	t := sp.firstMade(&p)
	for {
		var slot *slot
		var st int64
		var what finding
		switch t, slot, st, what = sp.settle(&p, t, now); {
		case what == absent:
			s.admit(sp, &p, t, slot, &q)
		case !slot.is(c.Algorithm):
			sp.forget(t, slot, st, stateDead, math.MaxInt64)
		case c.Algorithm.KeepsLog():
			if sp.applyLog(t, slot, st, &c.Log) {
				return nil
			}
		case st == c.Rest || t.swap(slot, st, c.Rest):
			return nil
		}
	}
}

// restAt is the instant (ns) at which the key of a change is at rest.
func (c *Change) restAt() int64 {
	if !c.Algorithm.KeepsLog() {
		return c.Rest
	}
	return c.Log.Entries[len(c.Log.Entries)-1].At*1000 + c.Log.Period
}

// check finds what is wrong with a change, so that what came from a damaged disk or a strange
// network breaks nothing.
func (c *Change) check() error {
	if err := CheckKey(c.Key); err != nil {
		return err
	}
	switch {
	case c.Algorithm == 0:
		return nil
	case !c.Algorithm.valid():
		return &ArgumentError{"algorithm", "of a change is not known"}
	case !c.Algorithm.KeepsLog():
		if c.Rest < 1 || c.Rest >= stateRested {
			return outOfRange("rest of a change", c.Rest, 1, stateRested-1)
		}
		return nil
	}
	return c.Log.check()
}

func (l *LogChange) check() error {
	if l.Period < int64(PeriodMin) || l.Period > int64(PeriodMax) {
		return outOfRange("period of a log", l.Period, int64(PeriodMin), int64(PeriodMax))
	}
	if len(l.Entries) == 0 {
		return &ArgumentError{"log", "has no entries"}
	}
	before, units := max(l.Oldest, l.From), int64(0)
	for _, e := range l.Entries {
		if e.At < max(before, 0) || e.At > NowMicrosMax {
			return &ArgumentError{"log", "is not in the order of time"}
		}
		if e.Units < 1 || e.Units > LogLimitMax {
			return outOfRange("units of a log's entry", e.Units, 1, LogLimitMax)
		}
		before = e.At
		units += e.Units
	}
	if units > LogLimitMax || before-l.Entries[0].At > logAtMax {
		return &ArgumentError{"log", "has more than a log can hold"}
	}
	return nil
}

// applyLog makes the log of a slot with state st what a change says, and returns false when
// something has changed meanwhile.
func (sp *space) applyLog(t *table, slot *slot, st int64, c *LogChange) bool {
	if !held(st) {
		return sp.start(t, slot, st, ringWith(0, nil, c))
	}
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateRested)
		return false
	}
	v := r.view()
	if r.extend(v.behind(c), c) {
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

// behind are the entries of a change that come behind those that are there, if these are the
// same as far as they go; else, or if there are none, nil.
func (v *logView) behind(c *LogChange) []LogEntry {
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

// ringWith makes a ring of entries and those of a change behind them. It is nobody else's yet.
func ringWith(ref int64, older []LogEntry, c *LogChange) *ring {
	live := len(older) + len(c.Entries)
	base := c.Entries[0].At
	if len(older) > 0 {
		base = older[0].At
	}
	r := newRing(ref, base, c.Period, ringSize(live+1, LogLimitMax))
	for _, list := range [][]LogEntry{older, c.Entries} {
		for _, e := range list {
			r.push(logChange{at: e.At, units: e.Units})
		}
	}
	return r
}
