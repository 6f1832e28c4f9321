-- sliding_window_log: every admitted request is kept as long as it can count. See
-- engine/sliding_window_log.go, where the rules are explained and the answer computed.
--
-- A log has a time of its own: how long it has lived (us), by a clock that never steps back.
-- Behind the key's head (see head.lua; a log is idle when its newest entry is as old as the log's
-- period, which is therefore the one instant less the other) stand, big-endian:
--
--   7 bytes   the log's time at the reading in the head
--   4 bytes   the units ever logged, modulo 2^32
--   4 bytes   first, how many entries have left and are not yet cut off
--   entries, of which the instant is in the log's time
--
-- A log that fits the first read is written whole; a longer one is appended to, and cut when half of
-- it has left.
--
-- a[3]        the limit
-- a[4]        the cost
-- a[5], a[6]  the period: microseconds, nanoseconds
-- a[7]        the highest limit of a log
-- a.to        of the operation m (move, see call.lua), the key of another log, of this period
--
-- Replies the units in the window, if they were admitted and logged; else whether it is
-- allowed, the units in the window after the call, and if there are some: the age (us) of the
-- newest, the log's period (microseconds, nanoseconds), and on a denial the ages (us) of the
-- unit that stands in the way and of the oldest. Units that are forced where they do not fit are
-- not yet in that.
local limit, cost, most = a[3] + 0, a[4] + 0, a[7] + 0
local time = 0 -- now, in the log's time
local whole = #head < 2048
local newest
-- The log's period, and the longer of that and the question's.
local period_us, period_ns = a[5] + 0, a[6] + 0
local longer_us, longer_ns = period_us, period_ns

-- The first entry that is younger than a period.
local function younger(from, us, ns)
  return later(from, time - us - (ns > 0 and 1 or 0))
end

-- Write what stays: the entries kept .. to - 1, and behind them one more, if any. The newest is
-- of the instant last. oldest takes the place of the oldest entry, if it is given.
local function write(to, units, last, more, oldest)
  left_us = last + longer_us - time
  local start = string.format('%s%016d+%016d%03d', letter, now, left_us, longer_ns) .. struct.pack('>I7', time)
  local left = math.ceil((left_us + (longer_ns > 0 and 1 or 0)) / 1000)
  if more and not whole and kept * 2 < to then
    redis.call('APPEND', key, more)
    redis.call('SETRANGE', key, 0, start .. struct.pack('>I4I4', units, kept))
    if not clock then
      redis.call('PEXPIRE', key, left)
    end
    return
  end
  local entries = oldest or ''
  if oldest then
    kept = kept + 1
  end
  if kept < to then
    local low, high = prefix + kept * width, prefix + to * width
    if whole then
      entries = entries .. string.sub(head, low + 1, high)
    else
      entries = entries .. redis.call('GETRANGE', key, low, high - 1)
    end
  end
  local value = start .. struct.pack('>I4I4', units, 0) .. entries .. (more or '')
  if clock then
    redis.call('SET', a.to or key, value)
  else
    redis.call('SET', a.to or key, value, 'PX', left)
  end
end

if live then
  size = ((whole and #head or redis.call('STRLEN', key)) - prefix) / width
  if size >= 1 then
    time, total, kept = struct.unpack('>I7I4I4', head, 38)
  end
  if size ~= math.floor(size) or kept >= size then
    return redis.error_reply('WRONGTYPE foreign')
  end
  time, newest = time + passed, entry(size - 1)
  period_us, period_ns = time + left_us - newest, left_ns
  kept, held = younger(kept, period_us, period_ns)
  first, used = kept, held
  if longer_us < period_us or longer_us == period_us and longer_ns < period_ns then
    first, used = younger(kept, longer_us, longer_ns)
    longer_us, longer_ns = period_us, period_ns
  end
end

local fits = used + cost <= limit
-- [act]
if fits and (op == 'c' or op == 'f') then
  if held + cost > most + 1 then
    kept = behind(kept, most - cost)
  end
  write(size, (total + cost) % wrap, time, struct.pack('>I7I4', time, total))
  return used + cost, true
end

local function answer(allowed, blocking)
  if used == 0 then
    return {allowed, 0}
  end
  local seen = {allowed, used, time - newest, period_us, period_ns}
  if blocking then
    seen[6], seen[7] = time - entry(blocking), time - entry(first)
  end
  return seen
end
local function denial()
  return answer(0, cost <= limit and behind(first, limit - cost))
end

if op == 'f' then
  local seen, units = denial(), math.min(cost, most + 1)
  if units > most then
    kept = size
  elseif held + units > most + 1 then
    kept = behind(kept, most - units)
  end
  write(size, (total + units) % wrap, time, struct.pack('>I7I4', time, total))
  return seen, false
end
if op == 'r' then
  local back, full = math.min(cost, used), held > most
  if not live or back > 0 and back == held and not full then
    if exists then
      redis.call('DEL', key)
    end
    return {1, 0}
  end
  if back > 0 then
    local oldest
    local left = (total - back) % wrap
    used = used - back
    if full then
      kept = behind(kept, most)
      local at = entry(kept)
      oldest = struct.pack('>I7I4', at, (left - most - 1) % wrap)
      if first <= kept then
        used = most + 1
      end
    end
    local last = behind(kept, back)
    newest, period_us, period_ns = entry(last), longer_us, longer_ns
    write(last + 1, left, newest, nil, oldest)
  end
  return answer(1)
end
if op == 'm' then
  longer_us, longer_ns = a[5] + 0, a[6] + 0
  local left = live and newest + longer_us - time or -1
  if left > 0 or left == 0 and longer_ns > 0 then
    write(size, total, newest)
  end
  return
end
if not fits then
  return denial(), fits
end
return answer(1), fits
