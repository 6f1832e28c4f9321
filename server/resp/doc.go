// Package resp turns bytes into commands, and replies into bytes. It knows no connection, no
// command and no limiter.
//
//	framer.go  bytes in, commands out; every bound on input stands here
//	pattern.go the command that a connection sends again and again
//	ahead.go   the keys of commands that come next
//	inline.go  commands as people type them into telnet
//	writer.go  replies, in RESP2 and RESP3
//
// # Invariants
//
//  1. Bytes that a peer has not sent take no memory. Every length has a bound, and the bounds are
//     tighter before the client has authenticated.
//  2. No byte is parsed twice, in whatever pieces a command arrives, and nothing recurses. Only Ahead
//     looks at whole commands of the usual form in advance, each once.
//  3. Arguments point into the framer's buffer or its pattern. They are good until Next or Fill is called again.
//  4. The usual command is framed without an allocation.
package resp
