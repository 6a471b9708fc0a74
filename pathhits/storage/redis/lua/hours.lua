-- Reads some counters of every generation that is open or sealed, by hour, at one moment, without scanning any.
--
-- KEYS  1 open (hash: id, run_id)   2 sealed (zset of generation ids)
-- ARGV  1 prefix of generation keys, then the "counter:subject" of each counter wanted
-- Returns {id, {hour, n, ..., hour, n, ...}, id, ...}: for each hour as many numbers as counters, in the order of ARGV.
-- Layout: <prefix><id> hash of "hour:counter:subject" to number; <prefix><id>:hours set of hours. A key of another type
--       holds nothing.

local prefix = ARGV[1]
local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
local open = redis.call('HGET', KEYS[1], 'id')
if open then ids[#ids + 1] = open end

local answer = {}
for _, id in ipairs(ids) do
  local rows = {}
  for _, hour in ipairs(redis.pcall('SMEMBERS', prefix .. id .. ':hours')) do
    rows[#rows + 1] = hour
    for i = 2, #ARGV do
      rows[#rows + 1] = tonumber(redis.pcall('HGET', prefix .. id, hour .. ':' .. ARGV[i])) or 0
    end
  end
  answer[#answer + 1] = id
  answer[#answer + 1] = rows
end
return answer
