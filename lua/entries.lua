-- What the log and the counter share: entries, oldest first, behind the prefix. Each has an
-- instant (7 bytes, big-endian) and the units that had been admitted before it (4 bytes, modulo
-- 2^32). So the units between two entries are a difference, and entries are found by bisection.
local width, wrap = 11, 4294967296
-- The entries kept .. size - 1 have not left and hold this many units, up to a total; those from
-- first on count for the question, and hold used.
local size, kept, held, total = 0, 0, 0, 0
local first, used = 0, 0

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
-- The first entry from .. size - 1 that is later than an instant, and how many units there are
-- from there on; else size and 0.
local function later(from, instant)
  local at, before = entry(from)
  if at <= instant then
    from = lowest(from + 1, size, function(i) return entry(i) > instant end)
    if from == size then
      return size, 0
    end
    at, before = entry(from)
  end
  return from, (total - before) % wrap
end
-- The first entry from .. size - 1 behind which there are at most so many units.
local function behind(from, units)
  return lowest(from, size - 1, function(i)
    local _, before = entry(i + 1)
    return (total - before) % wrap <= units
  end)
end
