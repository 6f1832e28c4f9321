-- What every script begins with: the instant of its decision, in microseconds since the Unix epoch.
-- scripts.go puts before it the argument that has a test's clock in place of Redis's; keys do not
-- expire then.
local now
if clock then
  now = tonumber(clock)
else
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
