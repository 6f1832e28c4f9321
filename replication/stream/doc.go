// Package stream is the stream of a store's changes, which disk keeps and link sends.
//
// # The idea
//
// What is streamed is state and not requests: "key K is now in state S". The store notes which
// keys change (engine's marks), and the stream is what a drain of these notes finds. So a key
// that changed a million times between two drains is one record. A record can be applied twice,
// and late: its instants are absolute. Each frame has a reading of the clock that decided, so
// that the next server to decide can go on from there if its own clock is behind.
//
// A history of changes has an id. A place in it is an offset: how many bytes of records came
// before. A server that takes over begins a history of its own, which continues the one before;
// a server that starts begins one that continues none.
//
// # Where things are
//
//	record.go            a change in bytes
//	entry.go             policies: in bytes, into the stream, and out of it
//	frame.go, packer.go  records in frames, with checksums: the same on disk and on the wire
//	position.go          a history and a place in it
//	feed.go              the stream: drained from the store, or received from a primary
//	dump.go              all states, in small steps
//	backlog.go           the end of the stream, from which replicas read
//
// # Invariants
//
//  1. What a caller of Ask has been told was done is in the next drain. (engine/marks.go;
//     engine's TestDrainMissesNothing)
//  2. A replica that continues lacks nothing: it has the history up to the place that it names,
//     and the backlog holds the rest. (Feed.Join; ../../test's link tests)
//  3. What a base has seen is in the stream when the base is done. (Feed.DumpBase;
//     TestBaseWaitsForTheFrame)
//  4. No check waits for a reader of the stream, and what is kept for readers is bounded: a bit
//     for each key, and the backlog. (feed.go, backlog.go)
//  5. A state from a primary replaces the store's as a whole, when all of it is there.
//     (Feed.Install; engine's TestLoader)
//  6. A policy is in the stream before every state that was decided under it, and in a dump behind
//     them: no reader has a state without the policy. A flush leaves policies. (Feed.Enter, Feed.Dump;
//     TestEntryStandsBeforeItsStates)
//  7. Units that are carried from one state to another are in one of the two at the end of each drain.
//     (Feed.Drain; TestDrainTellsOfBothSteps)
//  8. No decision that the frames up to a place tell of was made by a later reading than the last
//     one of these frames. (frame.go; ../../test's TestRestartWithAClockBehind)
//
// No file and no connection is opened here. It imports engine and nothing else of this module.
package stream
