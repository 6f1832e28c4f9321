package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawKey draws keys of every length, many of them with runs of bytes that the forms of a
// key give a meaning to: zero, one, and all ones.
func drawKey(t *rapid.T) string {
	length := rapid.OneOf(
		rapid.IntRange(1, 34),
		rapid.SampledFrom([]int{48, 49, 56, 57, 112, 113, 240, 241, 496, 497, StateBytesMax - 1, StateBytesMax}),
		rapid.IntRange(1, StateBytesMax),
	).Draw(t, "length")
	key := make([]byte, 0, length)
	for len(key) < length {
		run := min(rapid.IntRange(1, 20).Draw(t, "run"), length-len(key))
		if rapid.Bool().Draw(t, "arbitrary") {
			key = append(key, rapid.SliceOfN(rapid.Byte(), run, run).Draw(t, "bytes")...)
		} else {
			filler := rapid.SampledFrom([]byte{0, 0, 1, 0xff, 'a'}).Draw(t, "byte")
			key = append(key, bytes.Repeat([]byte{filler}, run)...)
		}
	}
	return string(key)
}

// wordsIn lists the words of a probe.
func wordsIn(p *probe) []uint64 {
	words := make([]uint64, p.words)
	for i := range words {
		words[i] = p.word(i)
	}
	return words
}

// hasZeroWord says whether eight bytes from a multiple of eight on are all zero: the keys
// that cannot be their own words.
func hasZeroWord(key string) bool {
	for i := 0; i+8 <= len(key); i += 8 {
		if key[i:i+8] == strings.Repeat("\x00", 8) {
			return true
		}
	}
	return false
}

// No word of a key is 0, which would look as if nobody had written it; a slot of the key's
// class has room for them; and what is written in a slot is the key again, for a
// reader and for a mover.
func TestKeyWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, hash := drawKey(t), rapid.Uint64().Draw(t, "hash")
		p := newProbe(hash, key)
		words := wordsIn(&p)
		if slices.Contains(words, 0) {
			t.Fatalf("a word is 0: %x", words)
		}
		if p.first != words[0] || p.second != words[1] {
			t.Fatalf("the first two words are %x, %x; all are %x", p.first, p.second, words)
		}
		if p.words > classWords[p.class] || p.class > 0 && p.words <= classWords[p.class-1] {
			t.Fatalf("%d words in class %d", p.words, p.class)
		}
		if is := p.meta&metaSpread != 0; is != hasZeroWord(key) {
			t.Fatalf("spread: %v", is)
		}
		if keyLength(p.meta) != len(key) || place(p.meta) != hash<<8>>24 || uint64(p.shard) != hash>>56 {
			t.Fatalf("length %d, place %x, shard %x of hash %x", keyLength(p.meta), place(p.meta), p.shard, hash)
		}
		table := newTable(nil, p.class, 4)
		slot, _, _ := table.seek(&p, false)
		if !table.claim(slot, &p, uint8(LeakyBucket)) || slot.kind() != LeakyBucket {
			t.Fatal("an empty slot was not to be had")
		}
		meta := slot.meta.Load()
		if got := keyOf(slot, meta); got != key {
			t.Fatalf("the slot's key is %q, want %q", got, key)
		}
		moved := probeOf(slot, meta, p.class)
		if moved.meta != p.meta || moved.first != p.first || moved.second != p.second || !slices.Equal(wordsIn(&moved), words) {
			t.Fatalf("read from the slot it is %+v, want %+v", moved, p)
		}
	})
}

// The short way to a key's words and hash and the general one agree. Where they cannot,
// because the key has to be spread, the short way says so by a word of 0.
func TestShortWords(t *testing.T) {
	h := newHasher()
	rapid.Check(t, func(t *rapid.T) {
		key := drawKey(t)
		if isShortKey(key) != (len(key) >= 8 && len(key) <= 16) {
			t.Fatalf("short: %v", isShortKey(key))
		}
		if !isShortKey(key) {
			return
		}
		first, second := shortWords(key)
		if h.hash(key) != h.short(first, second) {
			t.Fatal("two hashes of one key")
		}
		p := newProbe(0, key)
		if p.meta&metaSpread != 0 {
			if first != 0 && second != 0 {
				t.Fatalf("a spread key has %x, %x", first, second)
			}
		} else if first != p.first || second != p.second || p.meta != metaOf(0, key) {
			t.Fatalf("%x, %x, meta %x; want %x, %x, %x", first, second, metaOf(0, key), p.first, p.second, p.meta)
		}
	})
}

// formOf is everything that two keys of one hash are compared by.
func formOf(key string) string {
	p := newProbe(0, key)
	return fmt.Sprintf("%x %x", p.meta&metaIdentity, wordsIn(&p))
}

// Different keys never look the same: here, keys that differ in a byte, in their length,
// or in nothing but bytes at the end that could be taken for filling.
func TestDifferentKeysDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawKey(t)
		others := []string{drawKey(t)}
		for _, tail := range []string{"\x00", "\x01", "\xff", "\x00\x00", "\xff\xff", strings.Repeat("\x00", 8), strings.Repeat("\xff", 8)} {
			others = append(others, key+tail, tail+key)
		}
		for cut := 1; cut <= min(9, len(key)-1); cut++ {
			others = append(others, key[:len(key)-cut], key[cut:])
		}
		at := rapid.IntRange(0, len(key)-1).Draw(t, "changed")
		for _, b := range []byte{0, 1, 0xff, key[at] ^ 1} {
			others = append(others, key[:at]+string([]byte{b})+key[at+1:])
		}
		form := formOf(key)
		for _, other := range others {
			if len(other) <= StateBytesMax && other != key && formOf(other) == form {
				t.Fatalf("%q and %q are both %s", key, other, form)
			}
		}
	})
}

// The same for all keys of a few bytes and lengths, without exception.
func TestAllSmallKeysDiffer(t *testing.T) {
	keys := map[string]string{}
	add := func(key string) {
		form := formOf(key)
		if other, there := keys[form]; there && other != key {
			t.Fatalf("%q and %q are both %s", key, other, form)
		}
		keys[form] = key
	}
	for length := 1; length <= 13; length++ {
		for bits := range 1 << length {
			zeros, ones := make([]byte, length), make([]byte, length)
			for i := range length {
				zeros[i], ones[i] = byte(bits>>i&1), -byte(bits>>i&1) // 0 and 1; 0 and 0xff
			}
			add(string(zeros))
			add(string(ones))
		}
	}
	for length := 1; length <= StateBytesMax; length++ {
		for _, b := range []byte{0, 1, 0xff} {
			add(string(bytes.Repeat([]byte{b}, length)))
		}
	}
}

// Which class a key of each length is in, and how wide its slots are.
func TestClasses(t *testing.T) {
	sizes := []int{32, 48, 64, 128, 256, 512, 1344}
	for class, want := range sizes {
		if got := newTable(nil, uint8(class), 2).stride * 8; got != uint64(want) {
			t.Errorf("a slot of class %d takes %d bytes, want %d", class, got, want)
		}
	}
	for _, c := range []struct {
		filler byte
		most   []int // the longest key of each class
	}{
		{'k', []int{16, 32, 48, 112, 240, 496, StateBytesMax}},
		{0, []int{14, 28, 42, 98, 210, 434, StateBytesMax}}, // seven bytes to a word
	} {
		class := 0
		for length := 1; length <= StateBytesMax; length++ {
			if length > c.most[class] {
				class++
			}
			p := newProbe(0, string(bytes.Repeat([]byte{c.filler}, length)))
			if int(p.class) != class {
				t.Errorf("%d bytes of %#x are in class %d, want %d", length, c.filler, p.class, class)
			}
		}
	}
}

// A search begins at a slot of even number in the table, and the later the higher the
// place: a scan goes by places.
func TestHomeRisesWithThePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := 2 * rapid.OneOf(rapid.Uint64Range(2, 50), rapid.Uint64Range(2, 1<<38)).Draw(t, "n")
		one, two := rapid.Uint64().Draw(t, "meta"), rapid.Uint64().Draw(t, "meta")
		if place(one) > place(two) {
			one, two = two, one
		}
		low, high := home(one, n), home(two, n)
		if low > high || high >= n || low%2 != 0 || high%2 != 0 {
			t.Fatalf("of %d slots places %x, %x begin at %d, %d", n, place(one), place(two), low, high)
		}
		if home(one|(1<<placeShift-1), n) != low {
			t.Fatal("what is no place moves the home")
		}
	})
	for _, n := range []uint64{4, 6, 1000, 1 << 20} {
		if first, last := home(0, n), home(^uint64(0), n); first != 0 || last != n-2 {
			t.Errorf("of %d slots searches begin at %d … %d", n, first, last)
		}
	}
}

// One key has one hash in a store, and another in the next store.
func TestHashesAreAStoresOwn(t *testing.T) {
	one, two := newHasher(), newHasher()
	for _, length := range []int{1, 7, 8, 11, 16, 17, 40, StateBytesMax} {
		key := strings.Repeat("k", length)
		if one.hash(key) != one.hash(string([]byte(key))) {
			t.Errorf("two hashes of a key of %d bytes", length)
		}
		if one.hash(key) == two.hash(key) {
			t.Errorf("two stores agree on a key of %d bytes", length)
		}
	}
}

// Keys that hardly differ, as real ones do, spread evenly over shards and places. The sum
// of squares is about 255 ± 23 if they do; the bound lies 10 deviations off.
func TestHashesSpread(t *testing.T) {
	const keys, bins, most = 1 << 16, 256, 485
	word := func(i int) string { return string([]byte{byte(i), byte(i >> 8), byte(i >> 16), 0, 0, 0, 0, 0}) }
	for name, key := range map[string]func(i int) string{
		"decimal":     func(i int) string { return fmt.Sprint("user:", 1_000_000+i) },
		"first word":  func(i int) string { return word(i) + "constant" },
		"second word": func(i int) string { return "constant" + word(i) },
		"both words":  func(i int) string { return word(i) + word(i) },
		"high bits":   func(i int) string { return string([]byte{0, 0, 0, 0, 0, 0, byte(i), byte(i >> 8)}) },
		"long":        func(i int) string { return fmt.Sprint("a key longer than sixteen bytes: ", i) },
	} {
		var counts [3][bins]int
		for h, i := newHasher(), 0; i < keys; i++ {
			p := newProbe(h.hash(key(i)), key(i))
			counts[0][p.shard]++
			counts[1][place(p.meta)>>(placeBits-8)]++
			counts[2][place(p.meta)&(bins-1)]++
		}
		for part, count := range counts {
			sum := 0.0
			for _, n := range count {
				sum += float64((n-keys/bins)*(n-keys/bins)) / (keys / bins)
			}
			if sum > most {
				t.Errorf("%s: part %d of the hash has a sum of squares of %.0f", name, part, sum)
			}
		}
	}
}

// A slot keeps at most its class's words, however many bytes of the key are zero.
func TestEveryLengthFits(t *testing.T) {
	for length := 1; length <= StateBytesMax; length++ {
		key := make([]byte, length)
		for i := range key {
			key[i] = byte(rand.Uint32() & 1) // most have no word of zeros, some have
		}
		for _, k := range []string{string(key), string(make([]byte, length))} {
			if p := newProbe(0, k); p.words > classWords[p.class] || p.words != wordsOf(p.meta) {
				t.Errorf("%q has %d words, by its meta %d, of class %d", k, p.words, wordsOf(p.meta), p.class)
			}
		}
	}
}
