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
// faster than time goes, whatever is asked, so what is left of it since the question was sent
// is the least that Redis can find. Of other algorithms the same question is denied until its
// RetryAfter is over. Only a refund or a reset forgives. Those made through this server are
// known; those made by others are seen when the entry has become too old.
//
// When Redis decided lies between when the question was sent and when its answer arrived. What
// is sure to be denied is counted from the former. What a caller is told to wait is counted from
// the latter, as it is by a caller that Redis answers, so that it is never too short. So an
// answer of the cache is what Redis would have found had it been asked nothing since, and had
// its time gone as it did here; or it told a caller to wait longer by the time that the question
// was on its way.
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
	// dropped is when a key of the shard was refunded or reset last. A denial of a question
	// that was sent before may be of the state before.
	dropped time.Duration
}

// A denial is what was learned from one.
type denial struct {
	sent      time.Duration // by the limiter's clock
	way       time.Duration // from then until the answer arrived
	algorithm engine.Algorithm
	limit     engine.Limit
	cost      int64
	decision  engine.Decision
	holds     time.Duration // from sent on: how long the decision stays the same but for its spans
}

func newDenyCache(entries int) *denyCache {
	c := &denyCache{seed: maphash.MakeSeed(), most: (entries + denyShards - 1) / denyShards}
	for i := range c.shards {
		c.shards[i].entries, c.shards[i].dropped = map[string]*denial{}, -1
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
	switch {
	case age >= d.holds:
		return false
	case rows[q.Algorithm].byDebt:
		explainDebt(q, engine.OpCheck, int64(d.decision.ResetAfter-here))
		// The wait is as much shorter as the debt may be.
		return q.Decision.RetryAfter == engine.Never || q.Decision.RetryAfter > d.way
	case q.Limit != d.limit || q.Cost != d.cost:
		return false
	}
	q.Decision = d.decision
	q.Decision.RetryAfter -= here
	q.Decision.ResetAfter -= here
	return true
}

// learn remembers a denial of a question that was sent at one instant and answered at another.
// holds is as in row.
func (c *denyCache) learn(q *engine.Question, sent, answered, holds time.Duration) {
	if q.Decision.RetryAfter == engine.Never || c.most == 0 {
		return
	}
	if holds = min(holds, q.Decision.RetryAfter); rows[q.Algorithm].byDebt {
		holds = q.Decision.ResetAfter
	}
	d := &denial{sent, answered - sent, q.Algorithm, q.Limit, q.Cost, q.Decision, holds}
	s := c.shard(q.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent <= s.dropped {
		return
	}
	if _, known := s.entries[q.Key]; !known {
		c.makeRoom(s)
		c.size.Add(1)
	}
	s.entries[strings.Clone(q.Key)] = d
}

// makeRoom drops any of a full shard's entries: their questions go to Redis again.
func (c *denyCache) makeRoom(s *denyShard) {
	for key := range s.entries {
		if len(s.entries) < c.most {
			return
		}
		delete(s.entries, key)
		c.size.Add(-1)
	}
}

// drop drops what is known of a key, and every denial of a question that was sent before now.
func (c *denyCache) drop(key string, now time.Duration) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = now
	if _, known := s.entries[key]; known {
		delete(s.entries, key)
		c.size.Add(-1)
	}
}
