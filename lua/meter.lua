-- token_bucket and leaky_bucket: the Generic Cell Rate Algorithm, one instant a key. See
-- engine/meter.go, where the formula is explained and the answer computed.
--
-- ARGV[3], ARGV[4]  the price, what the debt grows by: seconds, nanoseconds. Of a refund, what
--                   it shrinks by.
-- ARGV[5], ARGV[6]  the slack, the highest debt with which it is admitted; −1 s for none.
--
-- Replies the debt before the call, the time that the bucket still needed to fill: as
-- nanoseconds where these are exact, else as seconds and nanoseconds.
local debt_s, debt_ns = 0, 0
if live then
  debt_s, debt_ns = rest_s - now_s, rest_ns - now_ns
  if debt_ns < 0 then
    debt_s, debt_ns = debt_s - 1, debt_ns + 1000000000
  end
end

local after_s, after_ns -- the debt to be written
if op == 'r' then
  after_s, after_ns = debt_s - ARGV[3], debt_ns - ARGV[4]
  if after_ns < 0 then
    after_s, after_ns = after_s - 1, after_ns + 1000000000
  end
  if after_s < 0 or after_s == 0 and after_ns == 0 then
    if exists then
      redis.call('DEL', key)
    end
    after_s = nil
  end
elseif op == 'c' then
  local slack_s = tonumber(ARGV[5])
  if debt_s < slack_s or debt_s == slack_s and debt_ns <= tonumber(ARGV[6]) then
    after_s, after_ns = debt_s + ARGV[3], debt_ns + ARGV[4]
    if after_ns >= 1000000000 then
      after_s, after_ns = after_s + 1, after_ns - 1000000000
    end
  end
end

if after_s then
  rest_s, rest_ns = now_s + after_s, now_ns + after_ns
  if rest_ns >= 1000000000 then
    rest_s, rest_ns = rest_s + 1, rest_ns - 1000000000
  end
  local value = string.format('%s%010d%09d', letter, rest_s, rest_ns)
  if clock then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', after_s * 1000 + math.ceil(after_ns / 1000000))
  end
end

if debt_s < 9000000 then
  return debt_s * 1000000000 + debt_ns
end
return {debt_s, debt_ns}
