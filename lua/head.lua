-- What every step begins with: it reads the key, and finds out which algorithm's it is.
--
-- A key is one string: a letter for the algorithm that owns it, a capital one if it is the state of
-- a policy's limit, the reading of the clock at which it was written as 16 digits of microseconds
-- since the Unix epoch, a plus, the span from then on until it is idle in nanoseconds, and what else
-- the algorithm keeps. Instants are carried as microseconds and spans as (microseconds, nanoseconds
-- below 1000), because a number here is exact to 2^53 only, which is the year 2255 in microseconds.
--
-- A reading that is less than the key's says that the clock has stepped back, or that another
-- Redis with a clock behind has taken over. Then no time has gone by since the key was
-- written, and it goes by from here on: what is no peek writes the new reading even if it
-- is denied, or time would stand still until the clock is where it was. The spans
-- stay, so nothing is forgiven. What an algorithm keeps must not tell of other instants than
-- that of the reading.
--
-- It works with
--   key     the key
--   letter  of the algorithm in question; empty: any
--   op      the operation: c (check), p (peek), r (refund), f (force) or x (reset)
--   a       the arguments of the step, from a[3] on
--   head    what the key begins with
--   now, clock  see clock.lua
--
-- A step has two parts. The first looks, and finds whether what is asked fits. The second, behind the
-- line [act], takes and replies. In a call it is a function of the operation: see call.lua.
--
-- scripts.go puts the letters of all algorithms in place of the set [letters].
local exists = head ~= ''
local live = false -- there is such a key, and it is not idle
local left_us, left_ns = 0, 0 -- from now until it is idle
local passed, stepped_back = 0, false -- µs since it was written; the clock read more then
local tail -- where in head what else the algorithm keeps begins
if exists then
  local owner, written
  owner, written, left_us, left_ns, tail = string.match(head, '^([letters])(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)%+(%d+)(%d%d%d)()')
  if not owner then
    return redis.error_reply('WRONGTYPE foreign')
  end
  passed, left_ns = now - written, left_ns - 0
  stepped_back = passed < 0
  if stepped_back then
    passed = 0
  end
  left_us = left_us - passed
  live = left_us > 0 or left_us == 0 and left_ns > 0
  if not live then
    left_us, left_ns = 0, 0
  elseif stepped_back and op ~= 'p' then
    redis.call('SETRANGE', key, 1, string.format('%016d', now))
    if not clock then
      redis.call('PEXPIRE', key, math.ceil((left_us + (left_ns > 0 and 1 or 0)) / 1000))
    end
  end
  if owner ~= letter and letter ~= '' then
    if live then
      return redis.error_reply('WRONGTYPE ' .. owner)
    end
    -- Another algorithm's idle key is no key.
    redis.call('DEL', key)
    exists = false
  end
end
