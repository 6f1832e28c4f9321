// Package peers compares rlserver's engine, in process, with the limiters that Go programs use:
// throttled, ulule/limiter, golang.org/x/time/rate, gubernator's library, and redis_rate with a
// Redis on this machine. It is a module of its own, so that what they need is not needed to build
// rlserver. `make bench-peers` runs it:
//
//	go -C test/bench/peers test -run '^$' -bench . -benchtime 1x
//
// All are asked about the same 100,000 keys of 16 bytes, with a limit that admits each check, each
// by its own clock. Where a limiter has no token bucket its nearest algorithm is taken. Beside time
// and memory stands how many of 64 goroutines' calls were admitted on one key at a time. A peer
// that admits too many is printed; rlserver would fail.
//
// Servers that speak gRPC and no Redis protocol are compared here too: gubernator, and
// envoyproxy/ratelimit with its Redis. A Go program asks them, and rlserver, each by the client that
// belongs to it.
package peers
