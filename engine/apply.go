package engine

import "math"

// Apply makes a key's state what a change says, whatever it was. It may be done twice, and is
// not told by Drain. A key whose state is idle at instant now (µs) is dropped, so now
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

// Done makes what was loaded the store's. Drain tells of it as a Flush only, so a follower of
// changes reads all keys anew.
func (l *Loader) Done() { l.store.put(l.space) }

// apply is Apply within a space, at instant now (ns).
func (s *Store) apply(sp *space, c *Change, now int64) error {
	idleAt, err := c.check()
	if err != nil {
		return err
	}
	p := newProbe(s.hasher.hash(c.Key), c.Key)
	if idleAt <= now {
		sp.drop(&p, stateDead, now)
		return nil
	}
	q := query{algorithm: c.Algorithm, now: now}
	t := sp.firstMade(&p)
	for {
		var slot *slot
		var st int64
		var what finding
		switch t, slot, st, what = sp.locate(&p, t, now); {
		case what == absent:
			s.claim(sp, &p, t, slot, &q)
		case !slot.is(c.Algorithm):
			sp.end(t, slot, st, stateDead, math.MaxInt64)
		case c.Algorithm.shape().apply(sp, t, slot, st, c):
			return nil
		}
	}
}

// check finds what is wrong with a change, so that a damaged disk or a strange network breaks
// nothing. Of a change without a state, the key is idle since ever.
func (c *Change) check() (idleAt int64, err error) {
	if err := CheckState(c.Key); err != nil {
		return 0, err
	}
	switch {
	case c.Algorithm == 0:
		return math.MinInt64, nil
	case !c.Algorithm.Valid():
		return 0, &ArgumentError{"algorithm", "of a change is not known"}
	}
	return c.Algorithm.shape().check(c)
}
