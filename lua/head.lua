-- What every script begins with: it reads the clock and the key, and finds out which algorithm's it is.
--
-- A key is one string: a letter for the algorithm that owns it, the instant from which on it
-- is idle as ten digits of seconds and nine of nanoseconds since the Unix epoch, and what else
-- the algorithm keeps. Instants are carried as (seconds, nanoseconds), because a number here
-- is exact to 2^53 only. Nothing is multiplied that could go beyond.
--
-- KEYS[1]  the key
-- ARGV[1]  the letter of the algorithm in question; empty: any
-- ARGV[2]  the operation: c (check), p (peek), r (refund) or x (reset)
-- ARGV[9]  in tests only, the instant in microseconds; keys then do not expire
--
-- Before this stand two locals, which scripts.go makes of its table: known_letters, a pattern
-- of the letters of all algorithms, and head_bytes, how much of the key the script reads at once.
local key, letter, op, clock = KEYS[1], ARGV[1], ARGV[2], ARGV[9]
local head = redis.call('GETRANGE', key, 0, head_bytes - 1)
local now_s, now_us
if clock then
  now_us = math.fmod(clock, 1000000) -- exact, which a quotient is not
  now_s = (clock - now_us) / 1000000
else
  local time = redis.call('TIME')
  now_s, now_us = tonumber(time[1]), tonumber(time[2])
end
local now_ns = now_us * 1000

local exists = head ~= ''
local rest_s, rest_ns = 0, 0
local live = false -- there is such a key, and it is not idle
if exists then
  local owner
  owner, rest_s, rest_ns = string.match(head, '^(' .. known_letters .. ')(%d%d%d%d%d%d%d%d%d%d)(%d%d%d%d%d%d%d%d%d)')
  if not owner then
    return redis.error_reply('WRONGTYPE foreign')
  end
  rest_s, rest_ns = tonumber(rest_s), tonumber(rest_ns)
  live = rest_s > now_s or rest_s == now_s and rest_ns > now_ns
  if owner ~= letter and letter ~= '' then
    if live then
      return redis.error_reply('WRONGTYPE ' .. owner)
    end
    -- Another algorithm's idle key is no key.
    redis.call('DEL', key)
    exists = false
  end
end
