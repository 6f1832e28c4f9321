package linearizability

import (
	"math"
	"runtime"
	"sync/atomic"
)

// lag is how far (µs) a reading in flight may be behind the clock: less than the 2 s that
// the engine trusts a caller to hold a reading at most.
const lag = int64(1_900_000)

// A clock moves in steps and knows the readings of all calls under way.
type clock struct {
	now      atomic.Int64 // µs since the Unix epoch
	inFlight []reading
}

// A reading is one caller's: an instant (µs), entering, or idle. It has a cache line of its
// own, or callers would meet here and not in the store.
type reading struct {
	at atomic.Int64
	_  [56]byte
}

const (
	entering = 0             // the caller is about to read the clock: counts as the oldest
	idle     = math.MaxInt64 // the caller has no call under way
)

func newClock(start int64, callers int) *clock {
	c := &clock{inFlight: make([]reading, callers)}
	c.now.Store(start)
	for i := range c.inFlight {
		c.leave(i)
	}
	return c
}

// enter reads the clock for a call. From before it is read until the caller leaves, oldest
// is not later.
func (c *clock) enter(caller int) int64 {
	at := &c.inFlight[caller].at
	at.Store(entering)
	now := c.now.Load()
	at.Store(now)
	return now
}

func (c *clock) leave(caller int) { c.inFlight[caller].at.Store(idle) }

// oldest is an instant (µs) that no reading in flight is before, nor any to come.
func (c *clock) oldest() int64 {
	oldest := c.now.Load() // first: a caller that enters after we passed it reads no less
	for i := range c.inFlight {
		oldest = min(oldest, c.inFlight[i].at.Load())
	}
	return oldest
}

// advance moves the clock by a step of up to lag (µs). It waits for callers whose reading
// would be left too far behind, so it must not be called with a reading in flight.
func (c *clock) advance(step int64) {
	for {
		now := c.now.Load()
		if now+step-c.oldest() <= lag && c.now.CompareAndSwap(now, now+step) {
			return
		}
		runtime.Gosched()
	}
}
