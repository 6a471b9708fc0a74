-- Puts jobs whose wait before a further attempt is over back into their queue.
--
-- KEYS  1 retries (zset: job id by the time of its next attempt, s)   2 queue (list of job ids)
-- ARGV  1 prefix of the keys of jobs (hashes)   2 at most so many
-- Returns the number of jobs put into the queue; those whose hash is gone are forgotten.

local now = redis.call('TIME')[1]
local count = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local job = ARGV[1] .. id
  if redis.pcall('HEXISTS', job, 'data') == 1 then
    redis.call('HSET', job, 'status', 'queued')
    redis.call('HDEL', job, 'pathhits_taken')
    redis.call('RPUSH', KEYS[2], id)
    count = count + 1
  end
  redis.call('ZREM', KEYS[1], id)
end
return count
