-- fixed_window: a window's end and the units that were admitted in it. See
-- engine/fixed_window.go, where the rules are explained and the answer computed.
--
-- Behind the key's head, which says when the window ends, stands the count in decimal digits.
--
-- ARGV[3]  the limit
-- ARGV[4]  the cost
-- ARGV[5]  the period in milliseconds
--
-- Replies the window's end (ms) and its count before the call, or twice 0 for a key that is
-- idle, and the instant of the call (µs).
local limit, cost, period = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now_ms = now_s * 1000 + math.floor(now_us / 1000)
local ends, count = 0, 0
if live then
  ends, count = rest_s * 1000 + rest_ns / 1000000, tonumber(string.match(string.sub(head, 21), '^%d+$'))
  if not count then
    return redis.error_reply('WRONGTYPE foreign')
  end
end

local function write(last, units)
  if units >= 262144 then -- WindowWord
    last = math.ceil(last / 1000) * 1000
  end
  local ms = math.fmod(last, 1000)
  local value = string.format('%s%010d%09d%d', letter, (last - ms) / 1000, ms * 1000000, units)
  if clock then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', last - now_ms)
  end
end

if op == 'r' then
  if count > cost then
    write(ends, count - cost)
  elseif exists then
    redis.call('DEL', key)
  end
elseif op == 'c' and count + cost <= limit then
  write(math.max(ends, now_ms - math.fmod(now_ms, period) + period), count + cost)
end
return {ends, count, now_s * 1000000 + now_us}
