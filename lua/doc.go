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
//	clock.lua, question.lua  what scripts begin with; the names that a step works with
//	head.lua                 what a step begins with; how a key is kept
//	meter.lua                the step of token_bucket and leaky_bucket
//	fixed_window.lua, sliding_window_log.lua, sliding_window_counter.lua
//	                         one step an algorithm, as in engine
//	entries.lua              what the last two share
//	reset.lua                RL.RESET
//	call.lua                 several limits at once, all or nothing, by the same steps
//	scripts.go               the table of algorithms: arguments and replies of the scripts
//	calls.go                 arguments and replies of the script of calls
//	names.go                 the keys that states have in Redis
//	options.go               what a Limiter is made from
//	limiter.go               batches on their way to nodes and back
//	node.go                  one Redis: its queue and its pipelines
//	failure.go               kinds of failure, retries, the circuit breaker
//	route.go                 which node a key is on
//	deny_cache.go            denials that need no Redis
//	degrade.go               the answers when no Redis has decided
//	words.go                 the words of a question, for a program that asks a Redis itself
//	policies.go, .lua        the policies of all servers on the Redis, and changes of them
//	policies_read.go         what others have changed
//	stats.go, errors.go      INFO; errors with a code
//
// # Invariants
//
//  1. A question that may have been decided is never sent again: a lost reply counts as lost.
//     What Redis itself says was not decided (NOSCRIPT, MOVED, ASK, READONLY, LOADING …), and
//     what could not be sent, is sent again until the caller's deadline. (failure.go)
//  2. The questions of one batch about one state are decided in order. There is one exception, which
//     Redis Cluster leaves no way around: while a slot moves, a call of several states waits until all
//     are on one node, and a question behind it about one of them may come first. (node.go, failure.go)
//  3. No caller waits longer than Timeout, and while a circuit is open none waits. (failure.go)
//  4. A denial is answered from the cache only if the question could not pass, and counts every
//     answer that was given before, by this server. (deny_cache.go)
//  5. What a script did not write it does not touch. (head.lua)
//  6. A step back of Redis's clock neither holds a key nor forgives it: state tells of no instant
//     but that of its last write. (head.lua; TestRedisClockStepsBack in ../test/backend)
//  7. A call takes from all its limits or from none: it looks at every part before it writes. Nothing is
//     sent of one whose states have several slots. (call.lua, limiter.go; TestCallsOnACluster in
//     ../test/backend)
//  8. All states of a key share a slot, and no two names share a key in Redis. (names.go)
//  9. A change of policies follows the one before it: what was computed against another set is not
//     kept. (policies.lua; TestPoliciesAreShared in ../test/backend)
package lua
