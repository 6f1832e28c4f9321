-- sliding_window_counter: the units that were admitted in each slice of its period. See
-- engine/sliding_window_counter.go, where the rules are explained and the answer computed.
--
-- A counter has a time of its own (µs), which its slices are cut by: the clock's when the counter is
-- empty, and from then on one that never steps back. Behind the key's head stand, big-endian:
--
--   7 bytes   the counter's time at the reading in the head
--   4 bytes   the units ever counted, modulo 2^32
--   6 bytes   the counter's period (µs)
--   at most 65 entries, of which the instant is the number of a slice
--
-- a[3]  the limit
-- a[4]  the cost
-- a[5]  the period (µs)
-- a.to  of the operation m (move, see call.lua), the key of another counter, of this period
--
-- Replies whether it is allowed, the units that count after the call, how long (µs) the newest of
-- them does, and on a denial how long the one does that stands in the way, and the oldest.
local limit, cost, period = a[3] + 0, a[4] + 0, a[5] + 0
local time, most = now, 1000000000 -- UnitsMax
local length = period -- the counter's period

-- The slice of an instant, for a period.
local function slice_of(at, of)
  local turns = math.floor(at / of)
  return turns * 64 + math.floor((at - turns * of) * 64 / of)
end
-- When a slice begins.
local function start_of(slice, of)
  local turns = math.floor(slice / 64)
  return turns * of + math.ceil((slice - turns * 64) * of / 64)
end

-- How many slices behind its own a unit counts for the question.
local span = 64
local newest
if live then
  size = (#head - prefix) / width
  if size < 1 or size ~= math.floor(size) then
    return redis.error_reply('WRONGTYPE foreign')
  end
  time, total, length = struct.unpack('>I7I4I6', head, 38)
  time, newest = time + passed, entry(size - 1)
  local slice = math.max(slice_of(time, length), newest)
  kept, held = later(0, slice - 65)
  first, used = kept, held
  if period < length then
    span = math.ceil(64 * period / length)
    first, used = later(kept, slice - span - 1)
  end
end
local fits = used + cost <= limit

-- How long a slice of the counter counts for the question.
local function left(slice)
  return start_of(slice + span + 1, length) - time
end
-- Write the entries kept .. to - 1 with the slices of a period, and then so many units at once.
local function write(to, units, of)
  local list = ''
  newest = nil
  if of == length then
    list = string.sub(head, prefix + kept * width + 1, prefix + to * width)
    if kept < to then
      newest = entry(to - 1)
    end
  else
    -- The slice that is not over moves to a period that may be shorter than what is left of it.
    local last = a.to and time or 6067612036854775 -- NowMicrosMax
    for i = kept, to - 1 do
      local slice, before = entry(i)
      slice = slice_of(math.min(start_of(slice + 1, length) - 1, last), of)
      if slice ~= newest then
        list, newest = list .. struct.pack('>I7I4', slice, before), slice
      end
    end
    length = of
  end
  if units > 0 then
    local slice = slice_of(time, of)
    if not newest or slice > newest then
      list, newest = list .. struct.pack('>I7I4', slice, total), slice
    end
    total = (total + units) % wrap
  end
  -- Of more units than can count, the newest stay; so do those that have not left.
  while #list > width do
    local _, before = struct.unpack('>I7I4', list, width + 1)
    if (total - before) % wrap < most and struct.unpack('>I7', list) >= newest - 64 then
      break
    end
    list = string.sub(list, width + 1)
  end
  local oldest, before = struct.unpack('>I7I4', list)
  if (total - before) % wrap > most then
    list = struct.pack('>I7I4', oldest, (total - most) % wrap) .. string.sub(list, width + 1)
  end
  local idle = start_of(newest + 65, of) - time
  if idle <= 0 then -- of what moves
    return
  end
  local value = string.format('%s%016d+%016d000', letter, now, idle) .. struct.pack('>I7I4I6', time, total, of) .. list
  if clock then
    redis.call('SET', a.to or key, value)
  else
    redis.call('SET', a.to or key, value, 'PX', math.ceil(idle / 1000))
  end
end
-- [act]
if op == 'm' then
  return write(size, 0, period)
end
local blocking, oldest
if op ~= 'r' and not fits and cost <= limit then
  blocking, oldest = left((entry(behind(first, limit - cost)))), left((entry(first)))
end
if op == 'f' or op == 'c' and fits then
  write(size, cost, math.max(period, length))
  used = math.min(used + cost, most)
elseif op == 'r' then
  fits = true
  local back = math.min(cost, used)
  if not live or back > 0 and back == held then
    if exists then
      redis.call('DEL', key)
    end
    return {1, 0, 0}
  end
  if back > 0 then
    local to = behind(kept, back) + 1
    total, used = (total - back) % wrap, used - back
    write(to, 0, math.max(period, length))
  end
end
return {fits and 1 or 0, used, used > 0 and left(newest) or 0, blocking, oldest}, fits
