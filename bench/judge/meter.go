package judge

import (
	"math"
	"time"
	"unsafe"
)

// A server's meter keeps one instant T for a key, and admits a request at the reading n of its clock
// so that T becomes max(T, n) + price, which is at most n + capacity (engine/meter.go).
//
// Claim: for any set of requests that were admitted on one key, where from is when the first of them
// was sent and until is when the last was received,
//
//	sum of prices ≤ capacity + until − from
//
// Proof: let f be the first and l the last of the set in the order in which the server took the
// steps. After the step of f, T is at least n(f) + price. Each later step raises T by a price at
// least. So after that of l, T is at least n(f) + the sum of prices; and at most n(l) + capacity.
// So the sum is at most capacity + n(l) − n(f), and from ≤ n(f), n(l) ≤ until. Nothing is said about
// the order of readings, of requests that are not in the set, or of refunds, of which there are none.
// A clock that is rounded down to a tick may read less than from, by less than a tick.
//
// A meter holds one set for each key, by its from, its until and its level: from and the sum of
// prices. A request that was sent after the level begins a new set, for the requests before
// it have been paid for. All others belong to the set, except that one that was sent before from
// moves from back: that is worth it once what such requests cost together is more than what
// from moves. Until then they wait. So a reply that is late by a second does not spoil a set,
// and the loss from requests that were told in the wrong order is less than the time by which
// their order is wrong.
type meter struct {
	from, until int64
	level       int64 // from, and the prices of all in the set
	// Of those that wait: by how much from would move, and the sum of their prices.
	// Invariant: waiting ≤ early.
	early, waiting int32
}

const meterBytes = int64(unsafe.Sizeof(meter{}))

// meters is the meters of all keys.
type meters struct {
	all      []meter
	price    int64 // of one request, ns
	capacity int64 // and the tick, ns
	cost     int64
	drift    bool
}

func newMeters(r *Rule, keys int64) *meters {
	return &meters{
		all:   make([]meter, keys),
		price: max(r.Limit.Price(r.Cost)-int64(r.Rounding), 1),
		// The capacity does not depend on the cost: 1 is within every burst.
		capacity: r.Limit.Slack(1) + r.Limit.Price(1) + int64(r.Tick),
		cost:     r.Cost,
		drift:    r.Remote,
	}
}

func (m *meters) weigh(line []admission, tell func(Violation)) {
	for i := range line {
		a := line[i]
		if m.drift { // as the fastest clock would have it
			a.sent, a.received = a.sent+a.sent>>driftShift, a.received+a.received>>driftShift
		}
		c := &m.all[a.key]
		if c.add(a.sent, a.received, m.price); c.level-c.until > m.capacity {
			tell(m.violation(a.key))
		}
	}
}

// add adds a request to the set of a key.
func (c *meter) add(sent, received, price int64) {
	switch {
	case sent > c.level:
		*c = meter{from: sent, until: received, level: sent + price}
		return
	case sent >= c.from:
		c.level += price
	case c.from-sent <= math.MaxInt32:
		early, sum := max(int64(c.early), c.from-sent), int64(c.waiting)+price
		if sum > early {
			c.level += sum - early
			c.from -= early
			early, sum = 0, 0
		}
		c.early, c.waiting = int32(early), int32(sum)
	default:
		return
	}
	c.until = max(c.until, received)
	if c.level < 0 { // 292 years, of a server that admits all
		c.level = math.MaxInt64
	}
}

func (m *meters) violation(key int64) Violation {
	c := &m.all[key]
	span := c.until - c.from
	v := Violation{
		Key:      key,
		Admitted: (c.level - c.from) / m.price * m.cost,
		Allowed:  (span + m.capacity) / m.price * m.cost,
		Span:     time.Duration(span),
	}
	if m.drift {
		v.Span -= v.Span >> driftShift
	}
	return v
}

func (m *meters) sawTime(_, _, _ int64) {}
func (m *meters) state() (int64, error) { return 0, nil }
