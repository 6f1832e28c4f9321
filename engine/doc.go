// Package engine decides. It holds the rate-limit algorithms as pure functions and
// the sharded store that runs them, and nothing that does I/O: no socket, no file, no
// log, no clock. It depends on the standard library alone, so any Go program can import
// it and limit in process; the server in ../server is one such program.
//
// # The idea
//
// An algorithm is a pure step
//
//	(state, limit, now, cost) → (state', decision)
//
// and the [Store] runs it in one compare-and-swap loop: read the key's state, take the
// step, swap the new state in if the old one is still there, else take the step again.
// A step that changes nothing (a denial, a peek) writes nothing. Because the step is
// pure, the same arithmetic can be run elsewhere, inside Redis for one, and the two can
// be proven equal.
//
// # Numbers
//
// No floating point. A caller hands in now as whole microseconds since the Unix epoch;
// instants and spans inside are nanoseconds in int64. One unit of a limit takes
//
//	E = ceil(period / limit) ns
//
// rounded up, so that a rate is never exceeded. The bounds in limit.go keep every sum
// within int64; the steps compare by subtraction and never form a product that has not
// been bounded first.
//
// # Where things are
//
//	limit.go               limits, their ranges, and the errors that name them
//	decision.go            what a caller learns
//	algorithm.go           the table of algorithms
//	meter.go               the arithmetic that token_bucket and leaky_bucket share
//	token_bucket.go        one row of the table
//	leaky_bucket.go        one row of the table
//	sliding_window_log.go  one row of the table
//	log_state.go           the log's state: an immutable view of append-only slots
//	store.go               the compare-and-swap loop, and everything a caller calls
//	shard.go               one shard: a lock-free hash table
//	node.go                one key: its slot, and who owns it at each atomic step
//	scan.go                iteration and reclaiming
//
// # Invariants
//
// Numbered so that code and tests can point at them.
//
//  1. At most one live node holds a key. (shard.go; TestOneNodePerKey)
//  2. A node's state changes only by compare-and-swap from the state that the step saw.
//     (node.go; TestStoreAdmitsExactly)
//  3. A dead node never lives again: killing swaps the state to a mark that no step
//     accepts, so an update that raced with the killing fails and starts over at a new
//     node. (node.go; TestReclaimLosesNoUpdate)
//  4. A key at rest is the same as no key: every question about it is answered as if it
//     were absent, whether or not its memory has been reclaimed. (TestAtRestIsAbsent)
//  5. A denial, a peek and an error change nothing. (TestDenialChangesNothing)
//  6. A slot of a log, once it is inside a published state, never changes its value.
//     (log_state.go; TestLogSlotsAreStable)
//  7. A scan returns every key that was there from its first call to its last.
//     (scan.go; TestScanMissesNothing)
//
// Costly checks of these run when the build tag "invariants" is set; the race run sets it.
package engine
