// Command rlserver is the command line: it reads the settings, connects the rooms, and asks a
// running server. It decides nothing and speaks no RESP itself. It is the only room that knows the
// server, the engine, the backend, replication and the benchmark.
//
//	main.go         run, the root command, exit codes
//	serve.go        rlserver serve: start, the log of the start, the order of the end
//	signals.go      what ends the server, and SIGHUP
//	reload.go       the certificates and the file, read again
//	check.go        rlserver check: one question to a running server
//	ping.go         rlserver ping: the health check
//	bench.go        rlserver bench: how fast servers decide, and whether they are right
//	policy.go       rlserver policy: the policies of a configuration file
//	aof.go          rlserver aof: the files that a server keeps
//	version.go      rlserver version
//	client.go       for commands that ask a server: its address, a connection to it, and errors
//	pem.go          certificates for speaking TLS with another server
//	config.go       flag, then environment, then file, then default
//	environment.go  RLSERVER_… variables, and those that Kubernetes adds
//	file.go         the YAML file
//	file_policy.go  the policies in it
//	file_rewrite.go CONFIG REWRITE
//	backend.go      the settings of a Redis backend, and its start
//	replication.go  the settings of the disk and replicas, and their start
//	help.go         the help of the settings, and their completion
//	banner.go       what a terminal shows when the server has started
//	log.go          the log
//
// # Invariants
//
//  1. No setting is named in the code that reads flags, variables and the file: names, syntax
//     and defaults come from the table of settings (../../server/config). Exceptions are the
//     settings that a client needs to find the server, and errors about settings that do not
//     fit together.
//  2. An error about a setting tells where it stands (flag, variable, or file and line) and which
//     values are accepted. A wrong setting stops the start, even when another source would
//     override it.
//  3. A password is never written to the log.
//  4. An error is printed once, as “rlserver: …”; stdout has results only.
package main
