package engine

import "math"

// A Question is what a limiter is asked that answers later, because it keeps its keys in another
// process. It has room for the answer. A Store answers at once and needs none.
type Question struct {
	Key string
	// Reset is RL.RESET: then Op, Algorithm, Limit and Cost mean nothing.
	Reset     bool
	Op        Op
	Algorithm Algorithm
	Limit     Limit
	Cost      int64 // units, 1 … UnitsMax

	// The answer: Err, or else the Decision, or of a Reset whether there was such a key. A
	// decision that was not counted has Remaining −1.
	Decision Decision
	Existed  bool
	Err      error
}

// A Batch is questions that leave together. They are answered in their order as far as one
// key is concerned.
type Batch struct {
	Questions []Question
	// Done is called once, when every question has its answer, by any goroutine.
	Done func()
}

// Price and Slack are what a step on a meter compares, for a backend that takes it: it is
// admitted iff the debt is at most Slack, and then the debt grows by Price. Both are in ns.
// Slack is −1 for a cost that is never admitted. Price is at most the highest int64; it is also
// what a refund takes off a debt.
func (l *Limit) Price(cost int64) int64 {
	if cost > math.MaxInt64/l.unit {
		return math.MaxInt64
	}
	return cost * l.unit
}

// Slack is burst·E − Price, or −1: see Price.
func (l *Limit) Slack(cost int64) int64 {
	if cost > l.burst {
		return -1
	}
	return l.capacity - cost*l.unit
}
