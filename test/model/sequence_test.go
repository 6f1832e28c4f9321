package model_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rlserver/rlserver/engine"
	"github.com/rlserver/rlserver/test/model"
)

// A sequence of calls to a store is a string of bytes, stepBytes for each step, so that
// the fuzzer can change it and the random test can draw it. Every string is a sequence.

const (
	stepBytes = 6
	noon      = model.Noon
	lag       = model.Lag
)

// A step is one call as it stands in the string.
type step struct{ action, keyHigh, keyLow, limit, cost, clock byte }

func (s step) bytes() []byte {
	return []byte{s.action, s.keyHigh, s.keyLow, s.limit, s.cost, s.clock}
}

// The actions. Each takes the values of action from its own up to the next one's.
const (
	doCheck    = 0
	doForce    = 90
	doPeek     = 96
	doRefund   = 128
	doReset    = 168
	doLookup   = 188
	doSweep    = 204
	doScan     = 220
	doCrowd    = 224 // check many keys
	doDisperse = 250 // reset many keys
	doFlush    = 255
)

// crowd is how many keys a crowd has.
const crowd = 64

// specialKeys are those that a table could take for one another, or for nothing: of every
// width of slot and a byte around it, all zero, all ones, prefixes of each other, with a
// zero at the end, and with zeros where a word of the key would be zero.
var specialKeys = func() (keys []string) {
	text := strings.Repeat("abcdefghijklmnopqrstuvwxyz.", 40)
	for _, n := range []int{1, 2, 7, 8, 9, 15, 16, 17, 24, 32, 33, 48, 49, 112, 113, 240, 241, 496, 497, 1023, 1024} {
		keys = append(keys, text[:n], text[:n-1]+"\x00", strings.Repeat("\x00", n), strings.Repeat("\xff", n))
		if n >= 16 {
			keys = append(keys, text[:8]+strings.Repeat("\x00", 8)+text[:n-16], strings.Repeat("\x00", 8)+text[:n-8])
		}
	}
	return keys
}()

// numberedKeys is how many keys there are besides the special ones.
const numberedKeys = 1 << 13

func numberedKey(i int) string { return fmt.Sprintf("user:%d", i%numberedKeys) }

// key is the key of the step, and its number, which tells the algorithm that it mostly has.
func (s step) key() (string, int) {
	i := int(s.keyHigh)<<8 | int(s.keyLow)
	if s.keyHigh < 128 {
		return specialKeys[i%len(specialKeys)], i % len(specialKeys)
	}
	return numberedKey(i), i
}

// limits are few for each algorithm, so that they change on a key but not at every call.
var limits = func() map[engine.Algorithm][]engine.Limit {
	all := map[engine.Algorithm][]engine.Limit{}
	for _, a := range engine.Algorithms() {
		all[a] = []engine.Limit{
			mustLimit(3, time.Second, 0),
			mustLimit(7, 1_000_003*time.Nanosecond, 0),
			mustLimit(1, time.Millisecond, 0),
			mustLimit(100, 40*time.Second, 0),
			mustLimit(1000, engine.PeriodMax, 0),
			mustLimit(engine.LogLimitMax, time.Hour, 0),
		}
		if a.HasBurst() {
			all[a] = append(all[a],
				mustLimit(2, time.Second, 5),
				mustLimit(engine.UnitsMax, time.Second, 1),
				mustLimit(1, engine.FillMax/100, 100),
			)
		}
		for _, c := range []engine.Calendar{engine.Week, engine.Month, engine.Year} {
			if l, err := engine.NewCalendarLimit(3, c); err == nil && a.CheckLimit(&l, engine.LogLimitMax) == nil {
				all[a] = append(all[a], l)
			}
		}
	}
	return all
}()

func mustLimit(limit int64, period time.Duration, burst int64) engine.Limit {
	l, err := engine.NewLimit(limit, period, burst)
	if err != nil {
		panic(err)
	}
	return l
}

// question is what the step asks of the key with a number, should it ask one.
func (s step) question(number int, now int64) model.Question {
	all := engine.Algorithms()
	a := all[number%len(all)]
	if s.limit >= 224 {
		a = all[int(s.limit)%len(all)]
	}
	l := limits[a][int(s.limit)%len(limits[a])]
	costs := []int64{1, 1, 1, 2, 3, 1, l.Burst() / 2, l.Burst() - 1, l.Burst(), l.Burst() + 1, engine.UnitsMax}
	cost := min(max(costs[int(s.cost)%len(costs)], 1), engine.UnitsMax)
	return model.Question{Op: s.op(), Algorithm: a, Limit: l, Cost: cost, Now: now}
}

func (s step) op() model.Op {
	switch {
	case s.action >= doCrowd && s.action < doDisperse:
		return model.Check
	case s.action >= doLookup:
		return model.Lookup
	case s.action >= doReset:
		return model.Reset
	case s.action >= doRefund:
		return model.Refund
	case s.action >= doPeek:
		return model.Peek
	case s.action >= doForce:
		return model.Force
	}
	return model.Check
}

// clockSteps are how far (µs) the clock goes before a step. One below zero is how far this
// step's reading is behind the clock, which stands.
var clockSteps = []int64{
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	1, 142, 1000, 1001, 1002, 333_333, 333_334, 1_000_000,
	2_100_000, 40_000_000, 3_600_000_000, 86_400_000_000,
	-1, -1000, -900_000, -lag,
}

// A run applies steps to a store and to the model, which have to agree.
type run struct {
	testing.TB
	store  *engine.Store
	model  model.Limiter
	newest int64 // µs, the newest reading of the clock
	now    int64 // µs, this step's
	at     int   // steps done

	admitted, denied, refused int    // checks, and any call about another's key
	rebuilt                   uint64 // tables, over all flushes
}

func newRun(t testing.TB, logLimitMax int64) *run {
	s, err := engine.NewStore(engine.Options{LogLimitMax: logLimitMax})
	if err != nil {
		t.Fatal(err)
	}
	return &run{TB: t, store: s, model: model.Limiter{}, newest: noon}
}

// sequence applies all steps, and then looks at what they have left.
func (r *run) sequence(b []byte) {
	r.Helper()
	for ; len(b) >= stepBytes; b = b[stepBytes:] {
		r.step(step{b[0], b[1], b[2], b[3], b[4], b[5]})
		r.at++
	}
	r.rebuilt += r.store.Stats().Rebuilt
	r.now = r.newest
	r.scan(1000)
	r.reclaimAll()
}

func (r *run) step(s step) {
	r.Helper()
	forward := clockSteps[int(s.clock)%len(clockSteps)]
	if s.clock == 255 { // seldom, as the calendar ends in 2162
		forward = 100 * 86_400_000_000
	}
	r.newest = min(r.newest+max(forward, 0), engine.NowMicrosMax)
	r.now = r.newest + min(forward, 0)
	key, number := s.key()
	switch {
	case s.action == doFlush:
		r.rebuilt += r.store.Stats().Rebuilt
		r.store.Flush()
		clear(r.model)
		r.scan(1)
	case s.action >= doDisperse:
		for i := range crowd {
			r.ask(numberedKey(number+i), model.Question{Op: model.Reset, Now: r.now})
		}
	case s.action >= doCrowd:
		for i := range crowd {
			r.ask(numberedKey(number+i), s.question(number+i, r.now))
		}
	case s.action >= doScan:
		r.scan(1 + int(s.cost))
	case s.action >= doSweep:
		// Older than any reading to come, so that no answer changes.
		r.store.Sweep(1+int(s.cost)*int(s.limit), r.newest-lag)
	default:
		r.ask(key, s.question(number, r.now))
	}
}

func (r *run) ask(key string, q model.Question) {
	r.Helper()
	q.LogLimitMax = r.store.LogLimitMax()
	got, err := q.Of(r.store, key)
	if err != nil {
		r.Fatalf("step %d, %.40q: %v: %v", r.at, key, q, err)
	}
	if want := r.model.Ask(key, q); got != want {
		r.Fatalf("step %d, %.40q of %d bytes: %v\n got %v\nwant %v", r.at, key, len(key), q, got, want)
	}
	switch {
	case q.Op == model.Check && got.Decision.Allowed:
		r.admitted++
	case q.Op == model.Check && got.Owner == 0:
		r.denied++
	case q.Op != model.Lookup && got.Owner != 0:
		r.refused++
	}
}

// scan lists the store's keys, and finds exactly those of the model that are not idle.
func (r *run) scan(count int) {
	r.Helper()
	seen := map[string]bool{}
	for cursor, calls := uint64(0), 0; calls == 0 || cursor != 0; calls++ {
		cursor = r.store.Scan(cursor, count, r.now, func(info engine.KeyInfo) {
			if seen[info.Key] {
				r.Fatalf("step %d: scan found %.40q twice", r.at, info.Key)
			}
			seen[info.Key] = true
			_, want := r.model[info.Key].Ask(model.Question{Op: model.Lookup, Now: r.now})
			if got := (model.Answer{Live: true, Owner: info.Algorithm, IdleMicros: info.IdleMicros}); got != want {
				r.Fatalf("step %d: scan found %.40q\n got %v\nwant %v", r.at, info.Key, got, want)
			}
		})
	}
	if live := r.model.Live(r.now); len(seen) != live || r.store.Len() < int64(live) {
		r.Fatalf("step %d: scan found %d keys of %d; Len is %d", r.at, len(seen), live, r.store.Len())
	}
}

// reclaimAll sweeps at the end of time, when every key is idle, until none is left.
func (r *run) reclaimAll() {
	r.Helper()
	const sweeps = 4 // keys under way from one table to the next may outlast one or two
	for range sweeps {
		r.store.Sweep(1<<20, engine.NowMicrosMax+int64(engine.FillMax)/1000)
	}
	if n := r.store.Len(); n != 0 {
		r.Fatalf("%d keys are left after all were idle and swept", n)
	}
}
