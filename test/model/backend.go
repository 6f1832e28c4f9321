package model

import (
	"slices"
	"time"

	"github.com/rlserver/rlserver/engine"
)

// A Backend is a Limiter whose clock may step back, as that of a Redis may. It keeps for each key
// the reading (µs) at which it was written. A lower reading finds the key as it was then: every
// instant of it lies as much earlier as the clock has stepped back. A check or a refund keeps it so.
type Backend struct {
	Limiter
	written map[string]int64
}

// NewBackend makes one without keys.
func NewBackend() Backend { return Backend{Limiter{}, map[string]int64{}} }

// Ask answers a question about a key.
func (b Backend) Ask(key string, q Question) Answer {
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
	if !b.Limiter[key].Equal(before) {
		b.written[key] = q.Now
	}
	return answer
}

// earlier is the key with all its instants earlier by a span (µs); of a counter, by the slices in it.
func (k Key) earlier(by int64) Key {
	if k.Owner == engine.SlidingWindowCounter {
		by = sliceOf(by, microsOf(k.Period))
	}
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
