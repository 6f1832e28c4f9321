package engine

// searchLog is search for algorithms that keep a log. What is to be written decides how:
// units that fit go into the ring by one swap, everything else replaces the ring by
// another, made from it after it is sealed.
func (s *Store) searchLog(sp *space, p *probe, q *query, d *Decision) (err error) {
	defer func() {
		if err != nil {
			*d = Decision{} // a step that lost a race may have left its answer
		}
	}()
	t := sp.firstMade(p)
	for {
		var slot *slot
		var st int64
		var what finding
		if t, slot, st, what = sp.settle(p, t, q.now); what == absent {
			if change := slidingWindowLogStep(q, nil, d); change.kind == logKeep {
				return nil
			}
			s.admit(sp, p, t, slot, q)
			continue
		}
		if err := sp.own(t, slot, st, q); err != nil {
			return err
		} else if !slot.is(q.algorithm) {
			continue
		}
		if done, err := s.stepLog(sp, p, t, slot, st, q, d); done || err != nil {
			return err
		}
		sp.contended.Add(1)
	}
}

// stepLog takes one step on the log of a slot with state st. It returns false when
// something has changed meanwhile.
func (s *Store) stepLog(sp *space, p *probe, t *table, slot *slot, st int64, q *query, d *Decision) (bool, error) {
	if !held(st) {
		change := slidingWindowLogStep(q, nil, d)
		if change.kind == logKeep {
			return true, nil
		}
		return s.begin(sp, p, t, slot, st, change, q.now)
	}
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateRested)
		return false, nil
	}
	v := r.view()
	change := slidingWindowLogStep(q, &v, d)
	switch change.kind {
	case logKeep:
		return v.holds(), nil
	case logEnd:
		if !v.seal() || !sp.logs.swap(r, nil) {
			return false, nil
		}
		sp.release(t, slot, st, stateRested)
		return true, nil
	case logAppend:
		if v.fits(change) {
			return v.append(change), nil
		}
	}
	return s.replace(sp, p, &v, change, q)
}

// begin starts a log in a slot whose state is at rest.
func (s *Store) begin(sp *space, p *probe, t *table, slot *slot, st int64, c logChange, now int64) (bool, error) {
	if err := s.roomForLog(sp, p, 0, int64(ringHead+ringSlotsMin)*8, now); err != nil {
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

// replace seals a ring that was seen as v and puts one that holds the change in its place.
func (s *Store) replace(sp *space, p *probe, v *logView, c logChange, q *query) (bool, error) {
	more := int64(ringSize(v.size-c.first+1, q.limit.limit)-int(v.n)) * 8
	if more > 0 {
		if err := s.roomForLog(sp, p, v.ref, more, q.now); err != nil {
			return false, err
		}
	}
	if !v.seal() {
		return false, nil
	}
	less := int64(0)
	if c.kind == logGiveBack {
		less = c.units
	}
	r := v.kept(less, c, q.limit.limit)
	if c.kind == logAppend {
		r.push(c)
	}
	return sp.logs.swap(v.ring, r), nil
}
