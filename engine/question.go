package engine

// A Question is one of several that a limiter is asked at once: Store.AskAll, or a limiter that
// answers later, because it keeps its keys in another process. It has room for the answer.
type Question struct {
	Key string
	// Reset is RL.RESET: then Op, Algorithm, Limit and Cost mean nothing.
	Reset     bool
	Op        Op
	Algorithm Algorithm
	Limit     Limit
	Cost      int64 // units, 1 … UnitsMax
	// Call, if not nil, is asked in place of Key, Op, Algorithm, Limit and Cost. Its answer is in it,
	// and in Err.
	Call *Call

	// The answer: Err, or else the Decision, or of a Reset whether there was such a key. A
	// decision that nobody has counted has Remaining −1.
	Decision Decision
	Existed  bool
	Err      error
}

// A Batch is questions to another process that leave together. They are answered in their order as
// far as one key is concerned.
type Batch struct {
	Questions []Question
	// Done is called once, when every question has its answer, by any goroutine.
	Done func()
}
