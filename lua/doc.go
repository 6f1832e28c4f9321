// Package lua is the limiter over a backend: a Redis, a Redis Cluster, or the primary that
// Sentinels name. The limits are engine's, and each decision is one atomic script, so that any
// number of servers share one limit.
//
// # The idea
//
// Lua decides and stores; Go explains. A script reads the key and Redis's own clock, compares,
// writes, and returns what it saw: the debt of a meter, the counts and ages of a log. The
// answer is computed from that by the engine's own functions, so each formula lives in one
// place. Both sides are compared field by field in ../test/parity.
//
// # Where things are
//
//	head.lua                 what every script begins with; how a key is kept
//	meter.lua                token_bucket and leaky_bucket
//	sliding_window_log.lua   one algorithm a script, as in engine
//	reset.lua                RL.RESET
//	scripts.go               the table of algorithms: arguments and replies of the scripts
//	options.go               what a Limiter is made from
//	limiter.go               batches on their way to nodes and back
//	node.go                  one Redis: its queue and its pipelines
//	failure.go               kinds of failure, retries, the circuit breaker
//	route.go, slot.go        which node a key is on
//	deny_cache.go            denials that need no Redis
//	degrade.go               the answers when no Redis has decided
//	words.go                 the words of a question, for a program that asks a Redis itself
//	policies.go, .lua        the policies of all servers on the Redis
//	stats.go, errors.go      INFO; errors with a code
//
// # Invariants
//
//  1. A question that may have been decided is never sent again: a lost reply counts as lost.
//     What Redis itself says was not decided (NOSCRIPT, MOVED, ASK, READONLY, LOADING …), and
//     what could not be sent, is sent again until the caller's deadline. (failure.go)
//  2. The questions of one batch about one key are decided in order. (node.go)
//  3. No caller waits longer than Timeout, and while a circuit is open none waits. (failure.go)
//  4. A denial is answered from the cache only if the question could not pass, and counts every
//     answer that was given before, by this server. (deny_cache.go)
//  5. What a script did not write it does not touch. (head.lua)
//  6. A step back of Redis's clock neither holds a key nor forgives it: state tells of no instant
//     but that of its last write. (head.lua; TestRedisClockStepsBack in ../test/backend)
//  7. A change of policies follows the one before it: what was computed against another set is not
//     kept. (policies.lua; TestPoliciesAreShared in ../test/backend)
package lua
