package engine

// The bound on memory.

// admit gets a slot of the key's own for an algorithm, from where settle found none: slot,
// in t. It may fail; the caller looks again either way.
func (s *Store) admit(sp *space, p *probe, t *table, slot *slot, a Algorithm, now int64) {
	if t.next.Load() == nil {
		s.makeRoom(sp, p, t, now)
		if t.used.Load() < t.limit {
			t.claim(slot, p, uint8(a))
			return
		}
		sp.successor(t, p.shard)
		sp.catchUp(t, p.shard, now)
	}
	slot.shut()
	sp.moveSome(t, p.shard, now)
}

func (s *Store) makeRoom(*space, *probe, *table, int64) {}

func (s *Store) roomForLog(*space, *probe, int64, int64) error { return nil }
