-- A token bucket as an application would run it on Redis, for the benchmark's comparison:
-- the same question and the same six answers as RL.CHECK, written to be fast. One GET and,
-- when admitted, one SET; time from the server; microseconds, which a double holds exactly.
--
-- KEYS[1]  the key
-- ARGV[1]  limit, units
-- ARGV[2]  period, seconds
-- reply    allowed, limit, remaining, retry_after_ms, reset_after_ms, delay_ms
local limit = tonumber(ARGV[1])
local unit = math.ceil(ARGV[2] * 1000000 / limit)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local debt = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
local capacity = limit * unit
local after = debt + unit
if after > capacity then
    return {0, limit, math.floor((capacity - debt) / unit), math.ceil((after - capacity) / 1000), math.ceil(debt / 1000), 0}
end
local rest = math.ceil(after / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', rest)
return {1, limit, math.floor((capacity - after) / unit), 0, rest, 0}
