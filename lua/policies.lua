-- policies.lua keeps a change of policies, if it was computed against those that are kept now.
--
-- KEYS[1]   the policies: a hash, name → text
-- KEYS[2]   the last changes, the newest first: a list; of each change its id, and the names behind it
-- ARGV[1]   id of the change that this one follows; empty: there is none
-- ARGV[2]   id of this change
-- ARGV[3]   items of the list to keep
-- ARGV[4…]  name, text, name, text …; a name without text goes
--
-- Reply: 1, or 0 if there is another change that this one does not know.
--
-- It mirrors nothing in engine: policies.go computes what the texts are.

if (redis.call('lindex', KEYS[2], 0) or '') ~= ARGV[1] then
  return 0
end
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('hdel', KEYS[1], ARGV[i])
  else
    redis.call('hset', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  redis.call('lpush', KEYS[2], ARGV[i])
end
redis.call('lpush', KEYS[2], ARGV[2])
redis.call('ltrim', KEYS[2], 0, ARGV[3] - 1)
return 1
