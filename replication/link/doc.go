// Package link is the connection between a primary and a replica, seen from both ends.
//
// A Primary serves replicas: it sends each the state of the store where that is needed, and then
// the stream. A Replica follows a primary: it applies what comes and acknowledges it. A replica
// serves replicas of its own from the same stream.
//
// # Where things are
//
//	primary.go   a replica is answered, and sent a dump and the stream
//	replicas.go  the replicas that are being served: acknowledgements, waiting, cutting off
//	replica.go   the other end: full sync, applying the stream
//	greet.go     how a replica introduces itself
//	options.go   what both ends are made of
//
// # Invariants
//
//  1. A replica that continues lacks nothing. A server that was a primary asks for everything,
//     because what it admitted last may be in no other server's history. (Follow's continued;
//     stream.Feed.Join; ../../test's link tests)
//  2. The stream is sent between two steps of a dump and never within one, so a replica's state
//     is never older than what it was told before. (Primary.sendDump; TestFlushDuringFullSync)
//  3. Nothing waits for a slow replica: it reads from the backlog, and is cut off where the
//     backlog has gone past it. (Primary.CutOff)
//  4. A replica acknowledges only what is in its own stream. (Replica.apply)
//
// Nothing here knows of files. It imports engine and ../stream, and nothing else of this module.
package link
