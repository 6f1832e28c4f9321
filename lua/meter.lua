-- token_bucket and leaky_bucket: the Generic Cell Rate Algorithm, one instant a key. See
-- engine/meter.go, where the formula is explained and the answer computed.
--
-- The span until the key is idle is the debt, and nothing else is kept.
--
-- a[3], a[4]  the price, what the debt grows by: microseconds, nanoseconds. Of a refund,
--             what it shrinks by.
-- a[5], a[6]  the slack, the highest debt with which it is admitted; −1 µs for none.
--
-- Replies the debt before the call, the time that the bucket still needed to fill: as
-- nanoseconds where these are exact, else as microseconds and nanoseconds.
local slack_us = a[5] + 0
local fits = left_us < slack_us or left_us == slack_us and left_ns <= a[6] + 0
-- [act]
local after_us, after_ns -- the debt to be written
if op == 'r' then
  after_us, after_ns = left_us - a[3], left_ns - a[4]
  if after_ns < 0 then
    after_us, after_ns = after_us - 1, after_ns + 1000
  end
  if after_us < 0 or after_us == 0 and after_ns == 0 then
    if exists then
      redis.call('DEL', key)
    end
    after_us = nil
  end
elseif op == 'c' and fits or op == 'f' then
  after_us, after_ns = left_us + a[3], left_ns + a[4]
  if after_ns >= 1000 then
    after_us, after_ns = after_us + 1, after_ns - 1000
  end
  if after_us >= 3155760000000000 then -- FillMax
    after_us, after_ns = 3155760000000000, 0
  end
end

if after_us then
  local value = string.format('%s%016d+%d%03d', letter, now, after_us, after_ns)
  if clock then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', math.ceil((after_us + (after_ns > 0 and 1 or 0)) / 1000))
  end
end

if left_us < 9000000000000 then
  return left_us * 1000 + left_ns, fits
end
return {left_us, left_ns}, fits
