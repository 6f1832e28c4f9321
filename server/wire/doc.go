// Package wire moves the bytes of connections. It listens, accepts, reads commands, hands them to a
// session, and sends the replies of a batch in one write. It does not know what a command means.
//
// The package is used by an Owner, which opens a Session for each connection. These two interfaces,
// in owner.go, are all that wire knows of it. Package resp frames commands and encodes replies.
//
//	owner.go    what a server asks of its owner
//	server.go   a server: serving, draining
//	listen.go, tls.go, system_*.go  ports, the Unix socket and its permissions, certificates
//	accept.go   accepting, the descriptor in reserve, and the choice of a carrier
//	conn.go     a connection, as its owner and its carrier see it
//	batch.go    the commands that were read together
//	deferred.go replies that wait
//	pushes.go   messages to a connection that are no replies
//	gauges.go   what other goroutines can see of connections: traffic, sizes of buffers
//
// A connection has one of two carriers:
//
//	loop_linux.go, socket_*.go, gather_linux.go, backlog.go  an event loop, which serves many connections
//	stream.go   a goroutine of its own
//
// # Invariants
//
//  1. A connection belongs to one goroutine: its own, its event loop's, or for a while that of a
//     command that has stepped aside. Other goroutines use only Kill, DropIfStuck, Push, Ready
//     and Buffers. A detached connection has up to two goroutines and a lock between them.
//  2. An event loop waits only in epoll_wait, and runs only commands that are fast. Replies that have
//     gathered have left when it waits.
//  3. Replies are in the order of the commands. While replies are deferred nothing is sent to the
//     connection but pushes, and no further command runs.
//  4. Replies that the peer does not read take memory up to a bound, and an idle connection in an
//     event loop holds no buffer.
//  5. The usual batch takes no lock and allocates nothing.
//  6. Every connection ends with one call of Session.Closed.
package wire
