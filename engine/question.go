package engine

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
