package engine

// counterShape is the shape of states that are counters. It is as the logs' but for what stands in the
// ring: a step that fits is one swap, everything else replaces the ring by another.
type counterShape struct{ logShape }

// stepCounter takes one step on the counter of a slot with state st. It returns false when something
// has changed meanwhile, and with an error always true.
func (s *Store) stepCounter(sp *space, t *table, slot *slot, st int64, q *query, d *Decision) (done bool, err error) {
	if !held(st) {
		if writes, err := s.stepAbsent(sp, q, d); !writes {
			return true, err
		}
		first := counterList{period: wholeMicros(q.limit.period)}
		q.took.note(q.now/1000, q.cost)
		first.add(sliceOf(q.now/1000, first.period), q.cost)
		return sp.stepped(t, slot, sp.start(t, slot, st, first.ring(0, counterPlacesMin)), nil)
	}
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateIdle)
		return false, nil
	}
	v := r.counter()
	change := slidingWindowCounterStep(q, &v, d)
	q.took.note(max(q.now/1000, sliceStart(v.newest(), v.period)), change.units)
	switch change.kind {
	case logKeep:
		return v.holds(), nil
	case logEnd:
		if !v.seal() || !sp.logs.swap(r, nil) {
			return false, nil
		}
		sp.release(t, slot, st, stateIdle)
		return sp.stepped(t, slot, true, nil)
	case logAppend:
		if v.fits(change, wholeMicros(q.limit.period)) {
			return sp.stepped(t, slot, v.append(change), nil)
		}
	case logCut, logGiveBack: // always by another ring
	}
	done, err = s.replaceCounter(sp, &v, change, q)
	return sp.stepped(t, slot, done, err)
}

// replaceCounter seals a ring that was seen as v and puts one that holds the change in its place.
func (s *Store) replaceCounter(sp *space, v *counterView, c logChange, q *query) (bool, error) {
	var room sliceRoom
	list := v.next(c, q, room[:0])
	if !v.holds() {
		return false, nil
	}
	places := counterPlaces(len(list.slices))
	if more := int64(places-int(v.places())) * 8; more > 0 {
		if c.kind == logGiveBack { // which needs no more than before
			places = int(v.places())
		} else if err := s.roomForLog(sp, v.ref, more, q.now); err != nil {
			return true, err
		}
	}
	if !v.seal() {
		return false, nil
	}
	r := list.ring(v.ref, places)
	list.follows(v, r)
	return sp.logs.swap(v.ring, r), nil
}

func (counterShape) idleAt(sp *space, _ Algorithm, st int64) (int64, bool) {
	if r := sp.logs.load(st); r != nil {
		v := r.counter()
		return v.idleAt(), true
	}
	return 0, false
}

func (counterShape) end(sp *space, t *table, s *slot, st, to, by int64) (at int64, ok bool) {
	if r := sp.logs.load(st); r != nil {
		v := r.counter()
		if at = v.idleAt(); at > by || !v.seal() || !sp.logs.swap(r, nil) {
			return 0, false
		}
		ok = true
	}
	sp.release(t, s, st, to)
	return at, ok
}
