// Package disk keeps the stream of changes in files: the append-only log and the snapshot.
//
// The log is a base, which is a dump of all states, and increments behind it, which are the
// stream from there on. The manifest names the files that are in force. A rewrite makes a new
// base in the background, so the log stays about as long as the state is. A snapshot is a dump
// by itself.
//
// # Where things are
//
//	disk.go               a directory that is open: append and sync
//	increment.go          the files that are appended to
//	log.go, rewrite.go    the log begins, goes on, ends, and is made anew
//	snapshot.go           a dump in a file: dump.rls, and the bases of the log
//	writer.go             between the feed and the disk: what the disk refuses waits
//	file.go, manifest.go  what is in the files
//	load.go, recover.go   what a start makes of them
//	check.go, repair.go   rlserver aof
//	stats.go              what INFO shows
//	lock*.go, sync_*.go   what differs from system to system
//
// # Invariants
//
//  1. With the policy always, a change that is acknowledged is on disk, or the answer says that
//     it is not. (Disk.append, Writer.Trouble; ../../test's crash tests)
//  2. Everything is found after a crash at any step that was acknowledged before the crash.
//     (crash_test.go)
//  3. Files that cannot be right stop the start, with the place. Only the end of the last
//     increment is cut. (recover.go; damage_test.go)
//  4. Frames in the files in force follow each other without a gap. (increment.go)
//  5. What waits for a disk that is full is bounded: pendingBytesMax. (writer.go)
//
// Nothing here knows of other servers. It imports engine and ../stream, and nothing else of this
// module.
package disk
