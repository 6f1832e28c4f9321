package engine

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// cursorLimit: some clients read a cursor as a double, exact only below 2^53.
const cursorLimit = 1 << 53

// scanAll scans from 0 until the cursor is 0 again and counts the visits of each key.
func scanAll(t *testing.T, s *Store, count int, now int64) (visits map[string]int, calls int) {
	t.Helper()
	visits = map[string]int{}
	cursor := uint64(0)
	for {
		next := s.Scan(cursor, count, now, func(k KeyInfo) { visits[k.Key]++ })
		calls++
		if next == 0 {
			return visits, calls
		}
		if next <= cursor || next >= cursorLimit {
			t.Fatalf("cursor %d came after %d", next, cursor)
		}
		cursor = next
	}
}

// populated has live keys "live0"… and keys "rest0"… that are idle at noon.
func populated(t *testing.T, live, rest int) *Store {
	t.Helper()
	s, l := mustStore(), mustLimit(1, time.Second, 0)
	for i := range max(live, rest) {
		a := Algorithms()[i%len(Algorithms())]
		if i < live {
			mustCheck(s, fmt.Sprint("live", i), a, l, 1, noon)
		}
		if i < rest {
			mustCheck(s, fmt.Sprint("rest", i), a, l, 1, noon-2*sec)
		}
	}
	return s
}

func TestScanVisitsEveryLiveKeyOnce(t *testing.T) {
	const live = 1000
	s := populated(t, live, 500)
	for _, count := range []int{math.MinInt, -1, 0, 1, 2, 10, 999, 1_000_000, math.MaxInt} {
		visits, calls := scanAll(t, s, count, noon)
		for key, n := range visits {
			if n != 1 || !strings.HasPrefix(key, "live") {
				t.Errorf("count %d: %s was visited %d times", count, key, n)
			}
		}
		if len(visits) != live {
			t.Errorf("count %d: %d keys of %d", count, len(visits), live)
		}
		if count >= 1_000_000 && calls != 1 {
			t.Errorf("count %d, %d keys: %d calls", count, live, calls)
		}
	}
	if visits, _ := scanAll(t, mustStore(), 1, noon); len(visits) != 0 {
		t.Errorf("an empty store has %v", visits)
	}
}

// A call visits about count keys, not many more, and at least it moves on.
func TestScanCountIsABound(t *testing.T) {
	s := populated(t, 1000, 0)
	for count := range 20 {
		most := 3*max(count, 1) + 12 // and those that stand behind their place
		cursor, calls := uint64(0), 0
		for next := uint64(1); next != 0; cursor = next {
			visited := 0
			next = s.Scan(cursor, count, noon, func(KeyInfo) { visited++ })
			if calls++; visited > most {
				t.Fatalf("count %d: %d visited", count, visited)
			}
		}
		if calls < 1000/most {
			t.Fatalf("count %d: %d calls", count, calls)
		}
	}
}

// Any cursor from anybody is answered, with 0 or a cursor further on.
func TestScanAcceptsAnyCursor(t *testing.T) {
	s := populated(t, 300, 100)
	rapid.Check(t, func(t *rapid.T) {
		cursor := rapid.OneOf(
			rapid.Uint64(),
			rapid.Uint64Range(0, cursorEnd),
			rapid.SampledFrom([]uint64{0, 1, cursorEnd - 1, cursorEnd, cursorEnd + 1, cursorLimit, math.MaxUint64}),
		).Draw(t, "cursor")
		count := rapid.Int().Draw(t, "count")
		next := s.Scan(cursor, count, noon, func(k KeyInfo) {
			if info, found := s.Lookup(k.Key, noon); !found || info != k {
				t.Fatalf("visited %+v, looked up %+v", k, info)
			}
		})
		if next != 0 && (next <= cursor || next >= cursorLimit) {
			t.Fatalf("cursor %d came after %d", next, cursor)
		}
	})
}

// Keys whose positions agree in every bit that a cursor holds are visited in one call,
// however small its count: a cursor could not tell where among them to go on.
func TestScanKeepsEqualPositionsTogether(t *testing.T) {
	const together = 40
	s := mustStore()
	for i := range uint64(together) {
		const high = 0x2aaa_1234_5678_0000 // the bits that make the position
		plant(s, high|i, fmt.Sprint("same", i))
		plant(s, spread(i), fmt.Sprint("other", i))
		plant(s, high, fmt.Sprint("equal", i)) // and these agree in their whole hash
	}
	cursor := uint64(0)
	seen := map[string]int{}
	for next := uint64(1); next != 0; cursor = next {
		shared := 0
		next = s.Scan(cursor, 1, noon, func(k KeyInfo) {
			seen[k.Key]++
			if !strings.HasPrefix(k.Key, "other") {
				shared++
			}
		})
		if shared != 0 && shared != 2*together {
			t.Fatalf("a call visited %d of %d keys of one position", shared, 2*together)
		}
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s was visited %d times", key, n)
		}
	}
	if len(seen) != 3*together {
		t.Errorf("%d keys of %d", len(seen), 3*together)
	}
}

// A scan returns every key that was there from its first call to its last, once
// (invariant 7), while others insert so many that the table doubles many times, and reset
// and sweep the neighbours.
func TestScanMissesNothing(t *testing.T) {
	const stable = 200
	collide(t)
	l := mustLimit(1, time.Second, 0)
	for round := range max(fewer(4), 1) {
		s := populated(t, stable, 0)
		var made atomic.Int64
		stop := besides(func() {
			i := made.Add(1)
			now := noon - i%3/2*sec // one in three is idle already, for the sweep
			mustCheck(s, fmt.Sprint("passing", i), TokenBucket, l, 1, now)
			if i%3 == 0 {
				s.Reset(fmt.Sprint("passing", i-30), noon)
			}
			if i%10 == 0 {
				s.Sweep(10, noon)
			}
		})
		scans := 0
		for made.Load() < 20_000 {
			visits, _ := scanAll(t, s, 1+round*7, noon)
			scans++
			for i := range stable {
				if n := visits[fmt.Sprint("live", i)]; n != 1 {
					t.Fatalf("scan %d: live%d was visited %d times", scans, i, n)
				}
			}
		}
		stop()
		if st := s.Stats(); st.Rebuilt < 3*shardCount || st.Reclaimed == 0 {
			t.Fatalf("%d tables rebuilt, %d keys swept: this run proves nothing", st.Rebuilt, st.Reclaimed)
		}
		oneSlotPerKey(t, s)
	}
}

// Sweep reclaims every idle key and no other, in a number of calls that its count and
// the table's size bound.
func TestSweepReclaimsAllIdleAndNothingElse(t *testing.T) {
	const live, rest = 700, 1300
	for _, count := range []int{-1, 1, 10, 5000} {
		s := populated(t, live, rest)
		callsMax := 100_000
		forgot, calls := 0, 0
		for forgot < rest {
			forgot += s.Sweep(count, noon)
			if calls++; calls > callsMax {
				t.Fatalf("count %d: %d of %d keys forgotten in %d calls", count, forgot, rest, calls)
			}
		}
		if got := s.Sweep(5000, noon); got != 0 || forgot != rest || s.Stats().Reclaimed != rest || s.Len() != live {
			t.Errorf("count %d: forgot %d and %d, Reclaimed %d, Len %d", count, forgot, got, s.Stats().Reclaimed, s.Len())
		}
		if visits, _ := scanAll(t, s, 100, noon); len(visits) != live {
			t.Errorf("count %d: %d live keys of %d are left", count, len(visits), live)
		}
		oneSlotPerKey(t, s)
	}
}

func TestLookup(t *testing.T) {
	s := mustStore()
	if info, found := s.Lookup("key", noon); found {
		t.Errorf("an absent key is %+v", info)
	}
	l := mustLimit(1, time.Millisecond+1, 0) // idle 1 ns behind a whole µs, most of them
	for _, a := range Algorithms() {
		key := "a key of " + a.String() // longer than a slot of class 0 holds
		idleAt := noon + ceilMicros(mustCheck(s, key, a, l, 1, noon).ResetAfter)
		info, found := s.Lookup(key, idleAt-1)
		if !found || info.Key != key || info.Algorithm != a || info.IdleMicros != idleAt || info.Bytes < int64(len(key)) {
			t.Errorf("%+v, %v", info, found)
		}
		if info, found = s.Lookup(key, idleAt); found {
			t.Errorf("idle: %+v", info)
		}
		if s.Reset(key, idleAt) {
			t.Error("a reset of an idle key says that there was a key")
		}
	}
	if s.Len() != 0 {
		t.Errorf("resets left %d keys", s.Len())
	}
}

// The latest rest that there can be is still a positive number of µs.
func TestLookupAtTheLastInstant(t *testing.T) {
	s := mustStore()
	mustCheck(s, "key", TokenBucket, mustLimit(1, FillMax/100, 100), 100, NowMicrosMax)
	want := NowMicrosMax + int64(FillMax/time.Microsecond)
	if info, found := s.Lookup("key", NowMicrosMax); !found || info.IdleMicros != want {
		t.Errorf("rest at %d µs, want %d", info.IdleMicros, want)
	}
}

// The store keeps its own copy of a key, which may stand in a caller's buffer that the next
// request overwrites.
func TestKeysAreCopied(t *testing.T) {
	for _, length := range []int{1, 16, 17, 32, 33, KeyBytesMax} {
		s := mustStore()
		buffer := []byte(strings.Repeat("k", length))
		mustCheck(s, unsafe.String(&buffer[0], length), TokenBucket, mustLimit(1, time.Second, 0), 1, noon)
		clear(buffer)
		if info, found := s.Lookup(strings.Repeat("k", length), noon); !found || info.Key[0] != 'k' {
			t.Errorf("a key of %d bytes is lost", length)
		}
	}
}
