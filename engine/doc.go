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
// A step that changes nothing (a denial, a peek) writes nothing. Because the step is pure, a
// backend can take the same step, Redis for one, and the two can be proven equal.
//
// States differ in their shape: a word, a log or a counter. An algorithm is one row of the table in
// algorithm.go, which says the shape of its states and all else that the store must know of it.
// No other place asks which algorithm a key has.
//
// # Numbers
//
// No floating point. A caller hands in now as whole microseconds since the Unix epoch;
// instants and spans inside are nanoseconds in int64. A request costs
//
//	price(cost) = ceil(cost·period / limit) ns
//
// computed in 128 bits and rounded up once a request, so that a rate is never exceeded and
// falls short by less than 1 ns a request, whatever the limit. The bounds in limit.go keep
// every sum within int64, and the steps compare by subtraction.
//
// # Where things are
//
//	limit.go               limits, their ranges, and the errors that name them
//	calendar.go            weeks, months and years
//	decision.go            what a caller learns
//	algorithm.go           the table of algorithms
//	meter.go               the arithmetic that token_bucket and leaky_bucket share
//	token_bucket.go, …     one algorithm each: its row, its step and its explanation
//	shape.go               what the store does with states of a shape
//	word.go                states of one word
//	log.go                 states that are logs
//	log_ring.go            the units of one log
//	log_cells.go           where the rings of logs are found
//	log_change.go          a log as a change, told and applied
//	counter.go             states that are counters, which stand in rings as logs do
//	counter_ring.go        the slices of one counter
//	counter_list.go        the same laid open, to be written anew
//	counter_change.go      a counter as a change, told and applied
//	store.go               everything a caller calls, and the compare-and-swap loop
//	key.go                 a key as words, and its hash
//	table.go               one shard's keys: slots, and what owns them at each atomic step
//	rebuild.go             how a table hands its keys on to a larger or smaller one
//	space.go               all tables of a store, and the way through them
//	evict.go               the bound on memory
//	scan.go                iteration and reclaiming
//	stats.go               what is counted
//	change.go              what a key's state has become, for followers of changes
//	marks.go               which keys have changed
//	drain.go               the changes of those keys
//	apply.go               changes of another store, applied to this one
//	question.go            questions that are asked together, here or of another process
//	ask_all.go             many questions at once, each key's memory fetched in advance
//	call.go                several limits asked at once, all or nothing
//	ask_call.go            how their states are asked and written
//	undo.go                what was taken from a state, taken out again
//	carry.go               units of a limit that was replaced, moved to the one in its place
//	prefetch.go            memory asked for in advance
//
// # Invariants
//
// Numbered so that code and tests can point at them.
//
//  1. At most one open slot holds a key. All searches for a key pass the same slots and
//     take the first that is neither closed nor another key's, both of which are for ever.
//     (table.go; TestOneSlotPerKey)
//  2. A state changes only by compare-and-swap from the state that the step saw: the
//     slot's word, the gap of the log's ring, or the head of the counter's. (table.go, log_ring.go,
//     counter_ring.go; TestStoreAdmitsExactly)
//  3. A closed slot never opens again, so an update that raced with the end of the key's state,
//     or with a move of the key, fails and starts over where the key is now. (table.go, rebuild.go;
//     TestReclaimLosesNoUpdate)
//  4. An idle key is the same as no key: every question about it is answered as if it were
//     absent, whether or not its memory has been reclaimed. (TestIdleIsAbsent)
//  5. A denial, a peek and an error change nothing. (TestDenialChangesNothing)
//  6. A key comes into a table from the one before at most once, however late
//     it is moved: in the later table its state leaves 0 once, and a slot that died after it
//     held a state stays there to tell. (rebuild.go; TestStaleMoverBringsNothingBack)
//  7. No caller waits for another. A claim, a move or the end of a log that was begun is
//     finished by the caller that meets it. (TestStalledClaim, TestStalledMover)
//  8. A ring changes only at its gap, and a sealed ring not at all, so what was read
//     between two equal readings of the gap was so at one instant. Of a counter's ring that holds
//     between two readings of the head with the same slice. (log_ring.go, counter_ring.go;
//     TestViewsThatHoldAreWhole, TestCounterViewsThatHoldAreWhole)
//  9. A reference names one log for ever, and its cell is given back once.
//     (log_cells.go; TestCells)
//  10. A scan returns every key that was there from its first call to its last.
//     (scan.go; TestScanMissesNothing)
//  11. What a caller has been told was done is told by a Drain that begins after that.
//     (marks.go; TestDrainMissesNothing, TestMarksMoveWithTheirSlots)
//  12. A store that is told of another's changes answers as the other does.
//     (apply.go; TestMirrorAnswersAsTheStore, TestDrainReadsBusyLogs)
//  13. A call that is admitted has taken its cost from every part, and one that is not has taken
//     nothing, but where it crossed a change of its limits: then units may count that nobody was
//     given. (ask_call.go, undo.go; TestCallIsAllOrNothing, TestCallsThatCross)
//  14. Units of a limit that was replaced count once under the one in its place, and are not moved
//     twice. (carry.go; TestUnitsAreCarriedOverOnce, TestUnitsAreCarriedOverOnceThroughARestart)
//
// Costly checks of these run when the build tag "invariants" is set; the race run sets it.
//
// # Room for more
//
// A state of two or three words is a shape of its own. It goes where a log does, into a cell to
// which the slot refers, but into one of a pool without pointers. A cell is not changed while a
// slot refers to it: a step writes a fresh one and swaps the reference, which counts how often
// the cell was given out. A reader that finds the reference unchanged after reading has read one
// state. So the slot stays as wide as it is, and a step is still one swap.
package engine
