package engine

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// A key is kept in its slot, as words of 64 bits none of which is zero, so that a
// slot can be claimed word by word: zero means that nothing is written there yet.
//
// Most keys are their own bytes, eight to a word, the last word filled up with ones. A key
// that has eight zero bytes where a word would be is spread instead, seven bytes to a
// word below a byte of one. The form is part of what two keys are compared by, as is the
// length, so different keys never have equal words.

// A class is a width of slots. Keys of a class share tables.
const (
	classCount = 7
	// slotHead is the words of a slot before its key: state and meta.
	slotHead = 2
)

// classWords is how many words of key fit in a slot of each class: with the head 32, 48,
// 64, 128, 256, 512 and 1,344 bytes.
var classWords = [classCount]int{2, 4, 6, 14, 30, 62, keyWordsMax}

const (
	spreadBytes = 7 // bytes of a spread key in a word
	// keyWordsMax is enough for the longest name of a state, spread.
	keyWordsMax = 166
)

// classOf is the class for each number of words.
var classOf = func() (class [keyWordsMax + 1]uint8) {
	for n := range class {
		for classWords[class[n]] < n {
			class[n]++
		}
	}
	return class
}()

// The parts of a slot's meta word. A meta of 0 is a slot that is not claimed.
//
//	| place: 40 bits of the hash | key length: 11 | spread: 1 | free: 6 | algorithm: 6 |
const (
	placeBits  = 40
	placeShift = 64 - placeBits
	lengthAt   = 13
	metaSpread = 1 << 12
	metaKind   = 1<<6 - 1
	// metaIdentity is what two keys are compared by, before their words.
	metaIdentity = ^uint64(metaSpread - 1)
	// metaClosed is a slot that cannot be claimed any more; no key has length 0.
	metaClosed = 1
)

// A probe is a key on its way to its slot.
type probe struct {
	meta          uint64 // place, length, form; algorithm 0
	first, second uint64 // the first two words
	words         int    // at least 2
	class         uint8
	shard         uint16
	key           string
	from          *slot // where the words are, if not in key
}

// newProbe prepares a look-up. The key's length is 1 … StateBytesMax.
func newProbe(hash uint64, key string) probe {
	p := probe{shard: uint16(hash >> (64 - shardBits)), meta: metaOf(hash, key), key: key}
	p.measure()
	return p
}

// metaOf is the meta word of a key that is its own bytes.
func metaOf(hash uint64, key string) uint64 {
	return hash<<shardBits>>placeShift<<placeShift | uint64(len(key))<<lengthAt
}

// isShortKey says whether the key has the length of most: 8 to 16 bytes.
func isShortKey(key string) bool { return uint(len(key)-8) <= 8 }

// shortWords is the two words of a short key. One is 0 if the key has to be spread.
func shortWords(key string) (first, second uint64) {
	b := unsafe.Slice(unsafe.StringData(key), len(key))
	// The last eight bytes, less those that are in first, filled up with ones.
	last := binary.LittleEndian.Uint64(b[len(b)-8:])
	return binary.LittleEndian.Uint64(b), ^(^last >> (8 * uint(16-len(b))))
}

// A hasher maps keys to 64 bits by secrets of its own, so that no client can choose keys that
// collide. Short keys are multiplied with two of the secrets and then with the others, high
// and low halves of the product folded: the construction of wyhash (Wang Yi), which Go's
// own maps use where the processor has no AES. It takes half the time of hash/maphash, a
// tenth of a check. So are keys of up to 32 bytes, of which most names of states are (named.go). Other keys
// are hashed by hash/maphash.
type hasher struct {
	secrets [4]uint64
	seed    maphash.Seed
	other   func(key string) uint64 // in tests only: the hash of keys that are not short
}

func newHasher() hasher {
	h := hasher{seed: maphash.MakeSeed()}
	for i := range h.secrets {
		h.secrets[i] = rand.Uint64()
	}
	return h
}

func (h *hasher) hash(key string) uint64 {
	if isShortKey(key) {
		return h.short(shortWords(key))
	}
	if h.other != nil {
		return h.other(key)
	}
	if isMediumKey(key) {
		n := mediumName(key)
		return h.medium(&n)
	}
	return maphash.String(h.seed, key)
}

// short is the hash of a short key with these words.
func (h *hasher) short(first, second uint64) uint64 {
	high, low := bits.Mul64(first^h.secrets[0], second^h.secrets[1])
	high, low = bits.Mul64(high^h.secrets[2], low^h.secrets[3])
	return high ^ low
}

// measure finds the key's form and with it its words and class.
func (p *probe) measure() {
	for i := range len(p.key) / 8 {
		if p.plain(i) == 0 {
			p.meta |= metaSpread
			break
		}
	}
	p.words = wordsOf(p.meta)
	p.class = classOf[p.words]
	p.first, p.second = p.word(0), p.word(1)
}

// plainWords is how many words a key is when they are its own bytes.
func plainWords(key string) int { return max((len(key)+7)/8, 2) }

// word is word i of the key, never 0.
func (p *probe) word(i int) uint64 {
	switch {
	case p.from != nil:
		return p.from.word(i).Load()
	case p.meta&metaSpread != 0:
		return p.spread(i)
	}
	return p.plain(i)
}

// plain is eight bytes of the key, filled up with ones.
func (p *probe) plain(i int) uint64 {
	at := 8 * i
	if at+8 <= len(p.key) {
		return binary.LittleEndian.Uint64(unsafe.Slice(unsafe.StringData(p.key), len(p.key))[at:])
	}
	w := ^uint64(0)
	for j := len(p.key) - 1; j >= at; j-- {
		w = w<<8 | uint64(p.key[j])
	}
	return w
}

// spread is seven bytes of the key below a byte of one.
func (p *probe) spread(i int) uint64 {
	w := uint64(1)
	for j := min(len(p.key), (i+1)*spreadBytes) - 1; j >= i*spreadBytes; j-- {
		w = w<<8 | uint64(p.key[j])
	}
	// A short word has its one further down, which is no matter: the length is compared.
	return w
}

// probeOf prepares the look-up of the key in a slot whose words are all there.
func probeOf(s *slot, meta uint64, class uint8) probe {
	return probe{
		meta: meta & metaIdentity, first: s.first.Load(), second: s.second.Load(), words: wordsOf(meta), class: class, from: s,
	}
}

// wordsOf is how many words the key with this meta has.
func wordsOf(meta uint64) int {
	length := keyLength(meta)
	if meta&metaSpread != 0 {
		return max((length+spreadBytes-1)/spreadBytes, 2)
	}
	return max((length+7)/8, 2)
}

func keyLength(meta uint64) int { return int(meta >> lengthAt & (1<<11 - 1)) }

// place is where in a shard's order of hashes the key stands, 0 … 2^placeBits−1.
func place(meta uint64) uint64 { return meta >> placeShift }

// home is where in a table of n slots the search for a key begins. It rises with the
// place, so that a scan can go by places. Slots of class 0 stand two to a cache line; the
// search begins with the first of them.
func home(meta, n uint64) uint64 {
	high, _ := bits.Mul64(meta>>placeShift<<placeShift, n)
	return high &^ 1
}

// keyOf puts the key of a slot together again.
func keyOf(s *slot, meta uint64) string { return string(appendKey(nil, s, meta)) }

// appendKey appends the key of a slot to b.
func appendKey(b []byte, s *slot, meta uint64) []byte {
	size := 8
	if meta&metaSpread != 0 {
		size = spreadBytes
	}
	i := 0
	for left := keyLength(meta); left > 0; left -= size {
		w := s.word(i).Load()
		for range min(size, left) {
			b = append(b, byte(w))
			w >>= 8
		}
		i++
	}
	return b
}
