package engine

import (
	"errors"
	"hash/maphash"
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
	shards      [shardCount]atomic.Pointer[shard]
	sweepCursor atomic.Uint64
	reclaimed   atomic.Uint64
}

const (
	shardBits  = 6
	shardCount = 1 << shardBits
)

// NewStore makes an empty store. An option outside its range is an *ArgumentError.
func NewStore(o Options) (*Store, error) {
	logLimitMax := o.LogLimitMax
	if logLimitMax == 0 {
		logLimitMax = LogLimitDefault
	}
	if logLimitMax < 1 || logLimitMax > LogLimitMax {
		return nil, outOfRange("max-log-limit", logLimitMax, 1, LogLimitMax)
	}
	s := &Store{seed: maphash.MakeSeed(), logLimitMax: logLimitMax}
	s.Flush()
	return s, nil
}

// Check asks whether cost units may be taken from key at instant now, and takes them if
// so. An error changes nothing: an *ArgumentError for an argument outside its range, a
// *WrongTypeError for a key that belongs to another algorithm.
func (s *Store) Check(key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	return s.do(opCheck, key, a, l, cost, now)
}

// Peek answers what Check would, with Remaining and ResetAfter as they are; it takes and
// writes nothing. Errors are those of Check.
func (s *Store) Peek(key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	return s.do(opPeek, key, a, l, cost, now)
}

// Refund gives cost units back, never beyond full; of a log the newest units leave. It is
// always allowed. Errors are those of Check.
func (s *Store) Refund(key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	return s.do(opRefund, key, a, l, cost, now)
}

// do is the one compare-and-swap loop, for every algorithm and operation.
func (s *Store) do(o op, key string, a Algorithm, l Limit, cost, now int64) (Decision, error) {
	if err := s.validate(key, a, l, cost, now); err != nil {
		return Decision{}, err
	}
	row, now := &algorithms[a], now*1000
	hash := maphash.String(s.seed, key)
	for {
		sh := s.shard(hash)
		n := sh.find(hash, key)
		if n == nil {
			st, d := row.step(o, state{}, l, now, cost)
			if st == (state{}) || sh.insert(hash, newNode(hash, key, a, st)) {
				return d, nil
			}
			continue // another caller inserted the key first
		}
		old, alive := n.load()
		if !alive {
			sh.remove(n)
			continue
		}
		if n.kind != uint8(a) {
			if n.algorithm().rest(old) > now {
				return Decision{}, &WrongTypeError{Owner: Algorithm(n.kind), Asked: a}
			}
			s.reclaim(sh, n, old)
			continue
		}
		st, d := row.step(o, old, l, now, cost)
		switch {
		case st == old:
			return d, nil
		case st == state{}:
			if s.reclaim(sh, n, old) {
				return d, nil
			}
		case n.swap(old, st):
			return d, nil
		}
		sh.contended.Add(1)
	}
}

func (s *Store) validate(key string, a Algorithm, l Limit, cost, now int64) error {
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

func (s *Store) shard(hash uint64) *shard { return s.shards[shardOf(hash)].Load() }

// shardOf takes the highest bits but one: orderOf overwrites the highest, and buckets use
// the lowest.
func shardOf(hash uint64) uint64 { return hash >> (63 - shardBits) & (shardCount - 1) }

// reclaim forgets a node whose state is old and either at rest or given up; it returns
// false when the state is no longer old.
func (s *Store) reclaim(sh *shard, n *node, old state) bool {
	if !n.kill(old) {
		return false
	}
	sh.size.Add(-1)
	sh.remove(n)
	return true
}

// Reset forgets a key and says whether there was one.
func (s *Store) Reset(key string, now int64) bool {
	hash := maphash.String(s.seed, key)
	for {
		sh := s.shard(hash)
		n := sh.find(hash, key)
		if n == nil {
			return false
		}
		if old, alive := n.load(); !alive {
			sh.remove(n)
		} else if s.reclaim(sh, n, old) {
			return n.algorithm().rest(old) > now*1000
		}
	}
}

// Flush forgets every key. A decision that is under way meanwhile counts as made before.
func (s *Store) Flush() {
	for i := range s.shards {
		s.shards[i].Store(new(shard))
	}
}

// Len is the number of keys in memory, those at rest that are not reclaimed yet included.
func (s *Store) Len() int64 {
	total := int64(0)
	for i := range s.shards {
		total += s.shards[i].Load().size.Load()
	}
	return total
}

// LogLimitMax is the highest limit of a sliding_window_log here.
func (s *Store) LogLimitMax() int64 { return s.logLimitMax }

// Stats counts.
func (s *Store) Stats() Stats {
	all := Stats{Keys: s.Len(), Reclaimed: s.reclaimed.Load()}
	for i := range s.shards {
		all.Contended += s.shards[i].Load().contended.Load()
	}
	return all
}

// SetMaxMemory changes the bound on memory, in bytes as Stats counts them; 0 is no bound.
// Where it is below what is in use, keys are forgotten as others come, those at rest first.
func (s *Store) SetMaxMemory(int64) {}
