package lua

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// The deny cache answers what cannot pass. After a denial the debt of a meter shrinks no
// faster than time goes, whoever else asks, so what is left of it since the question was sent
// is the least that Redis can find; and the units of a log that stand in the way leave no
// sooner. Only a refund or a reset forgives. Those made through this server are known; those
// made elsewhere are seen when the entry has become too old.
//
// When Redis decided lies between when the question was sent and when its answer came. What is
// sure to be denied is counted from the former; what a caller is told to wait is counted from
// the latter, as it is by a caller whom Redis answers, so that it is never too short. So an
// answer from here is what Redis would have found had nobody else asked since, and time gone as
// it did here, or told a caller to wait longer by what the question was on its way.
type denyCache struct {
	seed   maphash.Seed
	shards [denyShards]denyShard
	most   int // entries of a shard
	size   atomic.Int64
	hits   atomic.Uint64
}

const denyShards = 64

type denyShard struct {
	mu      sync.Mutex
	entries map[string]*denial
	// forgotten is when a key of the shard was refunded or reset last. A denial of a
	// question that was sent before may be of the state before.
	forgotten time.Duration
}

// A denial is what was learned from one.
type denial struct {
	sent      time.Duration // by the limiter's clock
	way       time.Duration // from then until the answer came
	algorithm engine.Algorithm
	debt      time.Duration // of a meter, between the two
	// Of a log the decision, for the same limit and cost, and until when after being sent it
	// stays so.
	limit    engine.Limit
	cost     int64
	decision engine.Decision
	holds    time.Duration
}

func newDenyCache(entries int) *denyCache {
	c := &denyCache{seed: maphash.MakeSeed(), most: (entries + denyShards - 1) / denyShards}
	for i := range c.shards {
		c.shards[i].entries, c.shards[i].forgotten = map[string]*denial{}, -1
	}
	return c
}

func (c *denyCache) shard(key string) *denyShard {
	return &c.shards[maphash.String(c.seed, key)%denyShards]
}

// answer answers a check if it is sure to be denied.
func (c *denyCache) answer(q *engine.Question, now, longest time.Duration) bool {
	if c.size.Load() == 0 {
		return false
	}
	s := c.shard(q.Key)
	s.mu.Lock()
	d := s.entries[q.Key]
	if d == nil {
		s.mu.Unlock()
		return false
	}
	known := *d
	s.mu.Unlock() // an entry is not changed, but the next line may take a while
	age := now - known.sent
	if age > longest || known.algorithm != q.Algorithm || !known.decide(q, age) {
		return false
	}
	c.hits.Add(1)
	return true
}

// decide decides a question from a denial of some age, if that is enough.
func (d *denial) decide(q *engine.Question, age time.Duration) bool {
	here := age - d.way
	if !q.Algorithm.KeepsLog() {
		if age >= d.debt {
			return false
		}
		q.Algorithm.ExplainDebt(engine.OpCheck, &q.Limit, int64(d.debt-here), q.Cost, &q.Decision)
		// The wait is as much shorter as the debt may be.
		return q.Decision.RetryAfter == engine.Never || q.Decision.RetryAfter > d.way
	}
	if age >= d.holds || q.Limit != d.limit || q.Cost != d.cost {
		return false
	}
	q.Decision = d.decision
	q.Decision.RetryAfter -= here
	q.Decision.ResetAfter -= here
	return true
}

// learn remembers a denial of a question that was sent at one instant and answered at another.
// holds is as in denial.
func (c *denyCache) learn(q *engine.Question, sent, answered, holds time.Duration) {
	if q.Decision.RetryAfter == engine.Never || c.most == 0 {
		return
	}
	d := &denial{sent: sent, way: answered - sent, algorithm: q.Algorithm, debt: q.Decision.ResetAfter}
	if q.Algorithm.KeepsLog() {
		d.limit, d.cost, d.decision, d.holds = q.Limit, q.Cost, q.Decision, min(holds, q.Decision.RetryAfter)
	}
	s := c.shard(q.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent <= s.forgotten {
		return
	}
	if _, known := s.entries[q.Key]; !known {
		c.makeRoom(s)
		c.size.Add(1)
	}
	s.entries[strings.Clone(q.Key)] = d
}

// makeRoom drops any of a full shard's entries: what is forgotten is asked again.
func (c *denyCache) makeRoom(s *denyShard) {
	for key := range s.entries {
		if len(s.entries) < c.most {
			return
		}
		delete(s.entries, key)
		c.size.Add(-1)
	}
}

// forget forgets a key, and every denial of a question that was sent before now.
func (c *denyCache) forget(key string, now time.Duration) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = now
	if _, known := s.entries[key]; known {
		delete(s.entries, key)
		c.size.Add(-1)
	}
}
