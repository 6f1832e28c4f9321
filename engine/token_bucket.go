package engine

// tokenBucket: a bucket of burst tokens that fills at limit tokens per period. A request
// takes its cost in tokens or is denied.
var tokenBucket = algorithm{
	name:     "token_bucket",
	summary:  "bursts up to the limit, then the average rate",
	state:    "one instant",
	step:     tokenBucketStep,
	rest:     meterRest,
	hasBurst: true,
}

// tokenBucketStep is the meter's step. A token bucket lets requests go at once, so it
// never asks for a delay.
func tokenBucketStep(o op, st state, l Limit, now, cost int64) (state, Decision) {
	st, d := meterStep(o, st, l, now, cost)
	d.Delay = 0
	return st, d
}
