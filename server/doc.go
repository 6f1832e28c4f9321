// Package server answers commands: it finds a command in the command table, has a limiter decide,
// and writes the reply. It decides nothing itself. The limiter, the backend that can decide in its
// place and the replicator are interfaces, in limiter.go; engine.Store is a limiter.
//
// Arrows between packages run one way: server → server/wire → server/resp. What wire must know of
// its owner is in the two interfaces wire.Owner and wire.Session, which session.go implements. Only
// server knows what a command means, and it knows no socket.
//
// # The way of a command
//
//	resp.Framer  bytes in, commands out; every bound on input
//	wire.Conn    the connection, its batch of commands, its replies
//	session.go   what the server knows of one connection
//	dispatch.go  find the row of the command table, check arity and password, run the handler
//	commands.go  the command table; command.go is its row, synopsis.go the notation of arguments
//	cmd_*.go     the handlers, by group
//	question.go  the words of a question; call.go asks limits of policies, one or several
//	deferred.go  replies that wait: for the disk, for replicas, for a backend
//	resp.Writer  replies in RESP2 and RESP3
//	errors.go    every error text that goes over the wire
//
// # Beside it
//
//	config/         the table of settings: flags, environment, file and CONFIG share it
//	server.go       New, Listen, Serve; the configuration in force
//	policies.go     the policies in force, and who keeps their changes
//	gate.go         what stops commands: refused writes, CLIENT PAUSE, the replica of a cluster
//	clients.go      the registry of sessions, their identities, and CLIENT
//	attend.go       what follows each command of some sessions: CLIENT REPLY, and tracking.go
//	pubsub.go       subscriptions, and the commands about them
//	transaction.go  the commands that are queued between MULTI and EXEC
//	janitor.go      idle keys, idle and stuck connections
//	stats.go        the counters behind INFO, and which commands are timed
//	monitor.go, slowlog.go  commands as an operator sees them
//	words.go        names, patterns and numbers in a command
//	process/        memory and processor time of the process, and its garbage collector
//
// # redcon
//
// tidwall/redcon encodes replies: resp.Writer appends with its Append functions, which are fast and
// right. The rest is ours, for these reasons, measured with v1.6.4 on a pipeline of RL.CHECK:
//
//   - Its Reader takes 520 ns and two allocations a command; resp.Framer takes 130 ns and none. The
//     Reader has no bound on arguments, bulks, inline lines or the buffer, and recurses.
//   - ReadNextCommand takes 147 ns, has no bounds either, and panics on a bulk length of 2^63-1. It
//     parses a command anew with each piece that arrives: a command of 1,000 arguments in pieces of
//     16 bytes takes 51 ms, and 0.3 ms with resp.Framer.
//   - Its Server has a goroutine for each connection, no event loop, and no way to defer replies.
//
// # Invariants
//
//  1. A session belongs to its connection's goroutine (invariant 1 of package wire). Other
//     goroutines read only its identity, and send it pushes.
//  2. Arguments point into the connection's buffer and are good until the command ends. A handler
//     that keeps one copies it.
//  3. A check takes no lock, and allocates only for a key that is new.
//  4. The clock is read once for all commands that were read together. It never runs backwards,
//     and is not behind what the limits were decided by before. (Server.Advance; clock_test.go)
//  5. Work that is done for one connection is charged to no other.
//  6. Where answers wait for the disk, no byte that tells of a change leaves before the change is on
//     disk. When it cannot be, the answer is an error.
//  7. What the command table does not say of a command, no code asks: arity, access, what may run in
//     an event loop and in a transaction follow from the row.
//  8. A configuration is replaced as a whole; no reader sees half of a change.
package server
