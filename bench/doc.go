// Package bench measures servers that decide on limits: it puts load on any server that speaks RESP,
// times each reply, and checks that no more was admitted than the limit allows. `rlserver bench` is
// its command.
//
//	options.go, result.go, progress.go   what a run is asked for, and what it measured
//	run.go       turns: rounds of each target, one after the other; the fill before the first
//	target.go    the table of targets: what each is asked, how its replies are read, how it is judged
//	open.go, ask.go   a target's connections, and a connection aside for everything else
//	request.go, reply.go, keys.go   bytes of requests and replies; which key is asked for
//	worker.go    a thread of the client: which request is next, and what its reply tells
//	conn.go      one connection: a batch of requests, and its replies
//	loop_linux.go, loop_other.go, pump.go   how bytes move: event loops, or goroutines
//	series.go    histograms of a turn and of its spans
//	process.go   what processes use, and the machine
//	failure.go   why a target failed, in one line
//	judge/       whether what was admitted keeps the limit
//	report/      a report as a table, as a page, and as charts (chart/)
//
// # A new target
//
// One row in target.go. Completion, help and errors come from it.
//
// # Invariants
//
//  1. A request is bytes that are made before the turn, but for the digits of its key; neither it nor
//     its reply takes an allocation. (The target script reads replies as package lua does, which does.)
//  2. In an open loop each latency counts from the instant at which the request was due, whether or not
//     it could be sent then. What is due is sent, or counted as unsent.
//  3. The keys of a target are its own: no other target, round or run has used them before it.
//  4. Each admission is told to the judge with instants before its request was written and after its
//     reply was read, those of the fill too.
//  5. No wait is longer than the timeout. What was measured before a failure is kept.
package bench
