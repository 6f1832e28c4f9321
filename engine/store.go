package engine

import (
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrWrongType is the answer when a key belongs to another algorithm and is not idle.
// The error returned wraps it in a *WrongTypeError that names both.
var ErrWrongType = errors.New("engine: the key belongs to another algorithm")

// WrongTypeError names the algorithm that owns the key and the one that was asked for.
type WrongTypeError struct{ Owner, Asked Algorithm }

func (e *WrongTypeError) Error() string {
	return "engine: the key belongs to " + kindText(e.Owner) + ", not " + kindText(e.Asked)
}

// kindText names an algorithm, and says whether it is that of a policy.
func kindText(a Algorithm) string {
	if a&Named != 0 {
		return a.String() + " of a policy"
	}
	return a.String()
}

// Unwrap makes errors.Is(err, ErrWrongType) true.
func (e *WrongTypeError) Unwrap() error { return ErrWrongType }

// A Store keeps the state of any number of keys and decides on them. All methods may be
// called from any number of goroutines. None reads a clock, and none takes a lock or waits
// for another goroutine but those that look at all keys or drop them: Flush, Track, Drain
// and Loader.Done.
//
// now is the caller's clock, in microseconds since the Unix epoch (time.Time.UnixMicro),
// 0 … NowMicrosMax. Where it runs backwards from call to call, decisions on a key that is
// kept are stricter and never looser; but a key that was idle by a later reading may
// have been reclaimed. So a sweep has a reading that is older than any that a decision still
// under way may hold.
type Store struct {
	hasher      hasher
	logLimitMax int64
	space       atomic.Pointer[space]
	maxMemory   atomic.Int64
	sweepCursor atomic.Uint64
	reclaimed   atomic.Uint64
	evicted     atomic.Uint64

	following sync.Mutex // held to put another space in place, and to follow changes
	drained   *space     // that the follower of changes knows of
	drain     drain

	kinds [256]kind // of each Algorithm: the zero kind of what is none
}

// A kind is what a check needs to know of an algorithm, with or without Named.
type kind struct {
	limitMax int64 // for any period
	takes    special
	shape    Shape
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
	s := &Store{hasher: newHasher(), logLimitMax: o.LogLimitMax}
	for _, a := range Algorithms() {
		k := kind{limitMax: a.limitMax(0, o.LogLimitMax), takes: a.row().takes(), shape: a.Shape()}
		s.kinds[a], s.kinds[a|Named] = k, k
	}
	s.SetMaxMemory(o.MaxMemory)
	s.Flush()
	return s, nil
}

// unbounded is the bound on memory where there is none.
const unbounded = math.MaxInt64

// SetMaxMemory changes the bound on memory, in bytes as Stats counts them; 0 is no bound.
// Where it is below what is in use, sweeps drop keys until it holds, idle ones first, and logs do not
// grow meanwhile.
func (s *Store) SetMaxMemory(bytes int64) {
	if bytes <= 0 {
		bytes = unbounded
	}
	s.maxMemory.Store(bytes)
	if sp := s.space.Load(); sp != nil {
		sp.round.cursor.Store(0) // by the share that the new bound asks for
		sp.round.barren.Store(0)
	}
}

// Check asks whether cost units may be taken from key at instant now, in microseconds since
// the Unix epoch, and takes them if so. See Ask for the errors.
func (s *Store) Check(key string, a Algorithm, l Limit, cost, now int64) (d Decision, err error) {
	err = s.Ask(OpCheck, key, a, &l, cost, now, &d)
	return d, err
}

// Peek answers what Check would, with Remaining and ResetAfter as they are; it takes and
// writes nothing.
func (s *Store) Peek(key string, a Algorithm, l Limit, cost, now int64) (d Decision, err error) {
	err = s.Ask(OpPeek, key, a, &l, cost, now, &d)
	return d, err
}

// Refund gives cost units back, never beyond full; of a log the newest units leave. It is
// always allowed.
func (s *Store) Refund(key string, a Algorithm, l Limit, cost, now int64) (d Decision, err error) {
	err = s.Ask(OpRefund, key, a, &l, cost, now, &d)
	return d, err
}

// A query is what a caller asks of a key.
type query struct {
	op        Op
	algorithm Algorithm
	limit     *Limit
	cost      int64  // units
	now       int64  // ns
	took      *taken // where to write what a step has taken, or nil
}

// Ask is Check, Peek and Refund where a fifth of the time matters: the limit is read and
// the decision written where the caller has them, because to hand both from function to function
// by value costs that much. cost is 1 … UnitsMax units; now is 0 …
// NowMicrosMax microseconds since the Unix epoch.
//
// An error changes nothing and leaves d empty: an *ArgumentError for an argument outside its
// range, a *WrongTypeError for a key that belongs to another algorithm, ErrNoMemory.
//
// Most calls end in here, or for keys that are not short in askOther: a key that has a slot in its
// shard's first table, and a state of one word. Such a check takes the step here and not through
// Store.step, which makes it 25 ns instead of 36 (test/bench/engine, one hot key). One function for keys
// of any length makes a check of a short key 5 % slower.
func (s *Store) Ask(o Op, key string, a Algorithm, l *Limit, cost, now int64, d *Decision) error {
	if !isShortKey(key) || !s.accepts(a, l, cost, now) {
		return d.unless(s.askOther(o, key, a, l, cost, now, d))
	}
	now *= 1000
	first, second := shortWords(key)
	hash, sp := s.hasher.short(first, second), s.space.Load()
	shard := hash >> (64 - shardBits)
	if t := sp.shelves[0][shard].Load(); t != nil {
		if slot := t.near(&sp.hints[shard], metaOf(hash, key)|uint64(a), first, second); slot != nil {
			if st := slot.state.Load(); !held(st) {
				// no short way
			} else if s.kinds[a].shape != ShapeWord {
				if done, err := s.stepRing(sp, t, slot, st, &query{o, a, l, cost, now, nil}, d); done {
					return d.unless(err)
				}
			} else if x := a.step(o, st, l, now, cost); x.next == st || x.next != 0 && slot.state.CompareAndSwap(st, x.next) {
				if x.next != st && sp.tracking.Load() {
					sp.mark(t, slot)
				}
				a.explain(l, x, d)
				return nil
			} else if x.next != 0 {
				sp.contended.Add(1)
			}
		}
	}
	return d.unless(s.search(sp, hash, key, &query{o, a, l, cost, now, nil}, d))
}

// askOther is Ask for keys that are not short, and for arguments that may be out of range.
func (s *Store) askOther(o Op, key string, a Algorithm, l *Limit, cost, now int64, d *Decision) error {
	if uint(len(key)-1) >= KeyBytesMax || !s.accepts(a, l, cost, now) {
		if err := s.refusal(key, a, l, cost, now); err != nil {
			return err
		}
	}
	now *= 1000
	hash, sp := s.hasher.hash(key), s.space.Load()
	if t := sp.shelves[classOf[plainWords(key)]][hash>>(64-shardBits)].Load(); t != nil {
		if slot := t.nearOther(metaOf(hash, key)|uint64(a), key); slot != nil && s.kinds[a].shape == ShapeWord {
			if st := slot.state.Load(); held(st) {
				x := a.step(o, st, l, now, cost)
				if x.next == st || x.next != 0 && t.swap(slot, st, x.next) {
					if x.next != st {
						sp.mark(t, slot)
					}
					a.explain(l, x, d)
					return nil
				} else if x.next != 0 {
					sp.contended.Add(1)
				}
			}
		}
	}
	return s.search(sp, hash, key, &query{o, a, l, cost, now, nil}, d)
}

// step takes one step on the state of a slot of the algorithm's, which was st. It returns false
// when the state has changed meanwhile, and with an error always true.
func (s *Store) step(sp *space, t *table, slot *slot, st int64, q *query, d *Decision) (done bool, err error) {
	if s.kinds[q.algorithm].shape != ShapeWord {
		done, err = s.stepRing(sp, t, slot, st, q, d)
	} else {
		done = sp.stepWord(t, slot, st, q, d)
	}
	if !done {
		sp.contended.Add(1)
	}
	return done, err
}

// search looks for the key's slot, makes one if there is something to write, and takes the
// step, again and again until nothing has changed meanwhile.
func (s *Store) search(sp *space, hash uint64, key string, q *query, d *Decision) error {
	p := newProbe(hash, key)
	t := sp.firstMade(&p)
	for {
		var slot *slot
		var st int64
		var what finding
		if t, slot, st, what = sp.locate(&p, t, q.now); what == absent {
			if writes, err := s.stepAbsent(sp, q, d); !writes {
				return err
			}
			s.claim(sp, &p, t, slot, q)
			continue
		}
		if owner := slot.kind(); owner != q.algorithm {
			if at, ok := sp.idleAt(slot, st); ok && at > q.now {
				return &WrongTypeError{Owner: owner, Asked: q.algorithm}
			}
			sp.end(t, slot, st, stateDead, q.now) // the key gets another slot
			continue
		}
		if done, err := s.step(sp, t, slot, st, q, d); done {
			return err
		}
	}
}

// stepAbsent takes one step on a key that has no slot, and explains it. It writes nothing, and
// says whether there is something to write, for which the key needs a slot.
func (s *Store) stepAbsent(sp *space, q *query, d *Decision) (writes bool, err error) {
	change, bytes := logChange{}, firstRingBytes
	switch s.kinds[q.algorithm].shape {
	case ShapeLog:
		change = slidingWindowLogStep(q, nil, s.logLimitMax, d)
	case ShapeCounter:
		change, bytes = slidingWindowCounterStep(q, nil, d), firstCounterBytes
	case ShapeWord:
		x := q.algorithm.step(q.op, 0, q.limit, q.now, q.cost)
		q.algorithm.explain(q.limit, x, d)
		return x.next != 0, nil
	}
	if change.kind == logKeep {
		return false, nil
	}
	// Before a slot is made, so that a question that is refused makes no other key go.
	err = s.roomForLog(sp, 0, bytes+cellBytes, q.now)
	return err == nil, err
}

// accepts says that all arguments but the key are within their ranges. False is no refusal yet.
func (s *Store) accepts(a Algorithm, l *Limit, cost, now int64) bool {
	k := &s.kinds[a]
	return uint64(l.limit-1) < uint64(k.limitMax) && l.special&^k.takes == 0 && uint64(cost-1) < UnitsMax && uint64(now) <= uint64(NowMicrosMax)
}

// refusal is the error for arguments of which one is not within its range.
func (s *Store) refusal(key string, a Algorithm, l *Limit, cost, now int64) error {
	check := CheckKey
	if a&Named != 0 {
		check = CheckState
	}
	if err := check(key); err != nil {
		return err
	}
	switch {
	case !a.Valid():
		return &ArgumentError{"algorithm", "is not known: accepted is " + strings.Join(algorithmNames(), ", ")}
	case l.limit == 0:
		return &ArgumentError{"limit", "is the zero Limit: make one with NewLimit"}
	case cost < 1 || cost > UnitsMax:
		return outOfRange("cost", cost, 1, UnitsMax)
	case now < 0 || now > NowMicrosMax:
		return outOfRange("now", now, 0, NowMicrosMax)
	}
	return a.CheckLimit(l, s.logLimitMax)
}

// Reset forgets a key and says whether there was one.
func (s *Store) Reset(key string, now int64) bool {
	if CheckState(key) != nil {
		return false
	}
	p, sp := newProbe(s.hasher.hash(key), key), s.space.Load()
	t, slot, idleAt, ok := sp.drop(&p, stateIdle, now*1000)
	if ok {
		sp.mark(t, slot)
	}
	return ok && idleAt > now*1000
}

// Flush drops every key. A decision that is under way meanwhile counts as made before.
func (s *Store) Flush() { s.put(s.newSpace()) }

func (s *Store) newSpace() *space { return newSpace(&s.reclaimed, &s.evicted) }

// put puts another space in the place of the store's. A follower of changes goes on.
func (s *Store) put(sp *space) {
	s.following.Lock()
	defer s.following.Unlock()
	if before := s.space.Load(); before != nil {
		sp.tracking.Store(before.tracking.Load())
	}
	s.space.Store(sp)
}

// Len is the number of keys in memory, idle ones that are not reclaimed yet included.
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
