package engine

// A counterList is what a counter holds, laid open so that it can be written anew.
type counterList struct {
	period int64 // µs
	slices []sliceUnits
	units  int64 // of all slices
	cut    bool  // older units were left out that had not left
}

// sliceUnits is units that were admitted in one slice.
type sliceUnits struct{ slice, units int64 }

// A sliceRoom is room for a counterList that is not kept.
type sliceRoom [2 * counterPlacesMax]sliceUnits

func (l *counterList) newest() int64 { return l.slices[len(l.slices)-1].slice }

// add adds units of a slice that is not older than those before, and forgets what has left then, and
// the oldest of more than UnitsMax.
func (l *counterList) add(slice, units int64) {
	l.units += units
	if n := len(l.slices); n > 0 && l.newest() >= slice {
		l.slices[n-1].units += units
	} else {
		l.slices = append(l.slices, sliceUnits{slice, units})
	}
	for l.slices[0].slice < l.newest()-CounterSlices {
		l.units -= l.slices[0].units
		l.slices = l.slices[1:]
	}
	for l.units > UnitsMax {
		l.cut = true
		less := min(l.slices[0].units, l.units-UnitsMax)
		l.units -= less
		if l.slices[0].units -= less; l.slices[0].units == 0 {
			l.slices = l.slices[1:]
		}
	}
}

// with adds the entries of a change.
func (l *counterList) with(c *LogChange) {
	for _, e := range c.Entries {
		l.add(sliceOf(e.At, l.period), e.Units)
	}
}

// giveBack takes the newest units away.
func (l *counterList) giveBack(units int64) {
	for n := len(l.slices) - 1; n >= 0 && units > 0; n-- {
		less := min(l.slices[n].units, units)
		l.units -= less
		units -= less
		if l.slices[n].units -= less; l.slices[n].units == 0 {
			l.slices = l.slices[:n]
		}
	}
}

// next is what the counter holds after a change that a question makes, in room.
func (v *counterView) next(c logChange, q *query, room []sliceUnits) counterList {
	l := counterList{period: wholeMicros(q.limit.period), slices: room}
	if c.first <= v.last() {
		l.period = max(l.period, v.period)
	}
	for i := c.first; i <= v.last(); i++ {
		slice := v.slice(i)
		if l.period != v.period {
			slice = sliceOf(sliceLast(slice, v.period), l.period)
		}
		l.add(slice, v.units(i))
	}
	if c.kind == logGiveBack {
		l.giveBack(c.units)
	} else {
		l.add(sliceOf(q.now/1000, l.period), c.units)
	}
	return l
}

// counterPlaces is how many places a counter of so many slices gets: half as many again.
func counterPlaces(slices int) int {
	over := slices - 1
	return min(over+(over+1)/2+counterPlacesMin, counterPlacesMax)
}

// ring makes a ring of a list that is not empty, with so many places. Only this caller has it.
func (l *counterList) ring(ref int64, places int) *ring {
	r := newRing(ref, l.slices[0].slice, l.period, 1+places)
	units, newest := int64(0), len(l.slices)-1
	for i, s := range l.slices {
		units += s.units
		if i < newest {
			r.word(uint32(i + 1)).Store(uint64(s.slice-r.base+1)<<counterUnitsBits | uint64(units))
		}
	}
	r.word(0).Store(uint64(newest)<<counterPlaceShift | uint64(l.newest()-r.base)<<counterUnitsBits | uint64(units))
	return r
}

// follows makes the ring r, of the list, one that follows this one: what was told of it has been told,
// but for the newest slice.
func (l *counterList) follows(v *counterView, r *ring) {
	if l.period == v.period && !l.cut {
		r.told.Store(uint32(max(min(v.base+int64(v.told.Load()), l.newest())-r.base, 0)))
	}
}
