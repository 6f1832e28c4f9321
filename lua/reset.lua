-- RL.RESET: forgets the key. Replies whether there was one that was not idle.
if exists then
  redis.call('DEL', key)
end
return live and 1 or 0
