package engine

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// A check on a key that exists allocates nothing, whether it is allowed or denied: at
// millions a second, garbage would be the first thing to hurt.
func TestCheckAllocatesNothing(t *testing.T) {
	const most = 1_000_000
	for _, a := range []Algorithm{TokenBucket, LeakyBucket} {
		for _, want := range []bool{true, false} {
			s, l := mustStore(), mustLimit(most, time.Hour, 0)
			mustCheck(s, "user:123", a, l, 1, noon)
			if !want {
				mustCheck(s, "user:123", a, l, most-1, noon)
			}
			allocations := testing.AllocsPerRun(1000, func() {
				if d, err := s.Check("user:123", a, l, 1, noon); err != nil || d.Allowed != want {
					t.Fatalf("%+v, %v", d, err)
				}
			})
			if allocations != 0 {
				t.Errorf("%v, allowed %v: %v allocations", a, want, allocations)
			}
		}
	}
}

// A denial or a peek of a log allocates nothing either.
func TestLogDenialAllocatesNothing(t *testing.T) {
	s, l := mustStore(), mustLimit(100, time.Hour, 0)
	for range 100 {
		mustCheck(s, "user:123", SlidingWindowLog, l, 1, noon)
	}
	allocations := testing.AllocsPerRun(1000, func() {
		if mustCheck(s, "user:123", SlidingWindowLog, l, 1, noon).Allowed {
			t.Fatal("allowed")
		}
		if d, err := s.Peek("user:123", SlidingWindowLog, l, 100, noon); err != nil || d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// One logged unit takes at most 16 bytes, beyond what a log of one unit takes, whether the
// log grows or has slid for a long time.
func TestLogBytesPerUnit(t *testing.T) {
	const one = 160 // header, array header and the first slots
	for _, limit := range []int64{1, 10, 1000, 20_000} {
		s, l := mustStore(), mustLimit(limit, time.Second, 0)
		for i := range 3 * limit { // three windows' worth, evenly spaced
			now := noon + i*sec/limit
			if !mustCheck(s, "key", SlidingWindowLog, l, 1, now).Allowed {
				t.Fatalf("unit %d of %d a second was denied", i, limit)
			}
			units := min(i+1, limit)
			if got := s.Stats().LogBytes; got > one+16*units {
				t.Fatalf("limit %d: a log of %d units takes %d bytes", limit, units, got)
			}
		}
	}
}

// KeyInfo.Bytes, which --maxmemory is reckoned with, is about what the heap shows: within
// a third.
func TestBytesEstimateTheHeap(t *testing.T) {
	for _, c := range []struct {
		algorithm Algorithm
		keys      int
		units     int // logged for each key
		format    string
	}{
		{TokenBucket, 20_000, 1, "user:%d"},
		{TokenBucket, 10_000, 1, "a much longer key, as long as a URL or a session identifier: %d"},
		{SlidingWindowLog, 8_000, 1, "user:%d"},
		{SlidingWindowLog, 500, 300, "user:%d"},
	} {
		l := mustLimit(1000, time.Hour, 0)
		before := heapBytes()
		s := mustStore()
		for i := range c.keys {
			key := fmt.Sprintf(c.format, i)
			for range c.units {
				mustCheck(s, key, c.algorithm, l, 1, noon)
			}
		}
		used := heapBytes() - before
		estimate := int64(0)
		s.Scan(0, 1_000_000, noon, func(k KeyInfo) { estimate += k.Bytes })
		if ratio := float64(estimate) / float64(used); ratio < 0.67 || ratio > 1.5 {
			t.Errorf("%v, %d keys of %d units: estimated %d bytes a key, the heap shows %d",
				c.algorithm, c.keys, c.units, estimate/int64(c.keys), used/int64(c.keys))
		}
		runtime.KeepAlive(s)
	}
}

// A short key takes 51 to 54 bytes of the tables, however many there are.
func TestTableBytesPerKey(t *testing.T) {
	s, l, next := mustStore(), mustLimit(10, time.Hour, 0), 20_000
	for i := 1; i <= fewer(300_000); i++ {
		mustCheck(s, fmt.Sprintf("key:%012d", i), TokenBucket, l, 1, noon)
		if i < next {
			continue
		}
		next += next / 16
		if each := float64(bytesOf(s)) / float64(i); each > 56 {
			t.Errorf("%d keys take %.1f bytes each", i, each)
		}
	}
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A log that a long period has written to keeps what a short one admits, in 8 to 16 bytes for each
// request, up to the highest limit of a log. There it stays, whatever comes, and Lookup tells.
func TestMemoryOfMixedPeriods(t *testing.T) {
	for most, kept := range map[int64]int64{LogLimitDefault: 6000, 1000: 1001} {
		s, err := NewStore(Options{LogLimitMax: most})
		if err != nil {
			t.Fatal(err)
		}
		long, short := mustLimit(5, time.Minute, 0), mustLimit(100, time.Second, 0)
		mustCheck(s, "log", SlidingWindowLog, long, 1, noon)
		const units, every = 20_000, sec / 100
		rings, last, bytes := 0, (*ring)(nil), int64(0)
		for i := range int64(units) {
			now := noon + sec + i*every
			if !mustCheck(s, "log", SlidingWindowLog, short, 1, now).Allowed {
				t.Fatalf("unit %d of the short period was denied", i)
			}
			if r := ringOf(s); r != last {
				rings, last = rings+1, r
			}
			info, _ := s.Lookup("log", now)
			bytes = max(bytes, info.Bytes)
			if d, err := s.Peek("log", SlidingWindowLog, long, 1, now); i > 3 && (err != nil || d.Allowed) {
				t.Fatalf("after %d units, the long period: %+v, %v", i, d, err)
			}
		}
		t.Logf("with a limit of at most %d: %d bytes for %d units, %d rings", most, bytes, kept, rings)
		if perUnit := float64(bytes) / float64(kept); perUnit < 8 || perUnit > 16 {
			t.Errorf("with a limit of at most %d, a log that keeps %d units takes %d bytes: %.1f for each", most, kept, bytes, perUnit)
		}
		if rings > 40+units/int(most/4) {
			t.Errorf("with a limit of at most %d, %d requests took %d rings", most, units, rings)
		}
	}
}
