package engine

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"unsafe"
)

// A slot is one key: its state, its meta word, and its words, of which wider classes have
// more behind these two.
//
// What owns a slot, at each atomic step:
//
//   - meta, then the words of the key in order, go from 0 to their values by
//     compare-and-swap, once. Until the last is there the slot belongs to the key that gets
//     its next word in. A caller that finds a claim of its own key half done goes on with it,
//     so that a caller that stalls in the middle holds no other up. A word that is not the
//     key's own is a refusal for ever.
//
//   - state belongs to no caller. One that swaps it from what its step saw has made that
//     step; all others start theirs over. It says what the slot is:
//
//     0                nothing was ever written
//     1 … stateIdle−1 the algorithm's state
//     stateIdle        idle; the key's slot all the same
//     negative         closed in this table for ever: stateUnborn if nothing was ever
//     written, stateDead if the key was dropped, else, less the sign,
//     the state that moved on to the next table
//
// ABA: a slot never changes its key or its algorithm, and the word is all there is to a
// state. One that leaves a value and returns to it is the same state again, and a step
// taken from it is as right the second time.
type slot struct {
	state         atomic.Int64
	meta          atomic.Uint64
	first, second atomic.Uint64
}

// slotBytes is a slot's size in class 0.
const slotBytes = uint64(unsafe.Sizeof(slot{}))

const (
	stateIdle   = math.MaxInt64 // no instant: NowMicrosMax leaves the last microsecond free
	stateSign   = math.MinInt64
	stateUnborn = stateSign // and nothing
	stateDead   = stateSign | stateIdle
)

// word is word i of the key. The caller knows that the class has so many.
func (s *slot) word(i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Add(unsafe.Pointer(&s.first), 8*i))
}

// held says whether a state is one of an algorithm.
func held(st int64) bool { return st > 0 && st != stateIdle }

// carried is the state that a closed slot handed on to the next table, or 0.
func carried(st int64) int64 {
	if st &^= stateSign; st != stateIdle {
		return st
	}
	return 0
}

// A table is one shard's keys of one class: open addressing, the next slot tried next. A
// slot that was claimed stays claimed; a table that has too few left hands its keys on to
// a successor (rebuild.go).
type table struct {
	words  []uint64
	n      uint64 // slots
	stride uint64 // words of a slot
	limit  int64  // claimed slots from which on a successor is needed
	next   atomic.Pointer[table]
	marks  atomic.Pointer[marks]  // of slots that have changed; nil if none has while changes were followed
	shelf  *atomic.Pointer[table] // where the shard's first table is found

	used atomic.Int64 // claimed slots
	live atomic.Int64 // slots that hold a state
	// cursor is the first slot that no caller has undertaken to move; moved counts those that
	// are done, and done says that all are.
	cursor atomic.Int64
	moved  atomic.Int64
	done   atomic.Bool
	class  uint8
}

const (
	// A table is full at 3/4: an absent key is then found absent after eight slots or so.
	fullNumerator, fullDenominator = 3, 4
)

func newTable(shelf *atomic.Pointer[table], class uint8, n uint64) *table {
	stride := uint64(classWords[class] + slotHead)
	return &table{
		words: make([]uint64, n*stride), n: n, stride: stride, class: class, shelf: shelf,
		limit: int64(n * fullNumerator / fullDenominator),
	}
}

// bytes is the memory that the table takes.
func (t *table) bytes() int64 { return int64(len(t.words))*8 + int64(unsafe.Sizeof(*t)) }

func (t *table) slot(i uint64) *slot { return (*slot)(unsafe.Pointer(&t.words[i*t.stride])) }

// A finding is what a search for a key ended with.
type finding uint8

const (
	found  finding = iota // the slot is the key's, and it is not closed without a successor
	absent                // the key is not here; the slot is the one to claim
	closed                // the key is not here and will not be: ask the next table
)

// seek looks for the key's slot. Slots of the key that are closed and handed nothing on
// are passed over; with dead, those that died after they held a state are findings too.
//
// Every search for a key passes the same slots in the same order and takes the first that
// is neither another key's nor closed. All three are for ever, so all searches for a key
// agree, and a key has at most one open slot (invariant 1).
func (t *table) seek(p *probe, dead bool) (*slot, int64, finding) {
	i := home(p.meta, t.n)
	for range t.n {
		s := t.slot(i)
		switch meta := s.meta.Load(); {
		case meta&metaIdentity == p.meta:
			whole, missing := s.holds(p)
			if !whole && !missing {
				break
			}
			st := s.state.Load()
			if st >= 0 {
				if whole {
					return s, st, found
				}
				return s, st, absent
			}
			if whole && (carried(st) != 0 || dead && st != stateUnborn) {
				return s, st, found
			}
		case meta == 0:
			return s, 0, absent
		case meta == metaClosed:
			return nil, 0, closed
		}
		if i++; i == t.n {
			i = 0
		}
	}
	return nil, 0, closed
}

// A hint repeats where a shelf's first table has its words, and how many slots. A search that
// starts from it asks the processor for the slot without waiting for the table's own fields,
// a twelfth of a check; they only have to agree in the end. It is stale from the shelf's
// change to the shard's next check, and may mix two tables.
type hint struct {
	base atomic.Pointer[uint64]
	n    atomic.Uint64
}

// near is the slot of a short key whose search comes to it at once, or nil. It only
// reads, and what it leaves out seek does. Two slots share a cache line, and which of them
// is the key's is not worth a branch that cannot be foreseen.
func (t *table) near(h *hint, meta, first, second uint64) *slot {
	base, n := h.base.Load(), h.n.Load()
	if base != unsafe.SliceData(t.words) || n != t.n {
		h.base.Store(unsafe.SliceData(t.words))
		h.n.Store(t.n)
		return nil
	}
	for i := home(meta, n); i < n; i += 2 {
		one := (*slot)(unsafe.Add(unsafe.Pointer(base), i*slotBytes))
		two := (*slot)(unsafe.Add(unsafe.Pointer(one), slotBytes))
		metaOne, metaTwo := one.meta.Load(), two.meta.Load()
		behind := uint64(0)
		if metaOne != meta {
			behind = slotBytes
		}
		s := (*slot)(unsafe.Add(unsafe.Pointer(one), behind))
		if metaOne == meta || metaTwo == meta {
			if s.first.Load() == first && s.second.Load() == second && s.state.Load() >= 0 {
				return s
			}
			return nil
		}
		if metaOne <= metaClosed || metaTwo <= metaClosed {
			return nil
		}
	}
	return nil
}

// nearOther is near for keys that are not short.
func (t *table) nearOther(meta uint64, key string) *slot {
	for i := home(meta, t.n); i < t.n; i++ {
		switch s := t.slot(i); s.meta.Load() {
		case meta:
			if s.holdsBytes(key) {
				return s
			}
			return nil
		case 0, metaClosed:
			return nil
		}
	}
	return nil
}

// holdsBytes is holds for a key that is its own bytes.
func (s *slot) holdsBytes(key string) bool {
	if len(key) < 16 {
		p := probe{key: key}
		return s.first.Load() == p.plain(0) && s.second.Load() == p.plain(1)
	}
	b := unsafe.Slice(unsafe.StringData(key), len(key))
	for i := range len(b) / 8 {
		if s.word(i).Load() != binary.LittleEndian.Uint64(b[8*i:]) {
			return false
		}
	}
	// The last bytes, filled up with ones.
	rest := len(b) % 8
	return rest == 0 || s.word(len(b)/8).Load() == ^(^binary.LittleEndian.Uint64(b[len(b)-8:])>>(64-8*rest))
}

// holds says whether the slot has all words of the key; if not, whether that is because a
// word is missing that may still become the key's.
func (s *slot) holds(p *probe) (whole, missing bool) {
	if w := s.first.Load(); w != p.first {
		return false, w == 0
	}
	if w := s.second.Load(); w != p.second {
		return false, w == 0
	}
	for i := 2; i < p.words; i++ {
		if w := s.word(i).Load(); w != p.word(i) {
			return false, w == 0
		}
	}
	return true, false
}

// claim makes the slot that seek found the key's, and says whether it is. The algorithm is
// that of the first claim.
func (t *table) claim(s *slot, p *probe, kind uint8) bool {
	if s.meta.CompareAndSwap(0, p.meta|uint64(kind)) {
		t.used.Add(1)
	} else if s.meta.Load()&metaIdentity != p.meta {
		return false
	}
	for i := range p.words {
		if w := p.word(i); !s.word(i).CompareAndSwap(0, w) && s.word(i).Load() != w {
			return false
		}
	}
	return true
}

// shut makes sure that the slot that seek found to be claimable is not: it belongs to
// a key afterwards, or to none for ever.
func (s *slot) shut() {
	if !s.meta.CompareAndSwap(0, metaClosed) {
		s.state.CompareAndSwap(0, stateUnborn)
	}
}

// kill closes the key's slot, unless its state is no longer old. The key is gone, and one
// that comes again gets another slot.
func (t *table) kill(s *slot, old int64) bool {
	if old == 0 {
		return s.state.CompareAndSwap(0, stateUnborn)
	}
	return t.swap(s, old, stateDead)
}

// swap makes the step from old to st, unless the state is no longer old.
func (t *table) swap(s *slot, old, st int64) bool {
	if !s.state.CompareAndSwap(old, st) {
		return false
	}
	if was, is := held(old), held(st); was != is {
		if is {
			t.live.Add(1)
		} else {
			t.live.Add(-1)
		}
	}
	return true
}

// kind is the algorithm of a slot that was claimed.
func (s *slot) kind() Algorithm { return Algorithm(s.meta.Load() & metaKind) }

func (s *slot) is(a Algorithm) bool { return s.kind() == a }
