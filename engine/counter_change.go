package engine

import "math"

// read reads the counter that a state word refers to. An entry's instant is the last of its slice.
func (counterShape) read(sp *space, st int64, r *changeReader, following bool, change *Change) bool {
	ring := sp.logs.load(st)
	if ring == nil {
		return false
	}
	c := &change.Log
	for {
		v := ring.counter()
		oldest := max(v.base, v.newest()-CounterSlices)
		c.Period, c.Oldest, c.From = v.period*1000, sliceStart(oldest, v.period), math.MinInt64
		if told := int64(v.told.Load()); following && told > 0 {
			c.From = sliceStart(v.base+told, v.period)
			oldest = max(oldest, v.base+told)
		}
		r.entries = r.entries[:0]
		for i := v.firstFrom(oldest); i <= v.last(); i++ {
			r.entries = append(r.entries, LogEntry{sliceLast(v.slice(i), v.period), v.units(i)})
		}
		if v.holds() { // else the next slice has begun
			if c.Entries = r.entries; following {
				v.told.Store(uint32(v.newest() - v.base))
			}
			return true
		}
	}
}

func (counterShape) check(change *Change) (idleAt int64, err error) {
	c := &change.Log
	if err := c.checkEntries(UnitsMax); err != nil {
		return 0, err
	}
	period := wholeMicros(c.Period)
	newest := sliceOf(c.Entries[len(c.Entries)-1].At, period)
	return sliceStart(newest+CounterSlices+1, period) * 1000, nil
}

// apply puts each entry of a change into the slice that its instant is in, so that the change may be one
// of a counter with another period.
func (counterShape) apply(sp *space, t *table, slot *slot, st int64, change *Change) bool {
	c := &change.Log
	if !held(st) {
		return sp.start(t, slot, st, counterWith(c))
	}
	list := counterList{period: wholeMicros(c.Period)}
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateIdle)
		return false
	}
	v := r.counter()
	if r.extendCounter(v.missing(c), list.period) {
		return true
	}
	if v = r.counter(); !v.seal() {
		return false
	}
	if from := sliceOf(max(c.From, 0), v.period); c.From > c.Oldest && v.period == list.period {
		for i := v.firstFrom(sliceOf(max(c.Oldest, 0), v.period)); i <= v.last() && v.slice(i) < from; i++ {
			list.add(v.slice(i), v.units(i))
		}
	}
	list.with(c)
	return sp.logs.swap(r, list.ring(r.ref, counterPlaces(len(list.slices))))
}

// counterWith makes a ring of the entries of a change. Only this caller has it.
func counterWith(c *LogChange) *ring {
	list := counterList{period: wholeMicros(c.Period)}
	list.with(c)
	return list.ring(0, counterPlaces(len(list.slices)))
}

// missing is what a change has to be added to a counter, if what is there is the same as far as it goes;
// else, or if that is all, nil.
func (v *counterView) missing(c *LogChange) []sliceUnits {
	period := wholeMicros(c.Period)
	if v.sealed() || v.period != period {
		return nil
	}
	list := counterList{period: period}
	list.with(c)
	oldest := v.firstFrom(sliceOf(max(c.Oldest, 0), period))
	if v.firstFrom(list.newest()-CounterSlices) < oldest {
		return nil // some are there that would count, and do not
	}
	rest := list.slices
	for i := max(v.firstFrom(sliceOf(max(c.From, 0), period)), oldest); i <= v.last(); i++ {
		if len(rest) == 0 || rest[0].slice != v.slice(i) {
			return nil
		}
		rest[0].units -= v.units(i)
		if more := rest[0].units; more < 0 || more > 0 && i != v.last() {
			return nil
		} else if more == 0 {
			rest = rest[1:]
		}
	}
	return rest
}

// extendCounter adds units to a counter, and says whether all are there now. Nobody else adds any.
func (r *ring) extendCounter(missing []sliceUnits, period int64) bool {
	for _, m := range missing {
		v := r.counter()
		change := logChange{kind: logAppend, first: v.firstFrom(m.slice - CounterSlices), at: m.slice, units: m.units}
		if !v.fits(change, period) || v.unitsFrom(change.first)+m.units > UnitsMax || !v.append(change) {
			return false
		}
	}
	return len(missing) > 0
}
