// Package replication will hold the stream of changes: which key is now in which state, to
// the disk and to replicas. What is streamed is state and not requests, so a record can be
// applied twice, and a key that changed a million times in an interval is one record.
//
// It may import engine and nothing else of this module. It is empty so far.
package replication
