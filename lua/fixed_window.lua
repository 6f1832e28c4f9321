-- fixed_window: a window's end and the units that were admitted in it. See
-- engine/fixed_window.go, where the rules are explained and the answer computed.
--
-- The key is idle when the window ends. Behind its head stand a blank and the count in decimal
-- digits. After a step back of the clock the window goes on until one ends by the new clock, so
-- that no window is shorter than a period. Windows end at whole milliseconds; one that another
-- algorithm's question has moved with the clock may not, which counts as the next whole one.
--
-- a[3]  the limit
-- a[4]  the cost
-- a[5]  the period in microseconds, of whole milliseconds; or week, month or year
--
-- Replies how long the window lasts (µs) and its count before the call, or twice 0 for a key
-- that is idle, and the instant of the call (µs).
local count, cost, period = 0, a[4] + 0, a[5]
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

-- How long (µs) the question's window lasts from an instant on; that is now, or after a step back
-- the last instant of the key's window.
local instant, rest = now, 0
if stepped_back and live then
  instant = now + left_us - 1
end
if period ~= 'month' and period ~= 'week' and period ~= 'year' then
  rest = period - math.fmod(instant, period)
else
  local day = 86400000000
  local part = math.fmod(instant, day)
  local days = (instant - part) / day
  if period == 'week' then -- the epoch was a Thursday
    days = 7 - math.fmod(days + 3, 7)
  else -- see Calendar.End: years begin in March, so that a leap day is the last of its year
    days = days + 719468
    local cycles = math.floor(days / 146097)
    local left = days - cycles * 146097
    local year = math.floor((left - math.floor(left / 1460) + math.floor(left / 36524) - math.floor(left / 146096)) / 365)
    left = left - 365 * year - math.floor(year / 4) + math.floor(year / 100)
    year = cycles * 400 + year
    local month = math.floor((5 * left + 2) / 153) -- 0 is March, 10 is January
    if period == 'month' then
      month = month + 1
    else
      month = month < 10 and 10 or 22
    end
    if month > 11 then
      year, month = year + 1, month - 12
    end
    days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) + math.floor((153 * month + 2) / 5) - days
  end
  rest = days * day - part
end
if stepped_back and live then
  left_us = left_us + rest - 1
  rest = left_us
  if op ~= 'p' then
    write(now + left_us, count)
  end
end
local fits = count + cost <= a[3] + 0
-- [act]
if op == 'r' then
  if count > cost then
    write(now + left_us, count - cost)
  elseif exists then
    redis.call('DEL', key)
  end
elseif op == 'c' and fits or op == 'f' then
  write(now + math.max(left_us, rest), math.min(count + cost, 1000000000))
end
return {left_us, count, now}, fits
