package policy

import (
	"hash/maphash"
	"sync/atomic"
)

// A sieve tells of most keys that a policy has no plan of their own for them, by one look at one word:
// a Bloom filter of two bits a key. To look such a key up among many thousands would cost more than the
// rest of a check. Keys are added before their plans can be found, and never taken out.
type sieve struct {
	seed  maphash.Seed
	words []atomic.Uint64 // a power of two
	room  int             // keys that may be added still
}

// A sieve has 32 bits for each key that it has room for, which lets one of some 200 others through.
const (
	sieveKeysMin    = 128
	sieveWordsShare = 2 // keys a word
)

// newSieve makes a sieve with room for so many keys or more.
func newSieve(keys int) *sieve {
	room := sieveKeysMin
	for room < keys {
		room *= 2
	}
	return &sieve{maphash.MakeSeed(), make([]atomic.Uint64, room/sieveWordsShare), room}
}

// place is the word of a key, and its bits.
func (s *sieve) place(key string) (word *atomic.Uint64, bits uint64) {
	h := maphash.String(s.seed, key)
	return &s.words[h>>12&uint64(len(s.words)-1)], 1<<(h&63) | 1<<(h>>6&63)
}

func (s *sieve) add(key string) {
	word, bits := s.place(key)
	word.Or(bits)
	s.room--
}

// mayHave says whether a key may have been added; it never misses one that was.
func (s *sieve) mayHave(key string) bool {
	word, bits := s.place(key)
	return word.Load()&bits == bits
}

// sift adds a key to the policy's sieve, or to one of twice the room if that is full. Set.mu is held.
func (p *Policy) sift(key string) {
	s := p.sieve.Load()
	if s == nil || s.room == 0 {
		s = newSieve(2 * int(p.keyCount.Load()+1))
		p.keys.Range(func(known, _ any) bool {
			s.add(known.(string))
			return true
		})
	}
	s.add(key)
	p.sieve.Store(s)
}
