package engine

// wordShape is the shape of states of one word. The word itself is the slot's state, so a step
// is one swap of it, and the word says all there is to say of the key.
type wordShape struct{}

// An outcome is what a step on a word did: all that the answer depends on. Spans are in ns.
type outcome struct {
	next  int64 // the word after the step, 0 for an idle key; the one before if nothing is to be written
	extra int64 // what else the algorithm's own explanation needs
	after int64 // from now until the key is idle after the step
	wait  int64 // 0 if admitted, else the span until this request would be, or Never
}

// stepWord takes one step on the word in a slot, and explains it. It returns false when the
// word has changed meanwhile.
func (sp *space) stepWord(t *table, s *slot, st int64, q *query, d *Decision) bool {
	word := st
	if st == stateIdle {
		word = 0
	}
	x := q.algorithm.step(q.op, word, q.limit, q.now, q.cost)
	if q.took != nil {
		q.took.noteWord(q.algorithm, word, x.next, q.now)
	}
	if x.next != word {
		to := x.next
		if to == 0 {
			to = stateIdle
		}
		if !t.swap(s, st, to) {
			return false
		}
		sp.mark(t, s)
	}
	q.algorithm.explain(q.limit, x, d)
	return true
}

func (wordShape) idleAt(_ *space, a Algorithm, st int64) (int64, bool) {
	return a.row().idleAt(st), true
}

func (wordShape) bytes(*space, int64) int64 { return 0 }

func (wordShape) end(_ *space, t *table, s *slot, st, to, by int64) (int64, bool) {
	at := s.kind().row().idleAt(st)
	return at, at <= by && t.swap(s, st, to)
}

func (wordShape) read(_ *space, st int64, _ *changeReader, _ bool, c *Change) bool {
	c.Word = st
	return true
}

func (wordShape) check(c *Change) (idleAt int64, err error) {
	if c.Word < 1 || c.Word >= stateIdle {
		return 0, outOfRange("word of a change", c.Word, 1, stateIdle-1)
	}
	return c.Algorithm.row().idleAt(c.Word), nil
}

func (wordShape) apply(_ *space, t *table, s *slot, st int64, c *Change) bool {
	return st == c.Word || t.swap(s, st, c.Word)
}
