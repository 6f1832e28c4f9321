package engine

import (
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The oracle answers as the contract is written (DESIGN.md, "Algorithms"), with numbers of
// any size and no thought for speed. The store has to answer the same, whole, to any
// sequence of questions.

// An oracle holds keys; at rest and absent are two things here, so that a clock that steps
// back behind a key's rest shows what the store has really kept.
type oracle map[string]*oracleKey

type oracleKey struct {
	owner  Algorithm
	t      *big.Int      // meters: the stored instant, ns; nil is far in the past
	log    []logged      // the log: what was admitted, oldest first
	period time.Duration // the log: of the call that wrote last
}

type logged struct{ at, units int64 } // at in µs

// rest is the instant (ns) from which on the key is as good as absent.
func (k *oracleKey) rest() *big.Int {
	if k.owner == SlidingWindowLog {
		newest := k.log[len(k.log)-1].at
		return sum(product(newest, 1000), big.NewInt(int64(k.period)))
	}
	return k.t
}

func (k *oracleKey) atRest(now int64) bool { return k.rest().Cmp(product(now, 1000)) <= 0 }

// ask answers one question; wrong is the owner when the key belongs to another algorithm.
func (o oracle) ask(op Op, key string, a Algorithm, l Limit, cost, now int64) (d Decision, wrong Algorithm) {
	k := o[key]
	if k != nil && k.owner != a {
		if !k.atRest(now) {
			return Decision{}, k.owner
		}
		delete(o, key) // another algorithm may have it now
		k = nil
	}
	next := &oracleKey{owner: a}
	if k != nil {
		*next = *k
	}
	if a == SlidingWindowLog {
		d = next.askLog(op, l, cost, now)
	} else {
		d = next.askMeter(op, l, cost, now)
		if a == TokenBucket {
			d.Delay = 0
		}
	}
	if next.t == nil && len(next.log) == 0 {
		delete(o, key)
	} else {
		o[key] = next
	}
	return d, 0
}

// askMeter: base = max(T, now), next = base + c·E; admitted iff next − now ≤ B·E.
func (k *oracleKey) askMeter(op Op, l Limit, cost, now int64) Decision {
	nanos := product(now, 1000)
	// E = ceil(period / limit)
	e := new(big.Int).Div(sum(big.NewInt(int64(l.Period())), big.NewInt(l.Limit()-1)), big.NewInt(l.Limit()))
	full := new(big.Int).Mul(e, big.NewInt(l.Burst())) // B·E
	price := new(big.Int).Mul(e, big.NewInt(cost))     // c·E
	base := nanos
	if k.t != nil && k.t.Cmp(nanos) > 0 {
		base = k.t
	}
	next := sum(base, price)
	over := difference(difference(next, nanos), full) // next − now − B·E

	d := Decision{Allowed: true, Limit: l.Burst()}
	switch {
	case op == OpRefund:
		base = difference(base, price)
		if k.t = base; base.Cmp(nanos) <= 0 { // never beyond full
			base, k.t = nanos, nil
		}
	case over.Sign() > 0:
		d.Allowed, d.RetryAfter = false, time.Duration(over.Int64())
		if cost > l.Burst() {
			d.RetryAfter = Never
		}
	case op == OpPeek:
		d.Delay = span(base, nanos)
	default:
		d.Delay = span(base, nanos)
		base, k.t = next, next
	}
	d.ResetAfter = span(base, nanos)
	if left := difference(full, difference(base, nanos)); left.Sign() > 0 {
		d.Remaining = left.Div(left, e).Int64()
	}
	return d
}

// askLog: a unit admitted at s counts while now − s < period; admitted iff count + c ≤
// limit. The two rules of sliding_window_log.go are here too: empty from its rest on, and
// a call that writes forgets what is outside its own period.
func (k *oracleKey) askLog(op Op, l Limit, cost, now int64) Decision {
	if len(k.log) > 0 && k.atRest(now) {
		if op == OpRefund { // of nothing: back at rest is no key
			k.log = nil
		}
		if op != OpCheck || cost > l.Limit() {
			rest := &oracleKey{owner: k.owner}
			return rest.askLog(op, l, cost, now)
		}
		k.log = nil
	}
	if len(k.log) > 0 { // a reading older than the stored one counts as the stored one
		now = max(now, k.log[len(k.log)-1].at)
	}
	var window []logged
	count := int64(0)
	for _, unit := range k.log {
		if (now-unit.at)*1000 < int64(l.Period()) {
			window = append(window, unit)
			count += unit.units
		}
	}
	leaves := func(unit logged) time.Duration { // when it is old enough, or the log at rest
		old := time.Duration((unit.at-now)*1000) + l.Period()
		return min(old, span(k.rest(), product(now, 1000)))
	}

	d := Decision{Allowed: true, Limit: l.Limit()}
	switch {
	case op == OpRefund && count > 0:
		for cost > 0 && count > 0 { // the newest units leave, one request after another
			newest := &window[len(window)-1]
			back := min(cost, newest.units)
			newest.units -= back
			cost, count = cost-back, count-back
			if newest.units == 0 {
				window = window[:len(window)-1]
			}
		}
		k.log, k.period = window, l.Period()
	case op == OpRefund:
	case cost > l.Limit():
		d.Allowed, d.RetryAfter = false, Never
	case count+cost > l.Limit():
		d.Allowed = false
		left := count
		for _, unit := range window { // the oldest leave until it fits
			d.RetryAfter = leaves(unit)
			if left -= unit.units; left+cost <= l.Limit() {
				break
			}
		}
	case op == OpCheck:
		window = append(window, logged{now, cost})
		count += cost
		k.log, k.period = window, l.Period()
	}
	d.Remaining = max(l.Limit()-count, 0)
	if len(window) > 0 {
		d.ResetAfter = leaves(window[len(window)-1])
	}
	return d
}

func product(a, b int64) *big.Int          { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
func sum(a, b *big.Int) *big.Int           { return new(big.Int).Add(a, b) }
func difference(a, b *big.Int) *big.Int    { return new(big.Int).Sub(a, b) }
func span(to, from *big.Int) time.Duration { return time.Duration(difference(to, from).Int64()) }

// TestStoreAnswersAsTheOracle puts the same questions to both: any operation on a few keys,
// with limits that change, algorithms that meet on one key, sweeps and resets between, a
// clock that stands, jumps and steps back, and tables that are shared or not.
func TestStoreAnswersAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := mustStore(), oracle{}
		keys := keysOf(s, rapid.Bool().Draw(t, "together"))
		limits := map[Algorithm][]Limit{}
		for _, a := range Algorithms() {
			limits[a] = []Limit{drawLimit(t, a), drawLimit(t, a)}
		}
		now, last := drawStart(t), Decision{}
		lastLimit := limits[TokenBucket][0]
		for range rapid.IntRange(1, 60).Draw(t, "questions") {
			now = drawNow(t, now, lastLimit, last, true)
			home := rapid.SampledFrom(Algorithms()).Draw(t, "key")
			a := home // mostly each key meets one algorithm
			if rapid.IntRange(0, 9).Draw(t, "stray") == 0 {
				a = rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
			}
			l := limits[a][0]
			if rapid.IntRange(0, 4).Draw(t, "changed") == 0 {
				l = limits[a][1]
			}
			reclaimed := s.Stats().Reclaimed
			last = sameAnswer(t, s, o, drawOp(t), keys[home], a, l, drawCost(t, l), now)
			lastLimit = l
			if s.Stats().Reclaimed > reclaimed {
				forgetMoved(s, o, now)
			}
			sameContents(t, s, o, keys, now)
			forgetSome(t, s, o, keys, now)
		}
	})
}

// keysOf names a key for each algorithm, all of one shard if they are to share a table.
func keysOf(s *Store, together bool) map[Algorithm]string {
	keys, shard := map[Algorithm]string{}, -1
	for _, a := range Algorithms() {
		for i := 0; ; i++ {
			keys[a] = fmt.Sprint(a, i)
			if p := newProbe(s.hasher.hash(keys[a]), keys[a]); !together || shard < 0 || shard == int(p.shard) {
				shard = int(p.shard)
				break
			}
		}
	}
	return keys
}

func sameAnswer(t *rapid.T, s *Store, o oracle, op Op, key string, a Algorithm, l Limit, cost, now int64) Decision {
	t.Helper()
	want, wrong := o.ask(op, key, a, l, cost, now)
	got, err := ask(s, op, key, a, l, cost, now)
	var mismatch *WrongTypeError
	switch {
	case wrong != 0:
		if !errors.As(err, &mismatch) || *mismatch != (WrongTypeError{Owner: wrong, Asked: a}) {
			t.Fatalf("%v asked of a key of %v: %v", a, wrong, err)
		}
	case err != nil:
		t.Fatal(err)
	case got != want:
		t.Fatalf("%v %s %d with %+v at %d µs:\n got %+v\nwant %+v", a, opNames[op], cost, l, now, got, want)
	}
	return got
}

// sameContents compares which keys are there and when they will be at rest.
func sameContents(t *rapid.T, s *Store, o oracle, keys map[Algorithm]string, now int64) {
	t.Helper()
	for _, a := range Algorithms() {
		info, found := s.Lookup(keys[a], now)
		k := o[keys[a]]
		if live := k != nil && !k.atRest(now); live != found {
			t.Fatalf("key %v at %d µs: found %v, want %v", a, now, found, live)
		}
		if !found {
			continue
		}
		rest := sum(k.rest(), big.NewInt(999))
		if want := rest.Div(rest, big.NewInt(1000)).Int64(); info.RestMicros != want || info.Algorithm != k.owner {
			t.Fatalf("key %v: %+v, want rest at %d µs, owner %v", a, info, want, k.owner)
		}
	}
}

// forgetMoved forgets what the store has: keys that had been at rest for restLag when their
// table was replaced.
func forgetMoved(s *Store, o oracle, now int64) {
	kept := map[string]bool{}
	eachHeld(s, func(_ *table, slot *slot, _ int64) { kept[keyOf(slot, slot.meta.Load())] = true })
	for key, k := range o {
		if !kept[key] && k.owner != SlidingWindowLog && k.atRest(now-restLag/1000) {
			delete(o, key)
		}
	}
}

// forgetSome now and then sweeps or resets both.
func forgetSome(t *rapid.T, s *Store, o oracle, keys map[Algorithm]string, now int64) {
	t.Helper()
	switch rapid.IntRange(0, 19).Draw(t, "forget") {
	case 0:
		s.Sweep(1000, now) // enough to go all the way round
		for key, k := range o {
			if k.atRest(now) {
				delete(o, key)
			}
		}
	case 1:
		key := keys[rapid.SampledFrom(Algorithms()).Draw(t, "reset")]
		want := o[key] != nil && !o[key].atRest(now)
		if got := s.Reset(key, now); got != want {
			t.Fatalf("reset of %s said %v, want %v", key, got, want)
		}
		delete(o, key)
	}
}
