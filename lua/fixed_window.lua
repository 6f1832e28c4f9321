-- fixed_window: a window's end and the units that were admitted in it. See
-- engine/fixed_window.go, where the rules are explained and the answer computed.
--
-- The key is idle when the window ends. Behind its head stand a blank and the count in decimal
-- digits. After a step back of the clock the window goes on until one ends by the new clock, so
-- that no window is shorter than a period. Windows end at whole milliseconds; one that another
-- algorithm's question has moved with the clock may not, which counts as the next whole one.
--
-- ARGV[3]  the limit
-- ARGV[4]  the cost
-- ARGV[5]  the period in microseconds, of whole milliseconds
--
-- Replies how long the window lasts (µs) and its count before the call, or twice 0 for a key
-- that is idle, and the instant of the call (µs).
local cost, count = ARGV[4] + 0, 0
if live then
  count = tonumber(string.match(head, '^ (%d+)$', tail))
  if not count then
    return redis.error_reply('WRONGTYPE foreign')
  end
end

local function write(last, units)
  local unit = units < 262144 and 1000 or 1000000 -- WindowWord
  local part = math.fmod(last, unit)
  if part > 0 then
    last = last - part + unit
  end
  local value = string.format('%s%016d+%d000 %d', letter, now, last - now, units)
  if clock then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', math.ceil((last - now) / 1000))
  end
end

if stepped_back and live then
  left_us = left_us + math.fmod(ARGV[5] - math.fmod(now + left_us, ARGV[5]), ARGV[5])
  if op ~= 'p' then
    write(now + left_us, count)
  end
end
if op == 'r' then
  if count > cost then
    write(now + left_us, count - cost)
  elseif exists then
    redis.call('DEL', key)
  end
elseif op == 'c' and count + cost <= ARGV[3] + 0 then
  local period = ARGV[5] + 0
  write(now + math.max(left_us, period - math.fmod(now, period)), count + cost)
end
return {left_us, count, now}
