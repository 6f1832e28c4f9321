// Command rlserver is the command line: it reads the configuration, puts a limiter behind a
// server, and asks a running server. It decides nothing and speaks no RESP itself; it is the
// only room that knows both who decides (../../engine) and who serves (../../server).
//
//	main.go         run, the root command, exit codes
//	serve.go        rlserver serve: the wiring, the log of the start, signals
//	check.go        rlserver check: one question to a running server
//	ping.go         rlserver ping: the health check
//	aof.go          rlserver aof: the files that a server keeps
//	version.go      rlserver version
//	client.go       what check and ping share: where the server is, and errors about it
//	config.go       flag, then environment, then file, then default
//	environment.go  RLSERVER_… variables, and those that Kubernetes adds
//	file.go         the YAML file; file_syntax.go names the line when it is not YAML, and
//	                file_rewrite.go is CONFIG REWRITE
//	replicate.go    who keeps changes beyond the process, and the order of a shutdown
//	suggest.go      “did you mean”
//	log.go          the log
//
// # Invariants
//
//  1. No setting is named here: names, syntax and defaults come from server.Settings. The
//     exceptions are those that a client needs to find the server.
//  2. Whoever gives a wrong setting learns where it stands (flag, variable, or file and
//     line) and what is accepted. A wrong setting stops the start, even when another source
//     would override it.
//  3. A password is never written to the log.
//  4. An error is printed once, as “rlserver: …”; stdout has results only.
package main
