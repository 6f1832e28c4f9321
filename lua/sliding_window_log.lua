-- sliding_window_log: every admitted request is kept as long as it counts. See
-- engine/sliding_window_log.go, where the rules are explained and the answer computed.
--
-- A log has a time of its own: how long it has lived (µs), by a clock that never stepped back.
-- Behind the key's head (see head.lua; a log is idle when its newest entry is as old as the
-- period of the call that wrote it) stand, big-endian:
--
--   7 bytes   the log's time at the reading in the head
--   4 bytes   the units ever logged, modulo 2^32
--   4 bytes   first, how many entries have left and are not yet cut off
--   entries of 11 bytes, oldest first: the instant in the log's time (7 bytes) and the units that
--   had been logged before it (4 bytes, modulo 2^32)
--
-- So the units between two entries are a difference, and entries are found by bisection. A log
-- that fits the first read is written whole; a longer one is appended to, and cut when half of
-- it has left.
--
-- ARGV[3]           the limit
-- ARGV[4]           the cost
-- ARGV[5], ARGV[6]  the period: microseconds, nanoseconds
--
-- Replies the units in the window, if they were admitted and logged; else whether it is
-- allowed, the units in the window after the call, and if there are some: the age (µs) of the
-- newest, the time from now until the log is idle (microseconds, nanoseconds), and on a denial
-- the ages (µs) of the unit that stands in the way and of the oldest.
local limit, cost, window = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] + 0
if ARGV[6] ~= '0' then
  window = window + 1
end
local prefix, width, wrap = 52, 11, 4294967296
local time = 0 -- of the log, now

local size, first, total, used = 0, 0, 0, 0
local whole = #head < 2048
local newest
local function entry(i)
  local at = prefix + i * width
  if at + width <= #head then
    return struct.unpack('>I7I4', head, at + 1)
  end
  return struct.unpack('>I7I4', redis.call('GETRANGE', key, at, at + width - 1))
end
-- The lowest of the numbers from .. to - 1 for which a condition holds from there on; else to.
local function lowest(from, to, holds)
  while from < to do
    local middle = math.floor((from + to) / 2)
    if holds(middle) then
      to = middle
    else
      from = middle + 1
    end
  end
  return from
end

-- Write what is kept: the entries from .. to - 1, and behind them one more, if any.
local function write(from, to, units, last, more)
  left_us, left_ns = last + ARGV[5] - time, tonumber(ARGV[6])
  local start = string.format('w%016d+%016d%03d', now, left_us, left_ns) .. struct.pack('>I7', time)
  local left = math.floor(left_us / 1000) + 1
  if more and not whole and from * 2 < to then
    redis.call('APPEND', key, more)
    redis.call('SETRANGE', key, 0, start .. struct.pack('>I4I4', units, from))
    if not clock then
      redis.call('PEXPIRE', key, left)
    end
    return
  end
  local kept = ''
  if from < to then
    local low, high = prefix + from * width, prefix + to * width
    if whole then
      kept = string.sub(head, low + 1, high)
    else
      kept = redis.call('GETRANGE', key, low, high - 1)
    end
  end
  local value = start .. struct.pack('>I4I4', units, 0) .. kept .. (more or '')
  if clock then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', left)
  end
end

if live then
  size = ((whole and #head or redis.call('STRLEN', key)) - prefix) / width
  if size < 1 or size ~= math.floor(size) then
    return redis.error_reply('WRONGTYPE foreign')
  end
  time, total, first = struct.unpack('>I7I4I4', head, 38)
  time = time + passed
  newest = entry(size - 1)
  -- What is older than the period of the call that wrote last was dropped then.
  first = lowest(first, size, function(i) return entry(i) > time - window end)
  if first < size then
    local _, before = entry(first)
    used = (total - before) % wrap
  end
end

-- The entry that holds a unit of the window, by the unit's number from 1 for the oldest on.
local function holding(unit)
  local _, start = entry(first)
  return lowest(first, size - 1, function(i)
    local _, before = entry(i + 1)
    return (before - start) % wrap >= unit
  end)
end
local function answer(allowed, blocking)
  if used == 0 then
    return {allowed, 0}
  end
  local seen = {allowed, used, time - newest, left_us, left_ns}
  if blocking then
    seen[6], seen[7] = time - entry(blocking), time - entry(first)
  end
  return seen
end

if op == 'r' then
  local back = math.min(cost, used)
  if not live or back > 0 and back == used then
    if exists then
      redis.call('DEL', key)
    end
    return {1, 0}
  end
  if back > 0 then
    local last = holding(used - back)
    local _, start = entry(first)
    newest, used = entry(last), used - back
    write(first, last + 1, (start + used) % wrap, newest)
  end
  return answer(1)
end
if cost > limit then
  return answer(0)
end
if used + cost > limit then
  return answer(0, holding(used + cost - limit))
end
if op == 'p' then
  return answer(1)
end
write(first, size, (total + cost) % wrap, time, struct.pack('>I7I4', time, total))
return used + cost
