// Package engine measures rlserver's engine in process, next to what a Go program would use
// instead. It holds only benchmarks, and uses nothing of the engine but what any program can.
// `make bench-engine` runs all of them; one part alone is run so:
//
//	go test ./test/bench/engine -run '^$' -bench Compare -benchtime 1x
//	go test ./test/bench/engine -run '^$' -bench Memory -benchtime 1x
//	go test ./test/bench/engine -run '^$' -bench Local -benchtime 1x
//	go test ./test/bench/engine -run '^$' -bench TenMillion -benchtime 1x -timeout 20m
//
// # What is compared
//
// BenchmarkCompare runs the contestants in short rounds that alternate (see package bench), on one
// core and on two, and prints medians and ratios.
//
// The contestants (contestants_test.go) are the store, a mutex around a map of
// golang.org/x/time/rate limiters, and sync.Map and xsync.Map of the same state as the
// store's, with the same arithmetic and the same answers. A test that always runs checks
// that they do answer the same.
//
// Keys come in two ways (keys_test.go): received, which is written to memory just before it
// is asked for, as by a server that has read it from a socket; and held, a string that has
// lain somewhere in memory since long ago. The first is what the server does.
//
// # What is measured alone
//
// BenchmarkLocal has 5,000 goroutines call at the same time, beside the published figures of a
// Python library (`make bench-local`). No key may have more than its limit.
//
// BenchmarkBatch asks stores of 100,000 to 10 million keys one by one and by AskAll.
//
// Memory is what the kernel says a process holds, before and after it filled a store; each
// figure has a process of its own. Ten million keys are kept under a steady load, on a
// schedule, while every check is timed; the same loop is timed doing nothing, because the
// machine has pauses of its own.
package engine
