// Package replication keeps a store's changes beyond the process: on disk, and on replicas.
//
// # The idea
//
// There is one stream of changes, and it has two readers. What is streamed is state and not
// requests: "key K is now in state S". The store notes which keys change (engine's marks), and
// the stream is what a reader of these notes finds, so a key that changed a million times
// between two looks is one record. A record can be applied twice, and late: its instants are
// absolute.
//
// A history of changes has an id, and a place in it an offset: how many bytes of records came
// before. A server that takes over begins a history of its own that continues the one before;
// a server that starts begins one that continues none.
//
// # Where things are
//
//	record.go                    a change in bytes
//	frame.go, packer.go          records in frames, with checksums
//	feed.go                      the stream: drained or received, for the disk and for replicas
//	backlog.go                   its end, from which replicas read
//	node.go                      the whole, as the server sees it; who waits for the disk
//	options.go, id.go, info.go   what a Node is made from, and what it tells
//	save.go                      snapshots
//	primary.go, replica.go       the two sides of a link
//	disk.go, increment.go, onoff.go, rewrite.go, snapshot.go
//	                             the append-only file and the snapshot
//	file.go, manifest.go, load.go, recover.go
//	                             what is in the files, and what a start makes of it
//	check.go, repair.go          rlserver aof
//	lock_*.go, sync_*.go         what differs from system to system
//
// # Invariants
//
//  1. What a caller of Ask has been told was done is in the next drain. (engine/marks.go;
//     engine's TestDrainMissesNothing)
//  2. With appendfsync always an answer to a change leaves after the change is on disk, or says
//     that it is not. (node.go, ../server/pending.go; ../test's crash tests)
//  3. Everything is found after a crash at any step that was acknowledged before. (crash_test.go)
//  4. Files that cannot be right stop the start, with the place. Only the end of the last
//     increment is cut. (recover.go; damage_test.go)
//  5. Frames in the files in force follow each other without a gap. (increment.go)
//  6. A replica that continues lacks nothing: it has the history up to where it asks from, and
//     the backlog holds the rest. Whoever was a primary asks for everything, for what it
//     admitted last may be in nobody's history; but who starts with a log has what is in it
//     and no more. (feed.go, replica.go, Node.dumpBase; ../test's link tests, node_test.go)
//  7. Nobody who checks waits for a disk or a replica, and what waits for these is bounded: a
//     bit for each key, pendingBytesMax, the backlog. (feed.go, backlog.go)
//  8. A replica's state is replaced as a whole, when the new one is all there. (replica.go;
//     engine's TestLoader)
//
// It imports engine and nothing else of this module.
package replication
