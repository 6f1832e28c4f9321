package engine

import (
	"errors"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
)

// ErrWrongType is the answer when a key belongs to another algorithm and is not at rest.
// The error returned wraps it in a *WrongTypeError that names both.
var ErrWrongType = errors.New("engine: the key belongs to another algorithm")

// WrongTypeError names the algorithm that owns the key and the one that was asked for.
type WrongTypeError struct{ Owner, Asked Algorithm }

func (e *WrongTypeError) Error() string {
	return "engine: the key belongs to " + e.Owner.String() + ", not " + e.Asked.String()
}

// Unwrap makes errors.Is(err, ErrWrongType) true.
func (e *WrongTypeError) Unwrap() error { return ErrWrongType }

// A Store keeps the state of any number of keys and decides on them. All methods may be
// called from any number of goroutines. None takes a lock, waits for another goroutine or
// reads a clock.
//
// now is the caller's clock, in microseconds since the Unix epoch (time.Time.UnixMicro),
// 0 … NowMicrosMax. Where it runs backwards from call to call, decisions on a key that is
// kept are stricter and never looser; but a key that was at rest by a later reading may
// have been forgotten. So whoever sweeps does it with a reading that is older than any
// that a decision still under way may hold.
type Store struct {
	seed        maphash.Seed
	logLimitMax int64
	space       atomic.Pointer[space]
	maxMemory   atomic.Int64
	sweepCursor atomic.Uint64
	reclaimed   atomic.Uint64
	evicted     atomic.Uint64
}

// NewStore makes an empty store. An option outside its range is an *ArgumentError.
func NewStore(o Options) (*Store, error) {
	if o.LogLimitMax == 0 {
		o.LogLimitMax = LogLimitDefault
	}
	if o.LogLimitMax < 1 || o.LogLimitMax > LogLimitMax {
		return nil, outOfRange("max-log-limit", o.LogLimitMax, 1, LogLimitMax)
	}
	if o.MaxMemory < 0 {
		return nil, outOfRange("maxmemory", o.MaxMemory, 0, math.MaxInt64)
	}
	s := &Store{seed: maphash.MakeSeed(), logLimitMax: o.LogLimitMax}
	s.SetMaxMemory(o.MaxMemory)
	s.Flush()
	return s, nil
}

// SetMaxMemory changes the bound on memory, in bytes as Stats counts them; 0 is no bound.
// Where it is below what is in use, keys are forgotten as others come, those at rest first.
func (s *Store) SetMaxMemory(bytes int64) {
	if bytes <= 0 {
		bytes = math.MaxInt64
	}
	s.maxMemory.Store(bytes)
}

// Check asks whether cost units may be taken from key at instant now, and takes them if
// so. An error changes nothing: an *ArgumentError for an argument outside its range, a
// *WrongTypeError for a key that belongs to another algorithm, ErrNoMemory.
func (s *Store) Check(key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	return s.do(opCheck, key, a, &l, cost, now)
}

// Peek answers what Check would, with Remaining and ResetAfter as they are; it takes and
// writes nothing. Errors are those of Check.
func (s *Store) Peek(key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	return s.do(opPeek, key, a, &l, cost, now)
}

// Refund gives cost units back, never beyond full; of a log the newest units leave. It is
// always allowed. Errors are those of Check.
func (s *Store) Refund(key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	return s.do(opRefund, key, a, &l, cost, now)
}

// do is the one compare-and-swap loop for every operation on states of one word.
func (s *Store) do(o op, key string, a Algorithm, l *Limit, cost, now int64) (d Decision, err error) {
	if err = s.validate(key, a, l, cost, now); err != nil {
		return d, err
	}
	now *= 1000
	sp := s.space.Load()
	hash := maphash.String(s.seed, key)
	if first, second, ok := words16(key); ok && a != SlidingWindowLog {
		// Nearly every call ends here: the key has a slot, in the first table.
		if t := sp.shelves[0][hash>>(64-shardBits)].Load(); t != nil {
			if slot := t.near(metaOf(hash, key)|uint64(a), first, second); slot != nil {
				if old := slot.state.Load(); held(old) {
					x := a.step(o, old, l, now, cost)
					if x.next == old || x.next != 0 && slot.state.CompareAndSwap(old, x.next) {
						a.explain(l, x, &d)
						return d, nil
					}
				}
			}
		}
	}
	err = s.search(sp, hash, o, key, a, l, cost, now, &d)
	return d, err
}

// search is do where the key has to be searched for.
func (s *Store) search(sp *space, hash uint64, o op, key string, a Algorithm, l *Limit, cost, now int64, d *Decision) error {
	p := newProbe(hash, key)
	if algorithms[a].keepsLog {
		dd, err := s.doLog(sp, &p, o, a, *l, cost, now)
		*d = dd
		return err
	}
	t := sp.firstMade(&p)
	for {
		var slot *slot
		var old int64
		var what finding
		if t, slot, old, what = sp.settle(&p, t, now); what == absent {
			if x := a.step(o, 0, l, now, cost); x.next == 0 {
				a.explain(l, x, d)
				return nil
			}
			s.admit(sp, &p, t, slot, a, now)
			continue
		}
		if err := sp.own(t, slot, old, a, now); err != nil {
			return err
		} else if !slot.is(a) {
			continue
		}
		from := old
		if old == stateRested {
			from = 0
		}
		x := a.step(o, from, l, now, cost)
		to := x.next
		if to == 0 {
			to = stateRested
		}
		if x.next == from || t.swap(slot, old, to) {
			a.explain(l, x, d)
			return nil
		}
		sp.contended.Add(1)
	}
}

func (s *Store) validate(key string, a Algorithm, l *Limit, cost, now int64) error {
	switch {
	case len(key) < 1 || len(key) > KeyBytesMax:
		return CheckKey(key)
	case !a.valid():
		return &ArgumentError{"algorithm", "is not known: accepted is " + strings.Join(algorithmNames(), ", ")}
	case l.limit == 0:
		return &ArgumentError{"limit", "is the zero Limit: make one with NewLimit"}
	case cost < 1 || cost > UnitsMax:
		return outOfRange("cost", cost, 1, UnitsMax)
	case now < 0 || now > NowMicrosMax:
		return outOfRange("now", now, 0, NowMicrosMax)
	case algorithms[a].keepsLog && l.limit > s.logLimitMax:
		return outOfRange("limit of "+a.String(), l.limit, 1, s.logLimitMax)
	case l.burst != l.limit && !a.HasBurst():
		return &ArgumentError{"burst", "is not accepted by " + a.String() + ": the limit is the most that it admits at once"}
	}
	return nil
}

// Reset forgets a key and says whether there was one.
func (s *Store) Reset(key string, now int64) bool {
	if len(key) < 1 || len(key) > KeyBytesMax {
		return false
	}
	p, sp := newProbe(maphash.String(s.seed, key), key), s.space.Load()
	t := sp.first(&p)
	if t == nil {
		return false
	}
	for {
		var slot *slot
		var old int64
		var what finding
		if t, slot, old, what = sp.settle(&p, t, now*1000); what == absent || !held(old) {
			return false
		}
		if rest, ok := sp.forget(t, slot, old, stateRested, math.MaxInt64); ok {
			return rest > now*1000
		}
	}
}

// Flush forgets every key. A decision that is under way meanwhile counts as made before.
func (s *Store) Flush() { s.space.Store(newSpace(&s.reclaimed, &s.evicted)) }

// Len is the number of keys in memory, those at rest that are not reclaimed yet included.
func (s *Store) Len() int64 { return s.space.Load().live() }

// LogLimitMax is the highest limit of a sliding_window_log here.
func (s *Store) LogLimitMax() int64 { return s.logLimitMax }

// Stats counts.
func (s *Store) Stats() Stats {
	sp := s.space.Load()
	return Stats{
		Keys:       sp.live(),
		TableBytes: sp.tableBytes.Load(),
		LogBytes:   sp.logs.bytes.Load(),
		Reclaimed:  s.reclaimed.Load(),
		Evicted:    s.evicted.Load(),
		Contended:  sp.contended.Load(),
		Rebuilt:    sp.rebuilt.Load(),
	}
}
