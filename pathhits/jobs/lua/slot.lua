-- Puts one scheduled job into its queue when its time has come, and writes down its next time, in one step.
--
-- KEYS  1 schedule (zset: job id by its next time, s)          2 queue (list of job ids)
--       3 intermediate (list: ids a worker took and has not begun)   4 started (zset of "job id:execution id")
--       5 job (hash)   6 failed   7 finished   8 retries (zsets of job ids)   9 queues (set of queue keys)
-- ARGV  1 job id   2 period (s)   3 patience with a job that was taken and not begun (s)   4 tries after lost runs
--       5... fields and values of the job
-- Returns what was found: "queued" (it was put into the queue), "again" (the same, as its last run was lost),
--       "early" (its time has not come), "waiting" or "running" (one at a time: this time is skipped).
--
-- Times are the server's, so that clocks on several machines agree; next times lie on the grid of the period.
-- A run is lost when the key of its execution, which its worker keeps alive, is gone. Of fields of the job,
-- pathhits_due is the time the run is for, pathhits_taken when it was first seen taken, pathhits_lost how many runs in a row were lost.

-- include grid

local id, period = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local upcoming = next_point(now, period)

-- A missing entry is put back, and so is one that a changed period, or a server's clock set back, left too far away.
local due = tonumber(redis.call('ZSCORE', KEYS[1], id) or nil)
if not due or due > now + period + 0.001 then
  redis.call('ZADD', KEYS[1], upcoming, id)
  due = tonumber(upcoming)
end

local function skip(why)
  if due <= now then redis.call('ZADD', KEYS[1], upcoming, id) end
  return why
end

-- In the order in which a job moves on, so that it is never missed.
if redis.call('LPOS', KEYS[2], id) then return skip('waiting') end
local taken = redis.call('LPOS', KEYS[3], id)
local dead = {}
for _, execution in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
  if string.sub(execution, 1, #id + 1) == id .. ':' then
    if redis.call('EXISTS', 'rq:execution:' .. execution) == 1 then
      redis.pcall('HDEL', KEYS[5], 'pathhits_taken')
      return skip('running')
    end
    table.insert(dead, execution)
  end
end
local lost = #dead > 0
if taken then
  local since = redis.pcall('HGET', KEYS[5], 'pathhits_taken')
  if type(since) ~= 'string' then
    if redis.pcall('HSET', KEYS[5], 'pathhits_taken', to_ms(now)) == 1 then return skip('running') end
  elseif now - (tonumber(since) or 0) < tonumber(ARGV[3]) then
    return skip('running')
  end
  lost = true
end

local losses = redis.pcall('HGET', KEYS[5], 'pathhits_lost')
losses = type(losses) == 'string' and tonumber(losses) or 0
local again = lost and due > now and losses < tonumber(ARGV[4])
if due > now and not again then return 'early' end

redis.call('DEL', KEYS[5])
redis.call('HSET', KEYS[5], unpack(ARGV, 5))
redis.call('HSET', KEYS[5], 'pathhits_due', to_ms(due))
if again then redis.call('HSET', KEYS[5], 'pathhits_lost', losses + 1) end
redis.call('RPUSH', KEYS[2], id)
redis.call('ZADD', KEYS[1], upcoming, id)
redis.pcall('SADD', KEYS[9], KEYS[2])
redis.pcall('LREM', KEYS[3], 0, id)
for _, execution in ipairs(dead) do redis.pcall('ZREM', KEYS[4], execution) end
for key = 6, 8 do redis.pcall('ZREM', KEYS[key], id) end
return again and 'again' or 'queued'
