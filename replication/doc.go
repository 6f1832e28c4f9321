// Package replication keeps a store's changes beyond the process: on disk, and on replicas.
//
// It joins three rooms, each of which can be read by itself:
//
//	stream  the stream of changes: records, frames, histories, the backlog
//	disk    the stream in files: the append-only log and the snapshot
//	link    the stream between servers: a primary and its replicas
//
//	replication ──► disk ──► stream ──► engine
//	      └───────► link ──────┘
//
// Here is what joins them, the Node:
//
//	node.go     start, loop and end; settings; when the directory is locked
//	role.go     primary or replica
//	commit.go   answers that wait for the disk; changes of policies; whether changes are refused
//	save.go     when snapshots are written
//	info.go     ROLE and INFO
//	options.go  what a Node is made from
//
// # Invariants
//
//  1. With appendfsync always an answer to a change leaves after the change is on disk, or says
//     that it is not. (commit.go, ../server/deferred.go; ../test's crash tests)
//  2. A server that starts with a log has what is in the log and no more, so it may continue from
//     there. One that starts from a snapshot may not: the snapshot may be younger than the place
//     that it names. (Node.load; node_test.go)
//  3. A server that was a primary asks its new primary for everything. (Node.Follow)
//  4. Policies are changed one after the other, and on a primary only. A replica has those of its
//     primary. (Node.Keep; policies_test.go)
//  5. No check waits for a disk or a replica. (feed, backlog and writer are bounded)
//
// It imports engine and the three rooms, and nothing else of this module.
package replication
