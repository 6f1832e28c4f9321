package engine_test

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/rlserver/rlserver/engine"
)

const (
	keyBytes   = 16
	spreadKeys = 100_000
	// firstNow is the first instant of every clock here that is not the machine's, in µs
	// since the Unix epoch.
	firstNow = 1_800_000_000_000_000
)

// mix maps the numbers of 64 bits one to one onto themselves, so that neighbours have
// nothing in common: the last steps of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// putKey writes key i: the 64 bits of mix(i), four to a byte, as '@', 'A' … 'O'. Different
// numbers make different keys, at the price of a few shifts.
func putKey(b *[keyBytes]byte, i uint64) {
	const nibbles, letters = 0x0f0f0f0f0f0f0f0f, 0x4040404040404040
	x := mix(i)
	binary.LittleEndian.PutUint64(b[:8], x&nibbles|letters)
	binary.LittleEndian.PutUint64(b[8:], x>>4&nibbles|letters)
}

// A scratch is a key that is written over and over again. A contestant that keeps a key copies it.
type scratch [keyBytes]byte

func (s *scratch) key(i uint64) string {
	putKey((*[keyBytes]byte)(s), i)
	return unsafe.String(&s[0], keyBytes)
}

// heldKeys are keys 0 … n−1 as strings of their own.
func heldKeys(n int) []string {
	keys := make([]string, n)
	var s scratch
	for i := range keys {
		keys[i] = strings.Clone(s.key(uint64(i)))
	}
	return keys
}

// random is a linear congruential generator; its upper bits are good enough to pick a key,
// and it costs about a nanosecond.
type random uint64

// below is a number from 0 to n−1, n < 2^32.
func (r *random) below(n uint64) uint64 {
	*r = *r*6364136223846793005 + 1442695040888963407
	return uint64(*r) >> 32 * n >> 32
}

// received is how many keys a walker receives at once.
const received = 64

// A walker supplies one goroutine with what to ask: random keys, and a clock that goes on
// by a microsecond a question and is its own. It allocates nothing.
//
// Without held keys it receives them: it writes 64 and then hands them out, as a server
// does that reads a pipeline of commands into its buffer and answers one after the other.
// One at a time would be unfair: a load of 16 bytes stalls while the two stores of 8 that
// wrote them are still on their way to the cache, and some hash functions load 16 bytes.
type walker struct {
	random random
	keys   uint64
	held   []string
	now    int64 // µs
	next   int   // in buffer
	buffer [received][keyBytes]byte
	answer engine.Decision // to the last question
}

// newWalker makes a walker over that many keys, which are held or, without, received.
func newWalker(seed uint64, keys int, held []string) *walker {
	return &walker{random: random(mix(seed + 1)), keys: uint64(keys), held: held, now: firstNow, next: received}
}

// ask asks the next question, and says whether the answer was yes.
func (w *walker) ask(check checkFunc) bool {
	key, now := w.question()
	check(key, now, &w.answer)
	return w.answer.Allowed
}

// question is the next key and instant. A received key is gone 64 questions later.
func (w *walker) question() (key string, now int64) {
	w.now++
	if w.held != nil {
		return w.held[w.random.below(w.keys)], w.now
	}
	if w.next == received {
		w.receive()
	}
	key = unsafe.String(&w.buffer[w.next][0], keyBytes)
	w.next++
	return key, w.now
}

func (w *walker) receive() {
	draw, keys := w.random, w.keys
	for i := range w.buffer {
		putKey(&w.buffer[i], draw.below(keys))
	}
	w.random, w.next = draw, 0
}
