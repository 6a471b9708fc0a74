-- Reads some counters of every generation that is open or sealed, at one moment, without scanning any.
--
-- KEYS  1 open (hash: id, run_id, events)   2 sealed (zset of generation ids)
-- ARGV  1 prefix of generation keys, then the "counter:subject" of each counter wanted
-- Returns {id, {n, ...}, id, {n, ...}, ...}: the sum over all hours, in the order of ARGV.
-- Layout: <prefix><id> hash of "hour:counter:subject" to number; <prefix><id>:hours set of hours. A key of another type
--       holds nothing.

local prefix = ARGV[1]
local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
local open = redis.call('HGET', KEYS[1], 'id')
if open then ids[#ids + 1] = open end

local answer = {}
for _, id in ipairs(ids) do
  local hours = redis.pcall('SMEMBERS', prefix .. id .. ':hours')
  local sums = {}
  for i = 2, #ARGV do
    local sum = 0
    for _, hour in ipairs(hours) do
      sum = sum + (tonumber(redis.pcall('HGET', prefix .. id, hour .. ':' .. ARGV[i])) or 0)
    end
    sums[i - 1] = sum
  end
  answer[#answer + 1] = id
  answer[#answer + 1] = sums
end
return answer
