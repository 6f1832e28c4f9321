package engine

import (
	"fmt"
	"testing"
	"time"
)

// Movers that stall between two of their steps, for any time, and then go on.

// wordsFrom copies all that stands in a table and those after it.
func wordsFrom(t *table) (all [][]uint64) {
	for _, t := range tablesFrom(t) {
		words := make([]uint64, len(t.words))
		for i := range t.n {
			s, at := t.slot(i), i*t.stride
			words[at], words[at+1] = uint64(s.state.Load()), s.meta.Load()
			for j := range int(t.stride) - slotHead {
				words[int(at)+slotHead+j] = s.word(j).Load()
			}
		}
		all = append(all, words)
	}
	return all
}

// meanwhiles are what can happen to a key after it was moved from the first table to the
// second, while a mover still holds what it read of the first.
var meanwhiles = map[string]func(s *Store, first *table, a Algorithm){
	"nothing":    func(*Store, *table, Algorithm) {},
	"changed":    func(s *Store, _ *table, a Algorithm) { touch(s, OpCheck, a, noon) },
	"given back": func(s *Store, _ *table, a Algorithm) { touch(s, OpRefund, a, noon) },
	"again":      func(s *Store, _ *table, a Algorithm) { touch(s, OpRefund, a, noon); touch(s, OpCheck, a, noon) },
	"swept":      func(s *Store, first *table, _ Algorithm) { moveOn(s, first); s.Sweep(10_000, noon+60*sec) },
	"swept and again": func(s *Store, first *table, a Algorithm) {
		moveOn(s, first)
		s.Sweep(10_000, noon+60*sec)
		touch(s, OpCheck, a, noon)
	},
	"another algorithm": func(s *Store, _ *table, a Algorithm) {
		touch(s, OpCheck, another(a), noon+60*sec) // idle by now
	},
	"moved twice": func(s *Store, first *table, _ Algorithm) { moveOn(s, moveOn(s, first)) },
	"given back and moved": func(s *Store, first *table, a Algorithm) {
		touch(s, OpRefund, a, noon)
		moveOn(s, moveOn(s, moveOn(s, first)))
	},
	"moved and swept": func(s *Store, first *table, _ Algorithm) {
		moveOn(s, moveOn(s, first))
		s.Sweep(10_000, noon+60*sec)
	},
	"swept and moved": func(s *Store, first *table, a Algorithm) {
		second := moveOn(s, first)
		s.Sweep(10_000, noon+60*sec)
		third := moveOn(s, second)
		touch(s, OpCheck, another(a), noon+60*sec)
		moveOn(s, third)
	},
	"another log in the cell": func(s *Store, _ *table, a Algorithm) {
		touch(s, OpRefund, a, noon)
		for i := range 3 {
			mustCheck(s, fmt.Sprint("a log:", i), SlidingWindowLog, mustLimit(2, time.Second, 0), 1, noon)
		}
	},
}

const stale, staleHash = "user:123", uint64(7) << 20

// touch asks for the key that a mover holds an old reading of.
func touch(s *Store, o Op, a Algorithm, now int64) {
	if d, err := askAt(s, o, staleHash, stale, a, mustLimit(2, time.Second, 0), 1, now); err != nil || !d.Allowed {
		panic(fmt.Sprint(d, err))
	}
}

// staleStore has a table with the key, frozen as by a mover after the first of two steps.
func staleStore(a Algorithm) (s *Store, first *table, slot *slot, st int64) {
	s = mustStore()
	touch(s, OpCheck, a, noon)
	plant(s, 1<<50, "neighbour")
	p := newProbe(staleHash, stale)
	first = s.space.Load().first(&p)
	slot, st, _ = first.seek(&p, false)
	s.space.Load().successor(first, 0, fitting)
	if !first.swap(slot, st, st|stateSign) {
		panic("no other caller is here")
	}
	return s, first, slot, st
}

// A mover that comes back after any time, with what it read of a slot long ago, brings
// nothing back that has changed, been dropped or moved on since (invariant 6).
func TestStaleMoverBringsNothingBack(t *testing.T) {
	for name, meanwhile := range meanwhiles {
		for _, a := range Algorithms() {
			s, first, slot, st := staleStore(a)
			sp, meta := s.space.Load(), slot.meta.Load()
			sp.hand(first, slot, meta, st, 0)
			meanwhile(s, first, a)
			before, stats := wordsFrom(first), s.Stats()
			for range 2 {
				sp.hand(first, slot, meta, st, 0)
				sp.moveSlot(first, slot, 0, noon*1000)
			}
			if fmt.Sprint(wordsFrom(first)) != fmt.Sprint(before) || s.Stats() != stats {
				t.Errorf("%v, %s: a late mover changed something", a, name)
			}
		}
	}
}

// The same with a mover that stalls after it found where in the successor to put the key,
// or after it claimed that slot.
func TestStaleClaimInTheSuccessor(t *testing.T) {
	for name, meanwhile := range meanwhiles {
		for _, a := range Algorithms() {
			for _, claimed := range []bool{false, true} {
				s, first, slot, st := staleStore(a)
				p, second := probeOf(slot, slot.meta.Load(), 0), first.next.Load()
				there, _, what := second.seek(&p, true)
				if what != absent || claimed && !second.claim(there, &p, uint8(a)) {
					t.Fatalf("the successor has the key: %d", what)
				}
				meanwhile(s, first, a)
				if name == "nothing" {
					s.space.Load().hand(first, slot, slot.meta.Load(), st, 0)
				}
				before := wordsFrom(first)
				if claimed || second.claim(there, &p, uint8(a)) {
					second.swap(there, 0, st)
				}
				if fmt.Sprint(wordsFrom(first)) != fmt.Sprint(before) {
					t.Errorf("%v, %s, claimed %v: a late mover changed something", a, name, claimed)
				}
				if n := slotsOf(s)[stale]; n > 1 {
					t.Errorf("%v, %s: the key has %d slots", a, name, n)
				}
			}
		}
	}
}

// A slot of the successor that another key of another algorithm has begun, and that agrees
// in all but the words, is closed and not taken: a state is no log.
func TestHandToASlotOfAnotherAlgorithm(t *testing.T) {
	for _, a := range Algorithms() {
		for words := range 3 {
			s, first, slot, st := staleStore(a)
			p, second := probeOf(slot, slot.meta.Load(), 0), first.next.Load()
			begun, _, _ := second.seek(&p, true)
			beginClaim(second, begun, &p, another(a), words)
			s.space.Load().hand(first, slot, slot.meta.Load(), st, 0)
			there, got, what := second.seek(&p, false)
			if what != found || got != st || !there.is(a) || begun.state.Load() != stateUnborn {
				t.Errorf("%v: state %x of %v, want %x", a, got, there.kind(), st)
			}
		}
	}
}

// A slot of the successor that was closed before it held a state is passed by: the key
// gets the next one, and is found there.
func TestUnbornInTheSuccessor(t *testing.T) {
	for _, a := range Algorithms() {
		s, first, slot, st := staleStore(a)
		sp, p, second := s.space.Load(), probeOf(slot, slot.meta.Load(), 0), first.next.Load()
		unborn, _, _ := second.seek(&p, true)
		if !second.claim(unborn, &p, uint8(a)) || !second.kill(unborn, 0) {
			t.Fatal("the slot is not free")
		}
		for range 2 {
			sp.hand(first, slot, slot.meta.Load(), st, 0)
		}
		there, got, what := second.seek(&p, false)
		if what != found || got != st || there == unborn || slotsOf(s)[stale] != 1 {
			t.Errorf("%v: %d, state %x, want %x", a, what, got, st)
		}
		touch(s, OpCheck, a, noon)
	}
}
