package engine

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The name of a policy's state is a key and a suffix, which the limit has. Most names are of 17 to 32
// bytes: four words. Such a name is made in registers, without the copy that would be looked at again at
// once, and it is looked up by its words. That makes a check by a policy as fast as one without.

// A Suffix is the end of the names of a limit's states.
type Suffix struct {
	text  string
	words [3]uint64 // of the text, filled up with zeros
}

// NewSuffix makes a suffix of its text.
func NewSuffix(text string) Suffix {
	x := Suffix{text: text}
	var b [len(x.words) * 8]byte
	copy(b[:], text)
	for i := range x.words {
		x.words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return x
}

// A name is the words of a name of 17 to 32 bytes, the last one filled up with ones.
type name struct {
	length                       int
	first, second, third, fourth uint64
}

// The lengths of keys and names for which a name can be made of its parts.
const (
	namedKeyMin = 4
	namedKeyMax = 24
	nameMin     = 17
	nameMax     = 32
)

// set makes the name of a key and a suffix, if it is one that can be made so.
func (n *name) set(key string, x *Suffix) bool {
	n.length = len(key) + len(x.text)
	if uint(len(key)-namedKeyMin) > namedKeyMax-namedKeyMin || uint(n.length-nameMin) > nameMax-nameMin || len(x.text) > 8*len(x.words) {
		return false
	}
	b := unsafe.Slice(unsafe.StringData(key), len(key))
	low := uint(len(key)%8) * 8 // bits of the key in the word that it ends in
	high := 64 - low
	a0, a1 := x.words[0]<<low, x.words[0]>>high|x.words[1]<<low
	if len(key) < 8 {
		head := uint64(binary.LittleEndian.Uint32(b))
		tail := uint64(binary.LittleEndian.Uint32(b[len(b)-4:]))
		n.first, n.second = head|tail<<(low-32)|a0, a1
		n.third, n.fourth = x.words[1]>>high|x.words[2]<<low, x.words[2]>>high
	} else {
		a0 |= binary.LittleEndian.Uint64(b[len(b)-8:]) >> high
		n.first = binary.LittleEndian.Uint64(b)
		switch len(key) / 8 {
		case 1:
			n.second, n.third, n.fourth = a0, a1, x.words[1]>>high|x.words[2]<<low
		case 2:
			n.second, n.third, n.fourth = binary.LittleEndian.Uint64(b[8:]), a0, a1
		default:
			n.second, n.third, n.fourth = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), a0
		}
	}
	n.fill()
	return n.first != 0 && n.second != 0 && n.third != 0 // else the name has to be spread
}

// fill fills the last word up with ones, and one that is not needed whole.
func (n *name) fill() {
	if n.length > 24 {
		n.fourth |= ^uint64(0) << (8 * uint(n.length-24))
	} else {
		n.third |= ^uint64(0) << (8 * uint(n.length-16))
		n.fourth = ^uint64(0)
	}
}

// isMediumKey says whether a key has the length of most names.
func isMediumKey(key string) bool { return uint(len(key)-nameMin) <= nameMax-nameMin }

// mediumName is the words of a key of that length.
func mediumName(key string) (n name) {
	b := unsafe.Slice(unsafe.StringData(key), len(key))
	n = name{length: len(b), first: binary.LittleEndian.Uint64(b), second: binary.LittleEndian.Uint64(b[8:])}
	last := binary.LittleEndian.Uint64(b[len(b)-8:])
	if len(b) > 24 {
		n.third, n.fourth = binary.LittleEndian.Uint64(b[16:]), last>>(8*uint(32-len(b)))
	} else {
		n.third = last >> (8 * uint(24-len(b)))
	}
	n.fill()
	return n
}

// medium is the hash of a name, of two halves that are hashed as short keys are.
func (h *hasher) medium(n *name) uint64 {
	high, low := bits.Mul64(n.first^h.secrets[0], n.second^h.secrets[1])
	third, fourth := bits.Mul64(n.third^h.secrets[2], n.fourth^h.secrets[3])
	high, low = bits.Mul64(high^low^h.secrets[2], third^fourth^h.secrets[1])
	return high ^ low
}

// meta is the meta word of a name that is its own bytes.
func (n *name) meta(hash uint64) uint64 {
	return hash<<shardBits>>placeShift<<placeShift | uint64(n.length)<<lengthAt
}

// namedClass is the class of all these names.
const namedClass = 1

// nearName is near for a name.
func (t *table) nearName(meta uint64, n *name) *slot {
	for i := home(meta, t.n); i < t.n; i++ {
		switch s := t.slot(i); s.meta.Load() {
		case meta:
			if s.first.Load() == n.first && s.second.Load() == n.second && s.word(2).Load() == n.third &&
				(n.length <= 24 || s.word(3).Load() == n.fourth) {
				return s
			}
			return nil
		case 0, metaClosed:
			return nil
		}
	}
	return nil
}

// nearNamed finds the slot of the state whose name is a key and a suffix, if that is quick.
func (s *Store) nearNamed(sp *space, key string, x *Suffix, a Algorithm) (*table, *slot) {
	var n name
	if !n.set(key, x) || s.hasher.other != nil {
		return nil, nil
	}
	hash := s.hasher.medium(&n)
	t := sp.shelves[namedClass][hash>>(64-shardBits)].Load()
	if t == nil {
		return nil, nil
	}
	return t, t.nearName(n.meta(hash)|uint64(a), &n)
}

// AskNamed is AskCall with one part, whose State is a key and the part's Suffix and need not be made. It
// answers where that is quick: for a state of one word that there is, and of a part with formers is live,
// under a limit that was not replaced. Otherwise it has changed nothing and returns false, and AskCall
// answers. The part has a Suffix and a Replaced.
func (s *Store) AskNamed(o Op, key string, p *Part, cost, now int64, d *Decision) bool {
	a, l := p.Algorithm, &p.Limit
	if !s.accepts(a, l, cost, now) || s.kinds[a].shape != ShapeWord {
		return false
	}
	now *= 1000
	sp := s.space.Load()
	t, slot := s.nearNamed(sp, key, p.Suffix, a)
	if slot == nil {
		return false
	}
	st := slot.state.Load()
	if !held(st) || len(p.Formers) > 0 && a.row().idleAt(st) <= now {
		return false
	}
	x := a.step(o, st, l, now, cost)
	if x.next != st {
		if x.next == 0 || !t.swap(slot, st, x.next) {
			return false
		}
		sp.mark(t, slot)
	}
	// A refund that was made stands: see withdrawCall.
	if p.Replaced.Load() && (x.next == st || o != OpRefund && s.undoNamed(key, p, st, x.next, now)) {
		return false
	}
	a.explain(l, x, d)
	return true
}

// undoNamed takes back what a step has taken at an instant (ns), which made after of before. It returns
// false if that is no longer there: it was carried over, and the answer stands.
func (s *Store) undoNamed(key string, p *Part, before, after, now int64) bool {
	var took taken
	took.noteWord(p.Algorithm, before, after, now)
	return s.undoTaken(key+p.Suffix.text, &withdrawal{algorithm: p.Algorithm, taken: took, now: now + idleLag})
}

// PrefetchNamed is Prefetch for the state whose name is a key and a suffix, if that is quick.
func (s *Store) PrefetchNamed(key string, x *Suffix) {
	var n name
	if !n.set(key, x) || s.hasher.other != nil {
		return
	}
	hash := s.hasher.medium(&n)
	if t := s.space.Load().shelves[namedClass][hash>>(64-shardBits)].Load(); t != nil {
		prefetchSlots(unsafe.Pointer(unsafe.SliceData(t.words)), home(n.meta(hash), t.n)*t.stride*8)
	}
}
