package engine

// searchLog is search for algorithms that keep a log. What is to be written decides how:
// units that fit go into the ring by one swap, everything else replaces the ring by
// another, made from it after it is sealed.
func (s *Store) searchLog(sp *space, p *probe, q *query, d *Decision) error {
	t := sp.firstMade(p)
	for {
		var slot *slot
		var st int64
		var what finding
		if t, slot, st, what = sp.settle(p, t, q.now); what == absent {
			if change := slidingWindowLogStep(q, nil, d); change.kind == logKeep {
				return nil
			}
			// Before a slot is made, so that who is refused makes nobody else forget.
			if err := s.roomForLog(sp, p.meta, 0, firstRingBytes, q.now); err != nil {
				return err
			}
			s.admit(sp, p, t, slot, q)
			continue
		}
		if err := sp.own(t, slot, st, q); err != nil {
			return err
		} else if !slot.is(q.algorithm) {
			continue
		}
		if done, err := s.stepLog(sp, t, slot, st, p.meta, q, d); done {
			return err
		}
		sp.contended.Add(1)
	}
}

// stepLog takes one step on the log of a slot with state st. It returns false when
// something has changed meanwhile, and with an error always true. seed is any number.
func (s *Store) stepLog(sp *space, t *table, slot *slot, st int64, seed uint64, q *query, d *Decision) (done bool, err error) {
	if !held(st) {
		change := slidingWindowLogStep(q, nil, d)
		if change.kind == logKeep {
			return true, nil
		}
		done, err = s.begin(sp, t, slot, st, seed, change, q)
		return sp.stepped(t, slot, done, err)
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
		return sp.stepped(t, slot, true, nil)
	case logAppend:
		if v.fits(change, q.limit.period) {
			return sp.stepped(t, slot, v.append(change), nil)
		}
	case logGiveBack: // always by another ring
	}
	done, err = s.replace(sp, &v, seed, change, q)
	return sp.stepped(t, slot, done, err)
}

// stepped notes that a step has changed a log, if it has, and hands its result on.
func (sp *space) stepped(t *table, slot *slot, done bool, err error) (bool, error) {
	if done && err == nil {
		sp.mark(t, slot)
	}
	return done, err
}

// begin starts a log in a slot whose state is at rest.
func (s *Store) begin(sp *space, t *table, slot *slot, st int64, seed uint64, c logChange, q *query) (bool, error) {
	if err := s.roomForLog(sp, seed, 0, firstRingBytes, q.now); err != nil {
		return true, err
	}
	return sp.start(t, slot, st, firstRing(0, c, q.limit)), nil
}

// start puts a log's first ring, which is nobody else's yet, into a slot with state st, unless
// that is no longer its state.
func (sp *space) start(t *table, slot *slot, st int64, r *ring) bool {
	r.ref = sp.logs.take()
	sp.logs.hang(r)
	if t.swap(slot, st, r.ref) {
		return true
	}
	sp.logs.swap(r, nil)
	sp.logs.give(r.ref)
	return false
}

// replace seals a ring that was seen as v and puts one that holds the change in its place.
func (s *Store) replace(sp *space, v *logView, seed uint64, c logChange, q *query) (bool, error) {
	more := int64(ringSize(v.size()-c.first+1, q.limit.limit)-int(v.n)) * 8
	if more > 0 && c.kind == logAppend { // who gives back takes no more than before
		if err := s.roomForLog(sp, seed, v.ref, more, q.now); err != nil {
			return true, err
		}
	}
	if !v.seal() {
		return false, nil
	}
	less := int64(0)
	if c.kind == logGiveBack {
		less = c.units
	}
	r := v.kept(less, c, q.limit)
	if c.kind == logAppend {
		r.push(c)
	}
	return sp.logs.swap(v.ring, r), nil
}
