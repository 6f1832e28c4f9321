// Package server speaks RESP: it turns bytes from connections into commands, commands into
// questions to a limiter, and decisions into replies. It decides nothing itself: who
// decides is behind the interface in limiter.go, and engine.Store is one who does.
//
// # The way of a command
//
//	transport.go  accept a connection, choose who carries it, answer a batch in one write
//	loop_linux.go, socket_*.go, backlog.go  an event loop and the connections it carries
//	stream.go     a connection with a goroutine of its own
//	pending.go    replies that wait: for the disk, for replicas, for a remote
//	framer.go     bytes in, whole commands out; every bound on input stands here
//	conn.go       the connection as redcon.Conn, which is all that handlers see of it
//	dispatch.go   find the row of the command table, check arity and password, run it
//	commands.go   the command table
//	cmd_*.go      the handlers, by group
//	reply.go      replies that differ between RESP2 and RESP3, and the six integers
//	errors.go     every error text that goes over the wire
//
// # Beside it
//
//	config/       the table of settings: flags, environment, file and CONFIG share it
//	server.go     New, Serve; draining
//	replicator.go, remote.go  who keeps changes beyond the process; who decides elsewhere
//	listen.go, tls.go  ports, the Unix socket, certificates
//	client.go     what is known of one connection; clients.go has them all
//	janitor.go    keys at rest, idle and stuck connections
//	pubsub.go     who has subscribed to what
//	pushes.go     what goes out without having been asked for: to subscribers and monitors
//	transaction.go  what is queued between MULTI and EXEC
//	monitor.go, slowlog.go, stats.go, process.go  what an operator looks at
//
// # Invariants
//
//  1. A connection belongs to one goroutine: its own, its event loop's, or for a while that
//     of a command that has stepped aside. Others touch only a client's atomic fields and
//     its handle. A monitor or subscriber has up to two goroutines and a lock
//     between them.
//  2. Arguments point into the connection's buffer and are good until the command ends;
//     whoever keeps one copies it.
//  3. Nothing on the way of RL.CHECK takes a lock, and nothing on it allocates except for
//     a key that is new.
//  4. The clock is read once for all commands that were read together.
//  5. An event loop waits only in epoll_wait, and runs only commands that are fast.
//  6. What a peer has not sent takes no memory, what it does not read takes memory up to a
//     bound, and what is done for one connection is charged to no other.
//  7. Where answers wait for the disk, no byte that tells of a change leaves before the change
//     is there, and where it cannot be, the answer is an error.
//  8. A configuration is replaced as a whole; nobody sees half of a change.
package server
