package model

import (
	"math"
	"slices"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Backend is a Limiter whose clock may step back, as that of a Redis may. It keeps for each key
// the reading (µs) at which it was written. A lower reading finds the key as it was then: every
// instant of it lies as much earlier as the clock has stepped back. A check or a refund keeps it so.
//
// A counter's slices are not cut anew then. It goes by a time of its own, which is ahead of the clock
// by what that has stepped back since the counter was empty.
type Backend struct {
	Limiter
	written map[string]int64
	ahead   map[string]int64 // µs, of counters
}

// NewBackend makes one without keys.
func NewBackend() Backend { return Backend{Limiter{}, map[string]int64{}, map[string]int64{}} }

// Ask answers a question about a key.
func (b Backend) Ask(key string, q Question) Answer {
	if b.Limiter[key].Owner == engine.SlidingWindowCounter {
		return b.askCounter(key, q)
	}
	if back := b.written[key] - q.Now; back > 0 && b.Limiter[key].Owner != 0 {
		earlier := b.Limiter[key].earlier(back)
		if q.Algorithm == engine.FixedWindow && earlier.Owner == q.Algorithm && q.Op != Reset {
			earlier = earlier.untilWindow(&q.Limit)
		}
		if q.Op == Peek || q.Op == Lookup {
			_, answer := earlier.Ask(q)
			return answer
		}
		b.Limiter[key], b.written[key] = earlier, q.Now
	}
	before := b.Limiter[key]
	answer := b.Limiter.Ask(key, q)
	// A refund to a log that has forgotten units can leave it as it was, and writes all the same.
	refunded := q.Op == Refund && before.Owner == engine.SlidingWindowLog && answer.Decision.Remaining < answer.Decision.Limit
	if refunded || !b.Limiter[key].Equal(before) {
		b.written[key], b.ahead[key] = q.Now, 0
	}
	return answer
}

// askCounter is Ask for a key that is a counter.
func (b Backend) askCounter(key string, q Question) Answer {
	before, reading := b.Limiter[key], q.Now
	back := max(b.written[key]-reading, 0)
	ahead := b.ahead[key] + back
	asked := before
	if !before.Live(min(reading+ahead, math.MaxInt64/1000)) {
		asked, ahead = Key{}, 0
	}
	q.Now += ahead
	next, answer := asked.Ask(q)
	switch {
	case q.Op == Peek || q.Op == Lookup:
		if asked.Owner == 0 && q.Op == Peek && q.Algorithm != before.Owner {
			delete(b.Limiter, key)
		}
	case next.Owner != 0 && (back > 0 || !next.Equal(asked)):
		b.Limiter[key], b.written[key], b.ahead[key] = next, reading, ahead
	case next.Owner == 0 && (asked.Owner != 0 || q.Op == Refund || q.Op == Reset || q.Algorithm != before.Owner):
		delete(b.Limiter, key)
	}
	return answer
}

// earlier is the key with all its instants earlier by a span (µs).
func (k Key) earlier(by int64) Key {
	k.Log = slices.Clone(k.Log)
	for i := range k.Log {
		k.Log[i].At -= by
	}
	if k.Owner.Shape() == engine.ShapeWord && k.Log == nil {
		k.Full -= by * int64(time.Microsecond)
	}
	return k
}

// untilWindow is a fixed_window that ends no earlier, and with a window of the clock.
func (k Key) untilWindow(l *engine.Limit) Key {
	used := k.Log[0].Units
	return window(whole(windowEnd(k.IdleAt()-1, l), used), used)
}
