-- Closes the open generation, so that it can be moved to SQL while a new one is added to.
--
-- KEYS  1 open (hash: id, run_id, events)   2 sealed (zset of generation ids)
-- ARGV  1 now (s)
-- Returns all sealed ids, the oldest first.

local id = redis.call('HGET', KEYS[1], 'id')
if id then
  redis.call('ZADD', KEYS[2], ARGV[1], id)
  redis.call('DEL', KEYS[1])
end
return redis.call('ZRANGE', KEYS[2], 0, -1)
