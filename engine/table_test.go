package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// beginClaim is the first steps of a claim, as of a caller that stalls: the meta word and
// so many words of the key.
func beginClaim(t *table, s *slot, p *probe, kind Algorithm, words int) {
	if !s.meta.CompareAndSwap(0, p.meta|uint64(kind)) {
		panic("the slot is not free")
	}
	t.used.Add(1)
	for i := range words {
		s.word(i).Store(p.word(i))
	}
}

// alike are keys of one length, each differing from the next in another word: the last two
// in their last one only.
func alike(words int) (keys []string) {
	for i := range words {
		keys = append(keys, strings.Repeat("same....", i)+strings.Repeat("OTHER...", words-i))
	}
	return append(keys, strings.Repeat("same....", words))
}

// Keys that agree in their whole hash and length are told apart by their words, in every
// class: each is found, and none twice.
func TestEqualHashes(t *testing.T) {
	const hash = 0x1234_5678_9abc_def0
	for class, words := range classWords {
		s := mustStore()
		keys := alike(min(words, StateBytesMax/8))
		for _, key := range keys {
			if d := plant(s, hash, key); !d.Allowed {
				t.Fatalf("class %d: %q was there before it came", class, key)
			}
		}
		for _, key := range keys {
			if plant(s, hash, key).Allowed {
				t.Fatalf("class %d: %q was not found again", class, key)
			}
			if n := slotsOf(s)[key]; n != 1 {
				t.Fatalf("class %d: %q has %d slots", class, key, n)
			}
		}
		if got := s.Len(); got != int64(len(keys)) {
			t.Errorf("class %d: %d keys, want %d", class, got, len(keys))
		}
	}
}

// A claim that stalls after any of its steps holds no other up (invariant 7). The caller that comes
// next (the key itself, another that has agreed with it up to there, one that moves the
// slot or shuts it) goes on, and the one that stalled does no harm when it goes on.
func TestStalledClaim(t *testing.T) {
	const hash = 0xabcd_0123_4567_89ab
	for class, words := range classWords {
		words = min(words, StateBytesMax/8)
		keys := alike(words)
		key := keys[words]
		for done := range words {
			other := keys[done] // agrees in so many words and in no more
			for name, meanwhile := range map[string]func(s *Store, t *table, slot *slot){
				"nothing":        func(*Store, *table, *slot) {},
				"the key":        func(s *Store, _ *table, _ *slot) { plant(s, hash, key) },
				"another key":    func(s *Store, _ *table, _ *slot) { plant(s, hash, other) },
				"both":           func(s *Store, _ *table, _ *slot) { plant(s, hash, other); plant(s, hash, key) },
				"shut":           func(_ *Store, _ *table, slot *slot) { slot.shut() },
				"shut, the key":  func(s *Store, _ *table, slot *slot) { slot.shut(); plant(s, hash, key) },
				"moved":          func(s *Store, t *table, _ *slot) { moveOn(s, t) },
				"moved, another": func(s *Store, t *table, _ *slot) { moveOn(s, t); plant(s, hash, other) },
			} {
				s, p := mustStore(), newProbe(hash, key)
				tab := s.space.Load().firstMade(&p)
				slot, _, what := tab.seek(&p, false)
				beginClaim(tab, slot, &p, TokenBucket, done)
				if got, _, is := tab.seek(&p, false); got != slot || is != absent || what != absent {
					t.Fatalf("class %d, %d words: a look-up ends with %d", class, done, is)
				}
				if spent(s, hash, key) || spent(s, hash, other) {
					t.Fatalf("class %d, %d words: a key is there before its slot is claimed", class, done)
				}
				meanwhile(s, tab, slot)
				// The caller that stalled: the rest of the claim, and then again from the start.
				claimed := tab.claim(slot, &p, uint8(TokenBucket))
				if keyed, _ := slot.holds(&p); claimed != keyed {
					t.Fatalf("class %d, %d words, %s: claim says %v", class, done, name, claimed)
				}
				plant(s, hash, key)
				want := map[string]int{key: 1}
				if strings.Contains(name, "other") || name == "both" {
					want[other] = 1
				}
				if got := slotsOf(s); fmt.Sprint(got) != fmt.Sprint(want) || !spent(s, hash, key) {
					t.Fatalf("class %d, %d words, %s: slots %v, want %v", class, done, name, got, want)
				}
			}
		}
	}
}

// A slot that one algorithm began for a key is closed when another one asks first: no key
// is bound to a caller that stalls.
func TestStalledClaimOfAnotherAlgorithm(t *testing.T) {
	const hash, key = 0x0123_4567_89ab_cdef, "user:123"
	for _, begun := range Algorithms() {
		for _, asked := range Algorithms() {
			for done := range 3 {
				s, p, l := mustStore(), newProbe(hash, key), mustLimit(1, time.Second, 0)
				tab := s.space.Load().firstMade(&p)
				first, _, _ := tab.seek(&p, false)
				beginClaim(tab, first, &p, begun, done)
				d, err := askAt(s, OpCheck, hash, key, asked, l, 1, noon)
				if err != nil || !d.Allowed || fmt.Sprint(slotsOf(s)) != "map[user:123:1]" {
					t.Fatalf("%v after %v: %+v, %v, %v", asked, begun, d, err, slotsOf(s))
				}
				eachHeld(s, func(_ *table, holding *slot, _ int64) {
					if holding.kind() != asked {
						t.Errorf("%v after %v: the slot is for %v", asked, begun, holding.kind())
					}
				})
				// The caller that stalled finds which was first.
				_, err = askAt(s, OpCheck, hash, key, begun, l, 1, noon)
				if (err == nil) != (begun == asked) {
					t.Fatalf("%v after %v, then %v: %v", asked, begun, begun, err)
				}
			}
		}
	}
}

// What a slot's state says, and what each step makes of it and of the count of live keys.
func TestStates(t *testing.T) {
	const some, more = 1_000_000_007, 1_000_000_008
	for _, c := range []struct {
		st               int64
		held             bool
		carried          int64
		killed           int64
		searched, copied finding // without the dead, and with them
	}{
		{0, false, 0, stateUnborn, found, found},
		{some, true, some, stateDead, found, found},
		{stateIdle, false, 0, stateDead, found, found},
		{stateUnborn, false, 0, 0, absent, absent},
		{stateDead, false, 0, 0, absent, found},
		{some | stateSign, false, some, 0, found, found},
	} {
		tab, p := newTable(nil, 0, 4), newProbe(0, "user:123")
		slot, _, _ := tab.seek(&p, false)
		tab.claim(slot, &p, uint8(TokenBucket))
		slot.state.Store(c.st)
		if held(c.st) != c.held || carried(c.st) != c.carried {
			t.Errorf("%x: held %v, carried %d", c.st, held(c.st), carried(c.st))
		}
		for dead, want := range map[bool]finding{false: c.searched, true: c.copied} {
			if got, st, what := tab.seek(&p, dead); what != want || (got == slot) != (want == found) || what == found && st != c.st {
				t.Errorf("%x: seek with dead %v ends with %d at %x", c.st, dead, what, st)
			}
		}
		if tab.kill(slot, more) || tab.swap(slot, more, some) || slot.state.Load() != c.st {
			t.Errorf("%x: a step from another state was made", c.st)
		}
		if c.killed == 0 {
			continue
		}
		tab.live.Store(1)
		if !tab.kill(slot, c.st) || slot.state.Load() != c.killed || tab.live.Load() == 1 != !c.held {
			t.Errorf("%x: killed it is %x, with %d live", c.st, slot.state.Load(), tab.live.Load())
		}
	}
	if stateUnborn >= 0 || stateDead >= 0 || stateUnborn == stateDead || NowMicrosMax*1000+int64(FillMax) >= stateIdle {
		t.Error("states overlap")
	}
	tab := newTable(nil, 0, 4)
	for _, step := range []struct{ from, to, live int64 }{
		{0, some, 1}, {some, more, 1}, {more, stateIdle, 0}, {stateIdle, some, 1}, {some, some | stateSign, 0},
	} {
		if !tab.swap(tab.slot(0), step.from, step.to) || tab.live.Load() != step.live {
			t.Errorf("from %x to %x: %d live", step.from, step.to, tab.live.Load())
		}
	}
}

// drawTable draws a table of class 0 as callers leave it behind that stall after any step,
// and keys that agree in more or less of what they are compared by.
func drawTable(t *rapid.T) (*table, []probe) {
	keys := []string{"same....", "same....same....", "same....OTHER...", "OTHER...same....", "\x00\x00\x00\x00\x00\x00\x00\x00same.."}
	places := rapid.SliceOfN(rapid.SampledFrom([]uint64{0, 1 << 54, 1<<56 - 1}), 1, 2).Draw(t, "places")
	var probes []probe
	for _, key := range keys {
		for _, place := range places {
			probes = append(probes, newProbe(place, key))
		}
	}
	tab := newTable(nil, 0, 2*rapid.Uint64Range(2, 6).Draw(t, "half of n"))
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		p, a := rapid.SampledFrom(probes).Draw(t, "key"), rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
		s, st, what := tab.seek(&p, false)
		switch step := rapid.IntRange(0, 7).Draw(t, "step"); {
		case what == absent && step == 0:
			s.shut()
		case what == absent && s.meta.Load() == 0:
			beginClaim(tab, s, &p, a, rapid.IntRange(0, 2).Draw(t, "words"))
		case what == absent:
			tab.claim(s, &p, uint8(a))
		case what == found && st >= 0:
			to := rapid.SampledFrom([]int64{7, 7, 8, stateIdle, stateDead, st | stateSign}).Draw(t, "state")
			if st == 0 && to < 0 {
				to = stateUnborn
			}
			tab.swap(s, st, to)
		}
	}
	return tab, probes
}

// seek does what its comment says, here written down slot by slot: the first slot from the
// key's home on that is neither closed nor another key's ends the search.
func TestSeek(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, probes := drawTable(t)
		p, dead := rapid.SampledFrom(probes).Draw(t, "sought"), rapid.Bool().Draw(t, "dead")
		var want *slot
		what := closed
		for i := range tab.n {
			s := tab.slot((home(p.meta, tab.n) + i) % tab.n)
			meta, st := s.meta.Load(), s.state.Load()
			one, two := s.first.Load(), s.second.Load()
			if meta == 0 {
				want, what = s, absent
				break
			} else if meta == metaClosed {
				break
			}
			if meta&metaIdentity != p.meta || one != 0 && one != p.first || two != 0 && two != p.second {
				continue // another key's
			}
			whole := one != 0 && two != 0
			if whole && (st >= 0 || carried(st) != 0 || st == stateDead && dead) {
				want, what = s, found
				break
			} else if st >= 0 {
				want, what = s, absent
				break
			}
		}
		s, st, got := tab.seek(&p, dead)
		if s != want || got != what || s != nil && st != s.state.Load() {
			t.Fatalf("seek ends with %d, want %d", got, what)
		}
	})
}

// drawHint is of the table, of none, of another table, or half of another.
func drawHint(t *rapid.T, tab *table) *hint {
	var h hint
	other := newTable(nil, 0, 2*tab.n)
	if rapid.Bool().Draw(t, "hinted base") {
		h.base.Store(unsafe.SliceData(rapid.SampledFrom([]*table{tab, other}).Draw(t, "base of").words))
	}
	if rapid.Bool().Draw(t, "hinted size") {
		h.n.Store(rapid.SampledFrom([]*table{tab, other}).Draw(t, "size of").n)
	}
	return &h
}

// What near finds is what seek finds, whatever the hint; and a key that has only strangers before it near does
// find, up to the end of the table.
func TestNearAgreesWithSeek(t *testing.T) {
	nearOf := func(tab *table, h *hint, p *probe, a Algorithm) *slot {
		return tab.near(h, p.meta|uint64(a), p.first, p.second)
	}
	rapid.Check(t, func(t *rapid.T) {
		tab, probes := drawTable(t)
		h := drawHint(t, tab)
		p, a := rapid.SampledFrom(probes).Draw(t, "sought"), rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
		if slot := nearOf(tab, h, &p, a); slot != nil {
			if s, _, what := tab.seek(&p, false); what != found || s != slot || !slot.is(a) {
				t.Fatalf("near found a slot and seek another, %d", what)
			}
		}
	})
	const n = 64
	for stranger := range uint64(n) {
		tab := newTable(nil, 0, n)
		for i := range stranger {
			p := newProbe(spread(i), fmt.Sprint("stranger", i%10))
			beginClaim(tab, tab.slot(i), &p, LeakyBucket, 2)
		}
		p := newProbe(0, "user:123")
		slot, _, _ := tab.seek(&p, false)
		tab.claim(slot, &p, uint8(TokenBucket))
		slot.state.Store(7)
		h := hint{}
		if nearOf(tab, &h, &p, TokenBucket) != nil || h.base.Load() != &tab.words[0] || h.n.Load() != tab.n {
			t.Fatal("without a hint near makes one")
		}
		if near := nearOf(tab, &h, &p, TokenBucket); near != slot && near != nil || near == nil && stranger%2 == 1 {
			t.Fatalf("behind %d strangers near does not find the key", stranger)
		}
		if nearOf(tab, &h, &p, LeakyBucket) != nil {
			t.Fatal("near found a key of another algorithm")
		}
		slot.state.Store(7 | stateSign)
		if nearOf(tab, &h, &p, TokenBucket) != nil {
			t.Fatal("near found a slot that is closed")
		}
	}
}

// A search in a table without a free slot comes to an end, and its key to a successor.
func TestFullTable(t *testing.T) {
	const hash = 1 << 40
	for _, keep := range []bool{true, false} {
		s := mustStore()
		for i := range 2 {
			plant(s, hash, fmt.Sprint("user:10", i)) // what fits before a successor is due
		}
		p := newProbe(hash, "user:123")
		first := s.space.Load().first(&p)
		for i := range first.n { // and others that have come that far at the same time
			if slot := first.slot(i); slot.meta.Load() == 0 {
				p := newProbe(hash+1<<30, fmt.Sprint("user:11", i))
				beginClaim(first, slot, &p, TokenBucket, 2*int(i%2))
			}
		}
		if keep {
			first.used.Store(0) // as if none of them had counted yet
		}
		if _, _, what := first.seek(&p, false); what != closed {
			t.Fatalf("a full table: %d", what)
		}
		if !plant(s, hash, "user:123").Allowed || !spent(s, hash, "user:123") || !spent(s, hash, "user:100") {
			t.Fatal("a key is lost")
		}
		if first.next.Load() == nil || fmt.Sprint(slotsOf(s)) != "map[user:100:1 user:101:1 user:123:1]" {
			t.Errorf("slots %v", slotsOf(s))
		}
	}
}

// Keys whose search begins at the table's end stand at its beginning too: they are found,
// scanned and moved as all others.
func TestWrapAround(t *testing.T) {
	const keys, hash = 40, 1<<56 - 1
	s := mustStore()
	p := newProbe(hash, "x")
	for i := range keys {
		plant(s, hash-uint64(i%2)<<40, fmt.Sprint("user:1", i+10))
		if i%3 == 0 {
			plant(s, uint64(i), fmt.Sprint("first:", i)) // these want to be at the beginning
		}
	}
	tab := s.space.Load().first(&p)
	for tab.next.Load() != nil {
		tab = moveOn(s, tab)
	}
	if tab.slot(tab.n-1).state.Load() <= 0 || tab.slot(0).state.Load() <= 0 || tab.n < keys {
		t.Fatal("no search has come to the end of the table: this run proves nothing")
	}
	seen := slotsOf(s)
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s has %d slots", key, n)
		}
	}
	visits, _ := scanAll(t, s, 1, noon)
	if len(seen) != keys+(keys+2)/3 || len(visits) != len(seen) {
		t.Errorf("%d keys, %d visited", len(seen), len(visits))
	}
	for i := range keys {
		if plant(s, hash-uint64(i%2)<<40, fmt.Sprint("user:1", i+10)).Allowed {
			t.Errorf("user:1%d is lost", i+10)
		}
	}
}
