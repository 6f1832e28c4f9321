package model

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Key is what a limiter remembers of one key. The zero Key is one that is absent.
type Key struct {
	Owner engine.Algorithm // the algorithm that wrote it
	Full  int64            // ns; meters: T, from which on the bucket is full
	// Log is what was admitted, oldest first, of algorithms that count units. No call changes it.
	Log    []Entry
	Period time.Duration // the log's: a unit that old has left
}

// An Entry of a log is one admitted request; of a counter, those of one slice.
type Entry struct {
	At    int64 // µs since the Unix epoch; of a counter, the slice
	Units int64
}

// Equal says whether two keys are remembered alike.
func (k Key) Equal(other Key) bool {
	return k.Owner == other.Owner && k.Full == other.Full && k.Period == other.Period && slices.Equal(k.Log, other.Log)
}

// IdleAt is the instant (ns) from which on the key is idle.
func (k Key) IdleAt() int64 {
	switch n := len(k.Log); {
	case n > 0 && k.Owner == engine.SlidingWindowCounter:
		return leavesAt(k.Log[n-1].At, slices64, microsOf(k.Period)) * 1000
	case n > 0:
		return k.Log[n-1].At*1000 + int64(k.Period)
	}
	return k.Full
}

// Live says whether there is a key and it is not idle at an instant (µs).
func (k Key) Live(now int64) bool { return k.Owner != 0 && k.IdleAt() > now*1000 }

// Ask answers a question. What it returns is the key after it.
func (k Key) Ask(q Question) (Key, Answer) {
	live := k.Live(q.Now)
	switch {
	case q.Op == Reset:
		return Key{}, Answer{Live: live}
	case q.Op == Lookup && live:
		return k, Answer{Live: true, Owner: k.Owner, IdleMicros: ceil(k.IdleAt(), 1000)}
	case q.Op == Lookup:
		return k, Answer{}
	case k.Owner != q.Algorithm && live:
		return k, Answer{Owner: k.Owner}
	case k.Owner != q.Algorithm:
		k = Key{}
	}
	next, d := rules[q.Algorithm](k, q)
	return next, Answer{Decision: d}
}

// rules is the table of algorithms: how a key that is absent or its own answers a check, a peek
// or a refund, and what it is afterwards.
var rules = map[engine.Algorithm]func(Key, Question) (Key, engine.Decision){
	engine.TokenBucket:      Key.askMeter,
	engine.LeakyBucket:      Key.askMeter,
	engine.SlidingWindowLog: Key.askLog,
}

// askMeter asks a token_bucket or a leaky_bucket, as the contract is written, with numbers of any
// size:
//
//	base = max(T, now), next = base + price(cost), admitted iff next − now ≤ capacity
func (k Key) askMeter(q Question) (Key, engine.Decision) {
	now, l, most := product(q.Now, 1000), &q.Limit, capacity(&q.Limit)
	owed := minus(big.NewInt(k.Full), now) // base − now
	if owed.Sign() < 0 {
		owed.SetInt64(0)
	}
	over := minus(new(big.Int).Add(owed, price(l, q.Cost)), most) // next − now − capacity
	next, d := k, engine.Decision{Allowed: true, Limit: l.Burst()}
	switch {
	case q.Op == Refund:
		if owed, next = minus(owed, price(l, q.Cost)), (Key{}); owed.Sign() > 0 {
			next = Key{Owner: q.Algorithm, Full: now.Add(now, owed).Int64()}
		} else {
			owed.SetInt64(0) // never beyond full
		}
	case over.Sign() > 0:
		d.Allowed, d.RetryAfter = false, time.Duration(over.Int64())
		if q.Cost > l.Burst() {
			d.RetryAfter = engine.Never
		}
		if q.Op == Force { // up to 100 years, or what is owed already
			fill := big.NewInt(int64(engine.FillMax))
			if more := new(big.Int).Add(owed, price(l, q.Cost)); more.Cmp(fill) < 0 {
				owed = more
			} else if owed.Cmp(fill) < 0 {
				owed = fill
			}
			next = Key{Owner: q.Algorithm, Full: now.Add(now, owed).Int64()}
		}
	default:
		if q.Algorithm == engine.LeakyBucket {
			d.Delay = time.Duration(owed.Int64())
		}
		if q.Op == Check || q.Op == Force {
			owed.Add(owed, price(l, q.Cost))
			next = Key{Owner: q.Algorithm, Full: now.Add(now, owed).Int64()}
		}
	}
	d.ResetAfter = time.Duration(owed.Int64())
	if left := minus(most, owed); left.Sign() > 0 {
		d.Remaining = worth(left.Int64(), l.Limit(), int64(l.Period())).Int64()
	}
	return next, d
}

// price is ceil(units·period/limit) ns.
func price(l *engine.Limit, units int64) *big.Int {
	floor := worth(units, int64(l.Period()), l.Limit())
	if back := new(big.Int).Mul(floor, big.NewInt(l.Limit())); back.Cmp(product(units, int64(l.Period()))) < 0 {
		floor.Add(floor, big.NewInt(1))
	}
	return floor
}

// capacity is what the burst costs in requests of one unit, but less than one unit more than the
// burst costs at once, and at most 100 years.
func capacity(l *engine.Limit) *big.Int {
	most := big.NewInt(int64(engine.FillMax))
	for _, c := range []*big.Int{
		new(big.Int).Mul(big.NewInt(l.Burst()), price(l, 1)),
		minus(price(l, l.Burst()+1), big.NewInt(1)),
	} {
		if c.Cmp(most) < 0 {
			most = c
		}
	}
	return most
}

func product(a, b int64) *big.Int  { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
func minus(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }

// worth is a·b/c rounded down, of numbers that are not negative.
func worth(a, b, c int64) *big.Int {
	p := product(a, b)
	return p.Div(p, big.NewInt(c))
}

// askLog asks a sliding_window_log. The log has every unit that has not left, and of those that
// left before the last write none.
func (k Key) askLog(q Question) (Key, engine.Decision) {
	limit, period, most := q.Limit.Limit(), q.Limit.Period(), cmp.Or(q.LogLimitMax, engine.LogLimitDefault)
	now, log, before := q.Now, []Entry(nil), period
	if k.Live(now) {
		now, before = max(now, k.Log[len(k.Log)-1].At), k.Period
		log = younger(k.Log, now, before)
	}
	written := Key{Owner: q.Algorithm, Period: max(period, before)}
	window := younger(log, now, period)
	used := units(window)
	counts := min(period, before) // how long a unit does, if nothing is written

	next, d := k, engine.Decision{Allowed: true, Limit: limit}
	switch {
	case q.Op == Refund && len(log) == 0:
		next = Key{}
	case q.Op == Refund && used > 0:
		written.Log, counts = refunded(log, min(q.Cost, used), most), period
		window = younger(written.Log, now, period)
		if next = written; len(written.Log) == 0 {
			next = Key{}
		}
	case q.Op == Refund:
	case q.Cost > limit:
		d.Allowed, d.RetryAfter = false, engine.Never
	case used+q.Cost > limit:
		blocking := 0 // the youngest that has to leave, after all older ones
		for left := used - window[0].Units; left+q.Cost > limit; left -= window[blocking].Units {
			blocking++
		}
		d.Allowed, d.RetryAfter = false, leaves(window[blocking], counts, now)
	}
	if q.Op == Force || q.Op == Check && d.Allowed {
		more := Entry{At: now, Units: min(q.Cost, most+1)}
		written.Log, window, counts = append(slices.Clone(log), more), append(window, more), period
		next = written
	}
	d.Remaining = max(limit-units(window), 0)
	if n := len(window); n > 0 {
		d.ResetAfter = leaves(window[n-1], counts, now)
	}
	return next, d
}

// younger is a copy of the entries that are younger than a period.
func younger(log []Entry, now int64, period time.Duration) (window []Entry) {
	for _, e := range log {
		if (now-e.At)*1000 < int64(period) {
			window = append(window, e)
		}
	}
	return window
}

// leaves is the span from now (µs) until an entry is one period old.
func leaves(e Entry, period time.Duration, now int64) time.Duration {
	return time.Duration((e.At-now)*1000 + int64(period))
}

// refunded is a log without its newest units. Of one that has more units than the highest limit
// only the newest of them and one more are known, and it has as many afterwards: what is given
// back is made good from older units, at the instant of the oldest that is known.
func refunded(log []Entry, back, most int64) []Entry {
	log = slices.Clone(log)
	if units(log) <= most {
		return withoutNewest(log, back)
	}
	for units(log) > most+1 { // the oldest go
		more := units(log) - (most + 1)
		if log[0].Units > more {
			log[0].Units -= more
		} else {
			log = log[1:]
		}
	}
	oldest := log[0].At
	log = withoutNewest(log, back)
	return slices.Insert(log, 0, Entry{At: oldest, Units: most + 1 - units(log)})
}

// withoutNewest takes units away, one request after the other from the newest on. It changes
// the log.
func withoutNewest(log []Entry, units int64) []Entry {
	for len(log) > 0 && units > 0 {
		newest := &log[len(log)-1]
		if newest.Units > units {
			newest.Units -= units
			break
		}
		units -= newest.Units
		log = log[:len(log)-1]
	}
	return log
}

func units(log []Entry) (sum int64) {
	for _, e := range log {
		sum += e.Units
	}
	return sum
}

// ceil is a/b rounded up, for a ≥ 0 and b > 0.
func ceil(a, b int64) int64 {
	if a%b != 0 {
		return a/b + 1
	}
	return a / b
}

// A Limiter holds keys and is asked by one caller at a time. It forgets none that is
// idle, so it answers a reading of the clock that steps back as a limiter would that keeps
// everything.
type Limiter map[string]Key

// Ask answers a question about a key.
func (l Limiter) Ask(key string, q Question) Answer {
	next, answer := l[key].Ask(q)
	if next.Owner == 0 {
		delete(l, key)
	} else {
		l[key] = next
	}
	return answer
}

// Live is how many keys are not idle at an instant (µs).
func (l Limiter) Live(now int64) int {
	live := 0
	for _, k := range l {
		if k.Live(now) {
			live++
		}
	}
	return live
}
