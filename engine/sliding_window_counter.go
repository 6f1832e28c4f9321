package engine

import "math"

var slidingWindowCounter = algorithm{
	name:     "sliding_window_counter",
	letter:   'c',
	summary:  "no more than the exact window, in a bounded memory whatever the limit",
	state:    "8 bytes for each of at most 65 slices of the period in which something was admitted, plus room to grow",
	shape:    ShapeLog,
	idleAt:   func(int64) int64 { return math.MaxInt64 }, // the ring tells
	limitMax: func(_, logLimitMax int64) int64 { return logLimitMax },
}
