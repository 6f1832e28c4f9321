package engine

// doLog is the loop for algorithms that keep a log. What is to be written decides how:
// units that fit go into the ring by one swap, everything else replaces the ring by
// another, made from it after it is sealed.
func (s *Store) doLog(sp *space, p *probe, o op, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	t := sp.firstMade(p)
	for {
		var slot *slot
		var st int64
		var what finding
		if t, slot, st, what = sp.settle(p, t, now); what == absent {
			change, d := slidingWindowLogStep(o, nil, l, now, cost)
			if change.kind == logKeep {
				return d, nil
			}
			s.admit(sp, p, t, slot, a, now)
			continue
		}
		if err := sp.own(t, slot, st, a, now); err != nil {
			return Decision{}, err
		} else if !slot.is(a) {
			continue
		}
		if !held(st) {
			change, d := slidingWindowLogStep(o, nil, l, now, cost)
			if change.kind == logKeep {
				return d, nil
			}
			if ok, err := s.begin(sp, p, t, slot, st, change, now); ok || err != nil {
				return d, err
			}
			continue
		}
		r := sp.logs.load(st)
		if r == nil {
			sp.release(t, slot, st, stateRested)
			continue
		}
		v := r.view()
		change, d := slidingWindowLogStep(o, &v, l, now, cost)
		ok, err := s.write(sp, p, &v, change, l.limit, now)
		switch {
		case err != nil:
			return Decision{}, err
		case ok && change.kind == logEnd:
			sp.release(t, slot, st, stateRested)
			return d, nil
		case ok:
			return d, nil
		}
		sp.contended.Add(1)
	}
}

// begin starts a log in a slot whose state is at rest.
func (s *Store) begin(sp *space, p *probe, t *table, slot *slot, st int64, c logChange, now int64) (bool, error) {
	if err := s.roomForLog(sp, p, int64(ringHead+ringSlotsMin)*8, now); err != nil {
		return false, err
	}
	ref := sp.logs.take()
	r := firstRing(ref, c)
	sp.logs.hang(r)
	if t.swap(slot, st, ref) {
		return true, nil
	}
	sp.logs.swap(r, nil)
	sp.logs.give(ref)
	return false, nil
}

// write makes a change to a log that was seen as v, unless it is no longer so.
func (s *Store) write(sp *space, p *probe, v *logView, c logChange, limit, now int64) (bool, error) {
	switch c.kind {
	case logKeep:
		return v.holds(), nil
	case logEnd:
		return v.seal() && sp.logs.swap(v.ring, nil), nil
	case logAppend:
		if v.fits(c) {
			return v.append(c), nil
		}
	}
	next := ringSize(v.size-c.first+1, limit)
	if more := int64(next-int(v.n)) * 8; more > 0 {
		if err := s.roomForLog(sp, p, more, now); err != nil {
			return false, err
		}
	}
	if !v.seal() {
		return false, nil
	}
	var r *ring
	if c.kind == logGiveBack {
		r = v.kept(c.first, c.units, c, limit)
	} else {
		r = v.kept(c.first, 0, c, limit)
		r.push(c)
	}
	return sp.logs.swap(v.ring, r), nil
}
