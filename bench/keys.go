package bench

import (
	"math/rand/v2"
	"strconv"
)

// A KeySpace is how keys are drawn.
type KeySpace string

// The key spaces.
const (
	Uniform KeySpace = "uniform" // each of the keys as often as any other
	Zipf    KeySpace = "zipf"    // few keys often, most of them seldom
	Hot     KeySpace = "hot"     // one key
	New     KeySpace = "new"     // every request has a key that was never used before
)

// KeySpaces are all of them, each with what it is.
var KeySpaces = []struct {
	Name    KeySpace
	Summary string
}{
	{Uniform, "each key as often as any other"},
	{Zipf, "the k-th key is drawn in proportion to k to the power of -1.1"},
	{Hot, "one key"},
	{New, "every request has a key that was never used before"},
}

// zipfExponent is how fast the frequency of keys falls. Of 100,000 keys the first is then asked for
// by one request in seven, and the first hundred by more than half of them.
const zipfExponent = 1.1

// KeysMax bounds the number of keys.
const KeysMax = 1_000_000_000

// A key is a prefix that is of one target in one run, and keyDigits digits: 16 bytes together.
const keyDigits = 10

// probeKey is a key that no request asks for: the last one that has enough digits.
const probeKey = 9_999_999_999

const prefixLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// newRunName draws what the keys of a run begin with. It does not depend on the seed, so that what
// earlier runs have left does not matter.
func newRunName() string {
	b := make([]byte, 4)
	for i := range b {
		b[i] = prefixLetters[rand.IntN(len(prefixLetters))]
	}
	return string(b)
}

// keyPrefix is what the keys of a target begin with.
func keyPrefix(run string, target int) string {
	return run + prefixLetters[target:target+1] + ":"
}

// keyName is the whole key of a number.
func keyName(prefix string, n int64) string {
	digits := strconv.FormatInt(n, 10)
	for len(digits) < keyDigits {
		digits = "0" + digits
	}
	return prefix + digits
}

// putDigits writes a key's number over the digits at the start of b.
func putDigits(b []byte, n int64) {
	_ = b[keyDigits-1]
	for i := keyDigits - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// drawer is how a worker draws the number of a key. ticket is that of the request.
func (s KeySpace) drawer(r *rand.Rand, keys int64) func(ticket int64) int64 {
	switch s {
	case Zipf:
		z := rand.NewZipf(r, zipfExponent, 1, uint64(keys-1))
		return func(int64) int64 { return int64(z.Uint64()) }
	case Hot:
		return func(int64) int64 { return 0 }
	case New:
		return func(ticket int64) int64 { return ticket }
	case Uniform:
	}
	return func(int64) int64 { return int64(r.Uint64N(uint64(keys))) }
}
