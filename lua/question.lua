-- A script about one key: the names that a step works with. In a call they are parameters.
--
-- KEYS[1]  the key
-- ARGV[1]  the letter of the algorithm in question; empty: any
-- ARGV[2]  the operation: c (check), p (peek), r (refund), f (force) or x (reset)
-- ARGV[3]  and following: the arguments of the step
-- ARGV[9]  in tests only, the instant in microseconds
--
-- scripts.go puts head_bytes before this, how much of the key the script reads at once.
local key, letter, op, a = KEYS[1], ARGV[1], ARGV[2], ARGV
local head = redis.call('GETRANGE', key, 0, head_bytes - 1)
