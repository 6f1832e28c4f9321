package engine

import (
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A name that is made of its parts has the words, the hash and the meta word of its text.
func TestNameOfParts(t *testing.T) {
	h, made := newHasher(), 0
	rapid.Check(t, func(t *rapid.T) {
		key := drawKey(t)
		if rapid.Bool().Draw(t, "usual") {
			key = key[:min(len(key), rapid.IntRange(1, 30).Draw(t, "length"))]
		}
		end := "@" + rapid.StringMatching(`[a-z]{1,12}:[tlf][0-9]{0,9}/[1-9][0-9]{0,3}m`).Draw(t, "end")
		x := NewSuffix(end)
		var n name
		if !n.set(key, &x) {
			return
		}
		made++
		text := key + end
		p := newProbe(h.hash(text), text)
		want := wordsIn(&p)
		got := []uint64{n.first, n.second, n.third, n.fourth}[:len(want)]
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%q: word %d is %x, want %x", text, i, got[i], want[i])
			}
		}
		if hash := h.medium(&n); hash != h.hash(text) || n.meta(hash) != p.meta || p.class != namedClass {
			t.Fatalf("%q: hash %x, want %x; meta %x, want %x", text, hash, h.hash(text), n.meta(hash), p.meta)
		}
	})
	if made == 0 {
		t.Error("no name was made of its parts")
	}
}

// AskNamed answers as Ask does, or leaves the answer to it.
func TestAskNamed(t *testing.T) {
	quick := 0
	rapid.Check(t, func(t *rapid.T) {
		byParts, byText := newNamedStore(t), newNamedStore(t)
		a := rapid.SampledFrom([]Algorithm{TokenBucket, LeakyBucket, FixedWindow}).Draw(t, "algorithm") | Named
		limit := drawLimit(t, a&^Named)
		key := rapid.SampledFrom([]string{"k", "user", "user:1", "user:123", "user:12345", "user:1234567890123", "user:123456789012345678"}).Draw(t, "key")
		const end = "@api:x5/1s"
		x := NewSuffix(end)
		part := Part{Algorithm: a, Limit: limit, Suffix: &x, Replaced: new(atomic.Bool)}
		now := drawStart(t)
		for range rapid.IntRange(1, 20).Draw(t, "questions") {
			o, cost := drawOp(t), drawCost(t, limit)
			byParts.PrefetchNamed(key, &x)
			var got, want Decision
			if byParts.AskNamed(o, key, &part, cost, now, &got) {
				quick++
			} else if err := byParts.Ask(o, key+end, a, &limit, cost, now, &got); err != nil {
				t.Fatal(err)
			}
			if err := byText.Ask(o, key+end, a, &limit, cost, now, &want); err != nil || got != want {
				t.Fatalf("op %d, cost %d at %d: %+v, want %+v (%v)", o, cost, now, got, want, err)
			}
			now = drawNow(t, now, limit, got, false)
		}
	})
	if quick == 0 {
		t.Error("no question was answered by AskNamed")
	}
}

// A limit that was replaced meanwhile leaves nothing behind.
func TestAskNamedReplaced(t *testing.T) {
	s, limit, replaced := newNamedStore(t), mustLimit(10, time.Second, 0), new(atomic.Bool)
	x := NewSuffix("@api:t10/1s")
	part := Part{Algorithm: TokenBucket | Named, Limit: limit, Suffix: &x, Replaced: replaced}
	const key, state = "user:123", "user:123@api:t10/1s"
	var d Decision
	if err := s.Ask(OpCheck, state, TokenBucket|Named, &limit, 3, noon, &d); err != nil {
		t.Fatal(err)
	}
	if replaced.Store(true); s.AskNamed(OpCheck, key, &part, 2, noon, &d) {
		t.Errorf("a limit that was replaced has answered %+v", d)
	}
	if err := s.Ask(OpPeek, state, TokenBucket|Named, &limit, 1, noon, &d); err != nil || d.Remaining != 7 {
		t.Errorf("%d units are left, want 7 (%v)", d.Remaining, err)
	}
	if !s.AskNamed(OpRefund, key, &part, 2, noon, &d) || d.Remaining != 9 {
		t.Errorf("%+v, want the refund to stand", d)
	}
}

// newNamedStore is a store that hashes names by their words, as every store does outside of tests.
func newNamedStore(t rapid.TB) *Store {
	s, err := NewStore(Options{LogLimitMax: LogLimitMax})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
