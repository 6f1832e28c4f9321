// Package test looks at rlserver from outside: it starts the real binary as a process and
// talks to it with real clients (redis-cli, redis-benchmark, go-redis, redis-py,
// node-redis), beside a real Redis where the two must agree. It holds only tests, and the
// benchmarks that compare rlserver with its peers.
//
// What a test needs besides Go is installed by test/setup, which `make test` runs first;
// a test that finds it missing fails and says so, it does not skip.
package test
