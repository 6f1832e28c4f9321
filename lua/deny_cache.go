package lua

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// The deny cache answers what cannot pass. An entry is made by a denial, and says how the key
// was: the debt of a meter, from which the answer to any question follows; of other algorithms
// the answer to the same question. As long as there is an entry, every answer about the key
// goes through it.
//
// # What is known when
//
// Redis has decided at some instant between when the question was sent and when its answer
// arrived. What is sure to be denied is counted from the former. What a caller is told is counted
// from the latter, as it is by a caller that Redis answers, so that no wait is too short and
// no more units are promised than there are.
//
// Several pipelines are under way, so answers arrive in another order than Redis's. Of two answers
// about a key:
//
//   - The one that was sent after the other had arrived was decided later.
//   - Else the order follows from the state, which goes one way only while nothing is refunded or
//     reset: a meter's debt is due at a later and later instant, and where no unit becomes free of
//     itself in between, other algorithms count more and more units.
//   - Where that does not tell either, nothing is known of the key any more.
//
// # Invariants
//
//  1. An entry counts every answer that has been given about its key. A caller has its answer
//     only after the cache has it.
//  2. A change of a key is remembered by the instant when its answer arrived, for all keys of a
//     shard together. So is an entry that goes. A denial of a question that was sent before makes
//     no entry: it may be of the state before. The answer to a call, or to force, ends the entries of
//     all its states.
//  3. While a refund or a reset is under way its key has no entry, and the order of other answers
//     about it is not known. What was sent before it was answered may be of the state before. So it is
//     with the formers of a call, whose units are moved.
//  4. No connection is answered from the cache while a question of its own about the key is under
//     way. See Limiter.Known.
//  5. An entry answers for as long after the question was sent as the setting says. So long may
//     a change by others (another server, a user of Redis, a failover) remain unseen.
//
// From 1 to 4 follows: while no others change a key, the answers about it are those of one order of
// the questions, in which none comes before one that had been answered when it was asked.
type denyCache struct {
	seed   maphash.Seed
	shards []denyShard // a power of two
	size   atomic.Int64
	hits   atomic.Uint64
}

// Of more shards, each has fewer changes, and fewer denials are taken for old: see invariant 2.
const (
	denyShardsMax   = 1024
	denyShardFilled = 16 // entries that there is room for in a shard, at least
)

type denyShard struct {
	// changed is when the last answer arrived that changed a key (ns). A change writes it and then
	// reads size; an entry is added to size and then reads it. So one of them sees the other.
	changed atomic.Int64

	mu      sync.Mutex
	entries map[string]*entry
	most    int
	// forgiving is how many refunds and resets are under way. dropped is when the last was answered.
	forgiving int
	dropped   time.Duration
}

// beforeAll is an instant before the limiter's clock begins.
const beforeAll = time.Duration(-1)

// An entry is what an answer tells of a key, or several together. Instants are by the limiter's
// clock.
type entry struct {
	algorithm      engine.Algorithm
	sent, answered time.Duration
	// low and high are the bounds of an instant: when the debt of a meter is paid, or when the
	// decision about another algorithm changes by more than its spans.
	low, high time.Duration

	// Of other algorithms than meters: how many units counted in the question's period, and what
	// was denied, unless nothing was.
	used     int64
	isDenial bool
	limit    engine.Limit
	cost     int64
	decision engine.Decision
}

func newDenyCache(entries int) *denyCache {
	count := 1
	if most := min(entries/denyShardFilled, denyShardsMax); most > 1 {
		count = 1 << (bits.Len(uint(most)) - 1)
	}
	c := &denyCache{seed: maphash.MakeSeed(), shards: make([]denyShard, count)}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries, s.most, s.dropped = map[string]*entry{}, (entries+i)/count, beforeAll
		s.changed.Store(int64(beforeAll))
	}
	return c
}

func (c *denyCache) shard(key string) *denyShard {
	return &c.shards[maphash.String(c.seed, key)&uint64(len(c.shards)-1)]
}

// answer answers a check if it is sure to be denied.
func (c *denyCache) answer(q *engine.Question, now, longest time.Duration) bool {
	s := c.shard(q.Key)
	s.mu.Lock()
	known := s.entries[q.Key]
	if known == nil {
		s.mu.Unlock()
		return false
	}
	e := *known
	isOver := now >= e.high || now-e.sent > longest
	if isOver {
		c.drop(s, q.Key, now)
	}
	s.mu.Unlock()
	return !isOver && e.algorithm == q.Algorithm && e.decide(q, now)
}

// decide decides a question if an entry is enough for that.
func (e *entry) decide(q *engine.Question, now time.Duration) bool {
	now = max(now, e.answered) // it may have been learned a moment after the clock was read
	switch {
	case now >= e.low:
		return false
	case rowOf(q.Algorithm).byDebt:
		explainDebt(q, engine.OpCheck, int64(e.high-now))
		// The wait is as much shorter as the debt may be.
		return q.Decision.RetryAfter == engine.Never || q.Decision.RetryAfter > e.high-e.low
	case q.Limit != e.limit || q.Cost != e.cost:
		return false
	}
	q.Decision = e.decision
	q.Decision.RetryAfter -= now - e.answered
	q.Decision.ResetAfter -= now - e.answered
	return true
}

// learn has the cache know the answer to a check or a peek that was sent at one instant and
// answered at another. If create is true, a denial makes an entry.
func (c *denyCache) learn(q *engine.Question, sent, answered time.Duration, told evidence, create bool) {
	s := c.shard(q.Key)
	changes := q.Op == engine.OpCheck && q.Decision.Allowed
	if changes {
		s.change(answered)
	}
	if create = create && !q.Decision.Allowed; !create && c.size.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.entries[q.Key]
	if known == nil && !create {
		return
	}
	e := newEntry(q, sent, answered, told)
	isUnsure := s.forgiving > 0 || sent <= s.dropped // its place among others'
	if known == nil {
		if !isUnsure {
			c.add(s, q.Key, &e)
		}
	} else if !known.merge(&e, changes, isUnsure) {
		c.drop(s, q.Key, answered)
	}
}

// newEntry is what one answer tells.
func newEntry(q *engine.Question, sent, answered time.Duration, told evidence) entry {
	e := entry{algorithm: q.Algorithm, sent: sent, answered: answered}
	holds := q.Decision.ResetAfter
	if !rowOf(q.Algorithm).byDebt {
		holds = min(told.holds, max(q.Decision.RetryAfter, 0)) // 0 and Never tell nothing
		e.isDenial, e.used, e.limit, e.cost, e.decision = holds > 0, told.used, q.Limit, q.Cost, q.Decision
	}
	e.low, e.high = sent+holds, answered+holds
	return e
}

// merge has an entry tell what is known after one more answer. It returns false if nothing is.
func (e *entry) merge(other *entry, changes, isUnsure bool) bool {
	byDebt, isLater := rowOf(other.algorithm).byDebt, other.sent >= e.answered
	switch {
	case e.algorithm != other.algorithm: // the key was idle in between, or others have reset it
		if !isLater || !byDebt && !other.isDenial {
			return false
		}
		*e = *other
	case !byDebt && !other.isDenial: // it may tell that an entry is not of the last state, no more
		if changes || e.limit.Period() != other.limit.Period() || e.used != other.used {
			return false
		}
	case isLater:
		*e = *other
	case isUnsure:
		return false
	case byDebt && other.high >= e.low:
		e.sent, e.answered = max(e.sent, other.sent), max(e.answered, other.answered)
		e.low, e.high = max(e.low, other.low), max(e.high, other.high)
	case byDebt: // it was decided earlier
	case e.limit.Period() != other.limit.Period():
		return false
	case other.used > e.used:
		*e = *other
	}
	return e.low > other.answered
}

// add keeps an entry, unless it may be of the state before a change.
func (c *denyCache) add(s *denyShard, key string, e *entry) {
	c.size.Add(1)
	if s.most == 0 || e.low <= e.answered || e.sent <= time.Duration(s.changed.Load()) {
		c.size.Add(-1)
		return
	}
	for other := range s.entries { // a full shard drops any: its questions go to Redis again
		if len(s.entries) < s.most {
			break
		}
		c.drop(s, other, 0)
	}
	s.entries[strings.Clone(key)] = e
}

// drop has nothing be known of a key's state at an instant, and before.
func (c *denyCache) drop(s *denyShard, key string, now time.Duration) {
	if e := s.entries[key]; e != nil {
		delete(s.entries, key)
		c.size.Add(-1)
		now = max(now, e.answered)
	}
	s.change(now)
}

// begin is told that a key is about to be refunded or reset. end follows.
func (c *denyCache) begin(key string) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgiving++
	c.drop(s, key, 0)
}

// end is told that a refund or a reset of a key is answered.
func (c *denyCache) end(key string, now time.Duration) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgiving--
	s.dropped = max(s.dropped, now)
	c.drop(s, key, now)
}

// changed is told that states may have changed in a way that tells nothing of them: by a call, by force,
// or by a question whose answer is lost.
func (c *denyCache) changed(q *engine.Question, now time.Duration) {
	eachState(q, func(name string) {
		s := c.shard(name)
		s.change(now)
		if c.size.Load() == 0 {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		c.drop(s, name, now)
	})
}

// refused is told that a key belongs to another algorithm than the question's.
func (c *denyCache) refused(q *engine.Question, now time.Duration) {
	if q.Call != nil { // perhaps a former was moved before
		c.changed(q, now)
		return
	}
	s := c.shard(q.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.entries[q.Key]; known != nil && known.algorithm == q.Algorithm { // others have reset it
		c.drop(s, q.Key, now)
	}
}

// change notes when an answer arrived that changed a key.
func (s *denyShard) change(answered time.Duration) {
	for {
		last := s.changed.Load()
		if last >= int64(answered) || s.changed.CompareAndSwap(last, int64(answered)) {
			return
		}
	}
}
