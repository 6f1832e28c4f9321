package engine

// tokenBucket: a bucket of burst tokens that fills at limit tokens per period. A request
// takes its cost in tokens or is denied. It lets requests go at once, so its answer is the
// meter's.
var tokenBucket = algorithm{
	name:     "token_bucket",
	letter:   't',
	summary:  "bursts up to the limit, then the average rate",
	state:    "one instant",
	hasBurst: true,
	shape:    ShapeWord,
	idleAt:   meterIdleAt,
}
