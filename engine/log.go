package engine

// logShape is the shape of states that are logs of admitted units. What a step writes decides
// how: units that fit go into the ring by one swap, everything else replaces the ring by
// another, made from it after it is sealed.
type logShape struct{}

// stepLog takes one step on the log of a slot with state st. It returns false when
// something has changed meanwhile, and with an error always true.
func (s *Store) stepLog(sp *space, t *table, slot *slot, st int64, q *query, d *Decision) (done bool, err error) {
	if !held(st) {
		if writes, err := s.stepAbsent(sp, q, d); !writes {
			return true, err
		}
		c := logChange{at: q.now / 1000, units: min(q.cost, s.logLimitMax+1)}
		q.took.note(c.at, c.units)
		first := firstRing(0, c, q.limit)
		return sp.stepped(t, slot, sp.start(t, slot, st, first), nil)
	}
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, slot, st, stateIdle)
		return false, nil
	}
	v := r.view()
	change := slidingWindowLogStep(q, &v, s.logLimitMax, d)
	q.took.note(change.at, change.units)
	switch change.kind {
	case logKeep:
		return v.holds(), nil
	case logEnd:
		return sp.stepped(t, slot, sp.ends(t, slot, r, v.seal(), stateIdle), nil)
	case logAppend:
		if v.fits(change, q.limit.period) {
			return sp.stepped(t, slot, v.append(change), nil)
		}
	case logCut, logGiveBack: // always by another ring
	}
	done, err = s.replace(sp, &v, change, q)
	return sp.stepped(t, slot, done, err)
}

// stepRing takes one step on a state in a ring, as stepLog does.
func (s *Store) stepRing(sp *space, t *table, slot *slot, st int64, q *query, d *Decision) (done bool, err error) {
	if s.kinds[q.algorithm].shape == ShapeCounter {
		return s.stepCounter(sp, t, slot, st, q, d)
	}
	return s.stepLog(sp, t, slot, st, q, d)
}

// stepped notes that a step has changed a log, if it has, and hands its result on.
func (sp *space) stepped(t *table, slot *slot, done bool, err error) (bool, error) {
	if done && err == nil {
		sp.mark(t, slot)
	}
	return done, err
}

// ends ends a log whose ring is sealed, or else has changed meanwhile: to becomes its slot's state. It
// says whether this call did.
func (sp *space) ends(t *table, slot *slot, r *ring, sealed bool, to int64) bool {
	if !sealed || !sp.logs.swap(r, nil) {
		return false
	}
	sp.release(t, slot, r.ref, to)
	return true
}

// start puts a log's first ring, which only this caller has, into a slot with state st, unless
// that is no longer its state.
func (sp *space) start(t *table, slot *slot, st int64, r *ring) bool {
	r.ref = sp.logs.alloc()
	sp.logs.put(r)
	if t.swap(slot, st, r.ref) {
		return true
	}
	sp.logs.swap(r, nil)
	sp.logs.giveBack(r.ref)
	return false
}

// replace seals a ring that was seen as v and puts one that holds the change in its place.
func (s *Store) replace(sp *space, v *logView, c logChange, q *query) (bool, error) {
	rest := v.rest(c, q.limit.period, s.logLimitMax)
	if c.kind != logGiveBack { // which takes no more than before
		more := int64(ringSize(rest.last-rest.first+2, q.limit.limit)-int(v.n)) * 8
		if more > 0 {
			if err := s.roomForLog(sp, v.ref, more, q.now); err != nil {
				return true, err
			}
		}
	}
	if !v.seal() {
		return false, nil
	}
	r := v.kept(rest, c.at, q.limit)
	if c.kind != logGiveBack {
		r.push(c)
	}
	return sp.logs.swap(v.ring, r), nil
}

func (logShape) idleAt(sp *space, _ Algorithm, st int64) (int64, bool) {
	if r := sp.logs.load(st); r != nil {
		v := r.view()
		return v.idleAt(), true
	}
	return 0, false
}

func (logShape) bytes(sp *space, st int64) int64 {
	if r := sp.logs.load(st); r != nil {
		return r.bytes() + cellBytes
	}
	return 0
}

func (logShape) end(sp *space, t *table, s *slot, st, to, by int64) (at int64, ok bool) {
	r := sp.logs.load(st)
	if r == nil {
		sp.release(t, s, st, to)
		return 0, false
	}
	// The state word does not change with the log, so that the log is still idle has to be
	// seen in what is sealed.
	v := r.view()
	at = v.idleAt()
	return at, at <= by && sp.ends(t, s, r, v.seal(), to)
}

// release takes back the cell of a log that has ended.
func (sp *space) release(t *table, s *slot, ref, to int64) {
	if t.swap(s, ref, to) {
		sp.logs.giveBack(ref)
	}
}
