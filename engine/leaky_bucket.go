package engine

import "time"

// leakyBucket: a bucket that holds burst units and drains at limit units per period. A
// request pours its cost in, or is denied when it would overflow; an admitted request
// leaves when the units before it have drained, which is its Delay. That is what makes
// it a shaper and not a second token bucket.
var leakyBucket = algorithm{
	name:     "leaky_bucket",
	letter:   'l',
	summary:  "a steady drain: each admitted request is told how long to wait",
	state:    "one instant",
	hasBurst: true,
	shape:    ShapeWord,
	idleAt:   meterIdleAt,
}

// leakyBucketExplain adds to the meter's answer how long to hold the request.
func leakyBucketExplain(l *Limit, x outcome, d *Decision) {
	meterExplain(l, x, d)
	if d.Allowed {
		d.Delay = time.Duration(x.extra)
	}
}
