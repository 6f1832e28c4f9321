package engine

import "time"

// Never is the RetryAfter of a request that can never pass: its cost is more than can be
// taken at once.
const Never time.Duration = -1

// A Decision answers one question about one key. Spans are exact to the nanosecond.
type Decision struct {
	// Allowed says whether the units were taken; for a peek, whether they would be; for
	// a refund it is true.
	Allowed bool
	// Limit is the most units that can be taken at once: the burst, or the limit of an
	// algorithm without one.
	Limit int64
	// Remaining is how many units are left after this call, 0 … Limit.
	Remaining int64
	// RetryAfter is 0 when allowed; on a denial the span after which this very request
	// would pass if nothing else is asked meanwhile, or Never.
	RetryAfter time.Duration
	// ResetAfter is the span until the key is idle: bucket full, log empty; or for a log or counter to which
	// limits of several periods write, until none of its units counts for this one.
	ResetAfter time.Duration
	// Delay is, for leaky_bucket, how long to hold an admitted request so that output
	// leaves at the drain rate; 0 for every other algorithm and on a denial.
	Delay time.Duration
}

// unless takes the decision back if there is an error, which it returns: a step that lost a
// race may have left its answer.
func (d *Decision) unless(err error) error {
	if err != nil {
		*d = Decision{}
	}
	return err
}
