package engine

// How the parts of a call are asked. A check of several parts first looks at all of them: each takes its
// step on the state that it sees, and writes nothing. If all admit, the steps are written, one after the
// other, in the order of the parts. A state that has changed since is asked anew. Where one refuses then,
// what was taken of the others is taken back, and the call begins again. So between two callers both may
// be denied where one would have passed; never do both pass where one had to be denied.

// AskCall asks all parts at instant now, and writes the answer into the call and its parts. It allocates
// nothing where the states exist and no units are to be moved. An error changes nothing: that of Ask for
// a part, or ErrReplaced.
func (s *Store) AskCall(c *Call, now int64) error {
	var err error
	if len(c.Parts) == 1 {
		err = s.askPart(c, &c.Parts[0], now)
	} else {
		err = s.askParts(c, now)
	}
	if err != nil {
		c.Decision = Decision{}
	}
	return err
}

// A glance is a part's state as it was seen, and what the step makes of it.
type glance struct {
	t    *table
	slot *slot
	st   int64
	next int64
}

// look takes a step on the state of a part and explains it, if that is a word to which the way is short,
// and writes nothing. The arguments are within their ranges.
func (s *Store) look(sp *space, p *Part, o Op, cost, now int64, g *glance) bool {
	a := p.Algorithm
	t := sp.shelves[classOf[plainWords(p.State)]][p.hash>>(64-shardBits)].Load()
	if t == nil {
		return false
	}
	var slot *slot
	if p.name.length != 0 {
		slot = t.nearName(p.name.meta(p.hash)|uint64(a), &p.name)
	} else {
		slot = t.nearOther(metaOf(p.hash, p.State)|uint64(a), p.State)
	}
	if slot == nil || s.kinds[a].shape != ShapeWord {
		return false
	}
	st := slot.state.Load()
	if !held(st) || len(p.Formers) > 0 && a.row().idleAt(st) <= now {
		return false
	}
	x := a.step(o, st, &p.Limit, now, cost)
	if x.next == 0 {
		return false
	}
	a.explain(&p.Limit, x, &p.Decision)
	g.t, g.slot, g.st, g.next = t, slot, st, x.next
	return true
}

// write writes the step that was seen, and says whether the state is still the one that it was.
func (g *glance) write(sp *space) bool {
	if g.next == g.st {
		return true
	}
	if !g.slot.state.CompareAndSwap(g.st, g.next) {
		sp.contended.Add(1)
		return false
	}
	sp.mark(g.t, g.slot)
	return true
}

// checkPart finds what is wrong with a part's arguments.
func (s *Store) checkPart(c *Call, p *Part, now int64) error {
	if uint(len(p.State)-1) < StateBytesMax && s.accepts(p.Algorithm, &p.Limit, c.Cost, now) {
		return nil
	}
	return s.refusal(p.State, p.Algorithm, &p.Limit, c.Cost, now)
}

// hashPart hashes the name of a part's state.
func (s *Store) hashPart(p *Part) {
	if p.Suffix != nil && p.name.set(p.Key, p.Suffix) && s.hasher.other == nil {
		p.hash = s.hasher.medium(&p.name)
		return
	}
	p.name.length = 0
	p.hash = s.hasher.hash(p.State)
}

// askPart asks the only part of a call.
func (s *Store) askPart(c *Call, p *Part, now int64) error {
	if err := s.checkPart(c, p, now); err != nil {
		return p.Decision.unless(err)
	}
	var g glance
	sp := s.space.Load()
	s.hashPart(p)
	if s.look(sp, p, c.Op, c.Cost, now*1000, &g) && g.write(sp) {
		p.took.noteWord(p.Algorithm, g.st, g.next, now*1000)
		p.has = g.st != g.next
	} else if err := s.askSlowly(c, p, c.Op, now); err != nil {
		return err
	}
	if p.Replaced != nil && p.Replaced.Load() && s.withdrawCall(c, now) {
		return p.Decision.unless(ErrReplaced)
	}
	if c.Decision = p.Decision; p.Shadow {
		c.Conclude()
	}
	return nil
}

// askSlowly asks a part, whatever its state, and notes what was taken.
func (s *Store) askSlowly(c *Call, p *Part, o Op, now int64) error {
	p.has = false
	if len(p.Formers) > 0 {
		if done, err := s.carry(c, p, o, now); done || err != nil {
			return p.Decision.unless(err)
		}
	}
	p.took = taken{}
	q := query{o, p.Algorithm, &p.Limit, c.Cost, now * 1000, &p.took}
	if err := s.search(s.space.Load(), p.hash, p.State, &q, &p.Decision); err != nil {
		return p.Decision.unless(err)
	}
	switch o {
	case OpCheck:
		p.has = p.Decision.Allowed
	case OpForce:
		p.has = true
	case OpRefund:
		p.has = p.took.before != p.took.after
	case OpPeek:
	}
	return nil
}

// askParts asks a call of several parts, or of none.
func (s *Store) askParts(c *Call, now int64) (err error) {
	n, sp := len(c.Parts), s.space.Load()
	several := n > 0 && c.Parts[0].Pair != c.Parts[n-1].Pair
	for i := range c.Parts {
		p := &c.Parts[i]
		p.has = false
		if err := s.checkPart(c, p, now); err != nil {
			return err
		}
		s.hashPart(p)
		if several { // so that the memory of all comes at once; that of one key a caller may have fetched
			sp.prefetch(p.hash, p.State)
		}
	}
	switch c.Op {
	case OpCheck:
		err = s.checkParts(c, now)
	case OpForce:
		err = s.eachPart(c, now)
	case OpRefund:
		// Refunds cannot be undone. So errors are looked for first, and later than that there are none:
		// giving back needs no memory, and the states of policies are of one kind each.
		if err = s.lookAtParts(c, OpPeek, now); err == nil {
			err = s.eachPart(c, now)
		}
	case OpPeek:
		err = s.lookAtParts(c, OpPeek, now)
	}
	if err == nil && c.replaced() && s.withdrawCall(c, now) {
		err = ErrReplaced
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		if p.seen = (glance{}); err != nil { // a call may be kept, and holds no table
			p.Decision = Decision{}
		}
	}
	if err == nil {
		c.Conclude()
	}
	return err
}

// eachPart asks one part after the other.
func (s *Store) eachPart(c *Call, now int64) error {
	for i := range c.Parts {
		if err := s.askSlowly(c, &c.Parts[i], c.Op, now); err != nil {
			s.undoParts(c, c.Parts[:i], now)
			return err
		}
	}
	return nil
}

// lookAtParts asks every part without writing anything. With OpCheck, what it sees can be written.
func (s *Store) lookAtParts(c *Call, o Op, now int64) error {
	sp := s.space.Load()
	for i := range c.Parts {
		p := &c.Parts[i]
		if s.look(sp, p, o, c.Cost, now*1000, &p.seen) {
			continue
		}
		p.seen = glance{}
		if len(p.Formers) > 0 && o == OpCheck {
			if _, err := s.carry(c, p, o, now); err != nil {
				return err
			}
		}
		if err := s.askSlowly(c, p, OpPeek, now); err != nil {
			return err
		}
	}
	return nil
}

// checkParts checks a call of several parts.
func (s *Store) checkParts(c *Call, now int64) error {
	for try := 1; ; try++ {
		if err := s.lookAtParts(c, OpCheck, now); err != nil {
			return err
		}
		if c.denied() {
			s.explainPeeks(c, 0, len(c.Parts), now)
			return nil
		}
		refused, err := s.takeParts(c, now)
		if refused < 0 || err != nil {
			return err
		}
		if try == callTries {
			d := c.Parts[refused].Decision
			err := s.lookAtParts(c, OpPeek, now)
			if !c.denied() {
				c.Parts[refused].Decision = d
			}
			return err
		}
	}
}

// denied says whether a part denies the call.
func (c *Call) denied() bool {
	for i := range c.Parts {
		if p := &c.Parts[i]; !p.Decision.Allowed && !p.Shadow {
			return true
		}
	}
	return false
}

// explainPeeks makes the decisions of parts of which nothing was taken those of peeks.
func (s *Store) explainPeeks(c *Call, from, to int, now int64) {
	for i := from; i < to; i++ {
		if p := &c.Parts[i]; p.seen.st != 0 && p.Decision.Allowed {
			p.Algorithm.ExplainWord(OpPeek, &p.Limit, p.seen.st, now*1000, c.Cost, &p.Decision)
		}
	}
}

// takeParts takes from every part, first from those that can deny. If one of these refuses it returns
// which, having taken back all. Else it returns −1.
func (s *Store) takeParts(c *Call, now int64) (refused int, err error) {
	shadows := false
	for i := range c.Parts {
		p := &c.Parts[i]
		if p.Shadow {
			shadows = true
			continue
		}
		if err = s.takePart(c, p, now); err != nil || !p.has {
			s.undoParts(c, c.Parts[:i], now)
			return i, err
		}
	}
	for from := 0; shadows && from < len(c.Parts); {
		to := from + 1
		for to < len(c.Parts) && c.Parts[to].Pair == c.Parts[from].Pair {
			to++
		}
		if !c.Parts[from].Shadow {
			from = to
			continue
		}
		if err = s.takeShadows(c, from, to, now); err != nil {
			s.undoParts(c, c.Parts, now)
			return from, err
		}
		from = to
	}
	return -1, nil
}

// takeShadows takes from the parts of a pair in shadow, all or nothing.
func (s *Store) takeShadows(c *Call, from, to int, now int64) error {
	for i := from; i < to; i++ {
		if !c.Parts[i].Decision.Allowed {
			s.explainPeeks(c, from, to, now)
			return nil
		}
	}
	for i := from; i < to; i++ {
		err := s.takePart(c, &c.Parts[i], now)
		if err == nil && c.Parts[i].has {
			continue
		}
		s.undoParts(c, c.Parts[from:i], now)
		for j := from; j < to && err == nil; j++ {
			if j != i {
				err = s.askSlowly(c, &c.Parts[j], OpPeek, now)
			}
		}
		return err
	}
	return nil
}

// takePart takes what a part was seen to admit, if it still does.
func (s *Store) takePart(c *Call, p *Part, now int64) error {
	if g := &p.seen; g.st != 0 && g.write(s.space.Load()) {
		p.took.noteWord(p.Algorithm, g.st, g.next, now*1000)
		p.has = true
		return nil
	}
	return s.askSlowly(c, p, OpCheck, now)
}

// undoParts takes back what was taken from parts.
func (s *Store) undoParts(c *Call, parts []Part, now int64) {
	for i := range parts {
		if p := &parts[i]; p.has {
			s.undo(c, p, now)
		}
	}
}

// undo takes back what was taken from a part, and says whether something of it was there.
func (s *Store) undo(c *Call, p *Part, now int64) bool {
	later := now*1000 + idleLag
	if c.Clock != nil {
		later = max(now, c.Clock()) * 1000
	}
	p.has = false
	return s.undoTaken(p.State, &withdrawal{algorithm: p.Algorithm, taken: p.took, now: later})
}

// withdrawCall takes back what a call has taken under limits that were replaced meanwhile. It returns
// false if the call stands, because what it took is no longer there: it was carried over. Where only some
// was carried over, or of some parts only, the call does not stand, and these units count besides those
// that it takes when it is asked again: fewer are admitted than could be, never more.
func (s *Store) withdrawCall(c *Call, now int64) bool {
	if c.Op == OpRefund {
		for i := range c.Parts {
			if c.Parts[i].has {
				return false
			}
		}
		return true
	}
	undone := false
	for i := range c.Parts {
		if p := &c.Parts[i]; p.has {
			if !s.undo(c, p, now) && !undone {
				return false
			}
			undone = true
		}
	}
	return true
}
