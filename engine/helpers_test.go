package engine

import (
	"errors"
	"fmt"
	"hash/fnv"
	"testing"
	"time"
)

// What every test file uses. Instants are constants: no test reads a clock to decide.

const (
	// noon is an ordinary instant in µs since the Unix epoch, in November 2023.
	noon = int64(1_700_000_000_000_000)

	ms   = int64(1_000)     // µs
	sec  = int64(1_000_000) // µs
	days = 24 * time.Hour
)

func daysMicros(n int64) int64 { return n * 86_400 * sec }

// mustLimit panics rather than fail a test, so that tables can be literals.
func mustLimit(limit int64, period time.Duration, burst int64) Limit {
	l, err := NewLimit(limit, period, burst)
	if err != nil {
		panic(err)
	}
	return l
}

// mustStore makes a store that accepts every limit that a log can have. It hashes keys alike in
// every run, so that which keys share a table is decided by the code alone.
func mustStore() *Store {
	s, err := NewStore(Options{LogLimitMax: LogLimitMax})
	if err != nil {
		panic(err)
	}
	s.hasher = hasher{secrets: [4]uint64{spread(1), spread(2), spread(3), spread(4)}}
	s.hasher.other = func(key string) uint64 {
		fnv := fnv.New64a()
		_, _ = fnv.Write([]byte(key))
		return s.hasher.short(fnv.Sum64(), uint64(len(key)))
	}
	return s
}

func allowed(limit, remaining int64, reset time.Duration) Decision {
	return Decision{Allowed: true, Limit: limit, Remaining: remaining, ResetAfter: reset}
}

func denied(limit, remaining int64, retry, reset time.Duration) Decision {
	return Decision{Limit: limit, Remaining: remaining, RetryAfter: retry, ResetAfter: reset}
}

// holding is allowed for a leaky_bucket: hold the request for delay.
func holding(limit, remaining int64, reset, delay time.Duration) Decision {
	return Decision{Allowed: true, Limit: limit, Remaining: remaining, ResetAfter: reset, Delay: delay}
}

// A row asks one question at an instant (µs) and knows the whole answer.
type row struct {
	at   int64
	op   Op
	cost int64
	want Decision
}

// A phase is the rows that are asked with one limit. A timeline of several phases is a
// key whose limit changes while it lives.
type phase struct {
	limit Limit
	rows  []row
}

type timeline struct {
	name   string
	phases []phase
}

// runTimelines asks every row of every timeline. Where a timeline's instants never step
// back it is run again with a sweep before each row: reclaiming may not change an answer.
func runTimelines(t *testing.T, a Algorithm, timelines []timeline) {
	t.Helper()
	for _, tl := range timelines {
		t.Run(tl.name, func(t *testing.T) { runTimeline(t, a, tl, false) })
		if monotone(tl) {
			t.Run(tl.name+", swept", func(t *testing.T) { runTimeline(t, a, tl, true) })
		}
	}
}

func runTimeline(t *testing.T, a Algorithm, tl timeline, sweep bool) {
	t.Helper()
	s, i := mustStore(), 0
	for _, p := range tl.phases {
		for _, r := range p.rows {
			if sweep {
				s.Sweep(1000, r.at)
			}
			got, err := ask(s, r.op, "key", a, p.limit, r.cost, r.at)
			if err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
			if got != r.want {
				t.Fatalf("row %d, %s %d at %d µs:\n got %+v\nwant %+v", i, opNames[r.op], r.cost, r.at, got, r.want)
			}
			i++
		}
	}
}

func monotone(tl timeline) bool {
	last := int64(0)
	for _, p := range tl.phases {
		for _, r := range p.rows {
			if r.at < last {
				return false
			}
			last = r.at
		}
	}
	return true
}

var opNames = map[Op]string{OpCheck: "check", OpPeek: "peek", OpRefund: "refund", OpForce: "force"}

// A content is what a store holds for one key: the word, or for a log its entries.
type content struct {
	owner Algorithm
	state int64
	log   string
}

// contents lists the keys that are not idle at instant now (µs).
func contents(s *Store, now int64) map[string]content {
	all := map[string]content{}
	eachHeld(s, func(_ *table, slot *slot, st int64) {
		if rest, ok := s.space.Load().idleAt(slot, st); !ok || rest <= now*1000 {
			return
		}
		c := content{owner: slot.kind(), state: st}
		switch r := &s.space.Load().logs; c.owner.Shape() {
		case ShapeLog:
			c.log = fmt.Sprint(r.load(st).period, entriesOf(r.load(st)))
		case ShapeCounter:
			c.log = fmt.Sprint(r.load(st).period, slicesOf(r.load(st)))
		case ShapeWord:
		}
		all[keyOf(slot, slot.meta.Load())] = c
	})
	return all
}

// eachHeld calls visit for every slot that holds a state.
func eachHeld(s *Store, visit func(t *table, slot *slot, st int64)) {
	s.space.Load().each(func(_ uint16, t *table) {
		for i := range t.n {
			if slot := t.slot(i); held(slot.state.Load()) {
				visit(t, slot, slot.state.Load())
			}
		}
	})
}

// busyKey is the key that many are about to use. What it returns is the ring that its slot has at the
// time, or nil.
func busyKey(s *Store, a Algorithm, l Limit) func() *ring {
	mustCheck(s, "key", a, l, 1, noon)
	var only *slot
	eachHeld(s, func(_ *table, slot *slot, _ int64) { only = slot })
	return func() *ring {
		if st := only.state.Load(); held(st) {
			return s.space.Load().logs.load(st)
		}
		return nil // idle
	}
}

// entriesOf are the entries of a log, those that have left included: instant (µs), units.
func entriesOf(r *ring) (entries [][2]int64) {
	v := r.view()
	for i := range v.size() {
		if v.entry(i) != 0 {
			entries = append(entries, [2]int64{v.at(i), v.units(i, i)})
		}
	}
	return entries
}

// slicesOf are the slices of a counter, those that have left included.
func slicesOf(r *ring) (slices []sliceUnits) {
	v := r.counter()
	for i := range v.last() + 1 {
		if v.entry(i) != 0 {
			slices = append(slices, sliceUnits{v.slice(i), v.units(i)})
		}
	}
	return slices
}

// ceilMicros rounds a span up to whole µs, the step of a caller's clock.
func ceilMicros(d time.Duration) int64 { return (int64(d) + 999) / 1000 }

// argumentOf is the argument that err blames, or "" when err is no *ArgumentError.
func argumentOf(err error) string {
	var bad *ArgumentError
	if errors.As(err, &bad) {
		return bad.Argument
	}
	return ""
}

// ask is Store.Ask over another call's decision, of which nothing may be left.
func ask(s *Store, o Op, key string, a Algorithm, l Limit, cost, now int64) (d Decision, err error) {
	d = Decision{Allowed: true, Limit: -2, Remaining: -3, RetryAfter: -4, ResetAfter: -5, Delay: -6}
	err = s.Ask(o, key, a, &l, cost, now, &d)
	return d, err
}

// plant makes a token_bucket key with a hash of the test's choosing, idle at noon + 1 s.
func plant(s *Store, hash uint64, key string) Decision {
	l, d := mustLimit(1, time.Second, 0), Decision{}
	if err := s.search(s.space.Load(), hash, key, &query{OpCheck, TokenBucket, &l, 1, noon * 1000, nil}, &d); err != nil {
		panic(err)
	}
	return d
}

// spread makes a hash of a number: multiplying by an odd number loses nothing.
func spread(i uint64) uint64 { return i * 0x9e37_79b9_7f4a_7c15 }

// askAt is ask for a key with a hash of the test's choosing.
func askAt(s *Store, o Op, hash uint64, key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	d := Decision{}
	err := s.search(s.space.Load(), hash, key, &query{o, a, &l, cost, now * 1000, nil}, &d)
	return d, err
}

// spent says whether a unit of plant's limit has been taken from the key, and how often.
func spent(s *Store, hash uint64, key string) bool {
	d, err := askAt(s, OpPeek, hash, key, TokenBucket, mustLimit(1, time.Second, 0), 1, noon)
	if err != nil {
		panic(err)
	}
	return !d.Allowed
}

// slotsOf counts the open slots of a store by their keys.
func slotsOf(s *Store) map[string]int {
	slots := map[string]int{}
	eachHeld(s, func(_ *table, slot *slot, _ int64) { slots[keyOf(slot, slot.meta.Load())]++ })
	return slots
}

// another is the algorithm after this one, round again.
func another(a Algorithm) Algorithm { return Algorithms()[int(a)%len(Algorithms())] }

// fewer is how many times to do what is to be done n times: the run with the race detector
// takes ten times as long, and a tenth is enough for it.
func fewer(n int) int {
	if checkInvariants {
		return n / 10
	}
	return n
}
